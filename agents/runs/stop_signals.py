"""Signals that ask to stop: heard at once, obeyed where a run can be saved."""

import contextlib
import os
import signal
import socket
import sys
import threading
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """Hears SIGINT, Ctrl-C, and SIGTERM; a context manager, for the main thread. Elsewhere it hears nothing.

    The first signal is reported on stderr and kept in `requested`, where a training loop looks between chunks. The
    second ends the process with `status` and names the command `resume`, even while XLA computes and Python runs no
    handler: a thread hears it. What is being written then is not lost, since all files are written beside their places.
    """

    def __init__(self, message: str = "stopping after this chunk", resume: str = ""):
        self.requested: int | None = None
        self._resume, self._message = resume, message
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._ear, self._mouth = socket.socketpair()
            self._mouth.setblocking(False)
            self._wakeup_before = signal.set_wakeup_fd(self._mouth.fileno(), warn_on_full_buffer=False)
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
            self._thread = threading.Thread(target=self._listen, daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._mouth.close()  # which ends the thread
        self._thread.join()
        self._ear.close()
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = self.requested or number

    def _listen(self) -> None:
        heard = 0
        while received := self._ear.recv(1):
            if received[0] not in SIGNALS:
                continue  # another handler's
            heard += 1
            name = signal.Signals(received[0]).name
            if heard == 1:
                self.requested = self.requested or received[0]
                with contextlib.suppress(OSError, ValueError):  # a full disk, a closed pipe: the second is still heard
                    print(f"{name}: {self._message}; a second signal stops at once", file=sys.stderr, flush=True)
            else:
                hint = f"; go on from what is saved with `{self._resume}`" if self._resume else ""
                text = f"{name}: stopped at once{hint}\n"
                with contextlib.suppress(OSError):  # not through sys.stderr, whose lock the main thread may hold
                    os.write(2, text.encode(errors="replace"))
                os._exit(status(received[0]))


def status(number: int) -> int:
    """The exit status of a process that this signal stopped, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number
