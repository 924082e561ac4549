"""Signals are heard at once, and the handlers of before come back."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from agents.runs import stop_signals
from agents.runs.stop_signals import StopSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_kept_and_reported(number, capfd):
    with StopSignals() as asked:
        assert asked.requested is None
        os.kill(os.getpid(), number)
        assert asked.requested == number
    assert capfd.readouterr().err == f"{number.name}: stopping after this chunk; a second signal stops at once\n"


def test_the_handlers_of_before_come_back():
    before = [signal.getsignal(number) for number in stop_signals.SIGNALS]
    with StopSignals():
        assert not any(signal.getsignal(number) in before for number in stop_signals.SIGNALS)
    assert [signal.getsignal(number) for number in stop_signals.SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_other_signals_are_not_meant(capfd):
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with StopSignals() as asked:
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.05)
            assert asked.requested is None
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert capfd.readouterr().err == ""


def test_in_another_thread_nothing_is_heard():
    before = [signal.getsignal(number) for number in stop_signals.SIGNALS]
    found = []

    def listen():
        with StopSignals() as asked:
            found.extend([asked.requested, [signal.getsignal(number) for number in stop_signals.SIGNALS] == before])

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert found == [None, True]


@pytest.mark.parametrize(("second", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_second_signal_ends_the_process_though_python_runs_no_handler(second, status):
    """The main thread is inside one long call, as it is while XLA computes."""
    code = """
import hashlib
from agents.runs.stop_signals import StopSignals
with StopSignals("after this", "resume it"):
    print("ready", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)  # many minutes, and no handler runs in between
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.stderr.readline() == "SIGTERM: after this; a second signal stops at once\n"
        process.send_signal(second)
        assert process.wait(timeout=20) == status
        hint = "go on from what is saved with `resume it`"
        assert process.stderr.read() == f"{second.name}: stopped at once; {hint}\n"


def test_the_status_is_what_shells_make_of_a_signal():
    assert [stop_signals.status(number) for number in stop_signals.SIGNALS] == [130, 143]
