"""HeartPole-v0 and -v1 in Gymnasium's registry: once `heartpole_jax` and Gymnasium are imported, in either order.

    gymnasium.make("heartpole_jax:HeartPole-v0")

Gymnasium imports what stands before the colon and then looks up the name. It knows no entry point of plugins since 1.0,
so importing this package is what registers. Gymnasium itself is not imported here, which would take longer than the
rest of this package. Where it comes later, a finder waits for it: `make` cannot import this package a second time.
"""

import contextlib
import importlib.abc
import importlib.machinery
import sys
from types import ModuleType
from typing import Any

_PLACE = "heartpole_jax.interop.gymnasium"


def register_with_gymnasium() -> None:
    """Registers both versions now if Gymnasium has been imported, else as soon as it is. A second call does nothing."""
    gymnasium = sys.modules.get("gymnasium")
    if gymnasium is not None:
        _register(gymnasium)
    elif _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def _register(gymnasium: ModuleType) -> None:
    for name in ("HeartPole-v0", "HeartPole-v1"):
        known = gymnasium.registry.get(name)
        if known is not None and known.entry_point == f"{_PLACE}:Env":
            continue
        # The environment counts its own steps and checks its own input: wrappers for that would cost as much as the
        # step. Gymnasium warns where this takes the place of another environment of that name.
        gymnasium.register(
            name,
            entry_point=f"{_PLACE}:Env",
            vector_entry_point=f"{_PLACE}:VectorEnv",
            disable_env_checker=True,
            order_enforce=False,
            kwargs={"env": name},
        )
        # Gymnasium takes a later version for a better one, and would call HeartPole-v0 out of date whenever it is made.
        gymnasium.registry[name].version = 0


class _Finder(importlib.abc.MetaPathFinder):
    """Finds Gymnasium where Python does, and has it registered with after it has run."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != "gymnasium":
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_register(gymnasium: ModuleType) -> None:
                run(gymnasium)
                with contextlib.suppress(ValueError):
                    sys.meta_path.remove(self)
                _register(gymnasium)

            spec.loader.exec_module = run_and_register  # type: ignore[assignment, method-assign]
        return spec


_FINDER = _Finder()
