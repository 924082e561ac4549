"""Processes that were forked after JAX had begun, in which it hangs for ever: found, and refused."""

import os

from jax._src import xla_bridge  # jax.extend.backend can begin with the devices, and not ask whether one has

_is_lame = False


def check() -> None:
    """Raises RuntimeError in a process that was forked from one where JAX had begun."""
    if _is_lame:
        raise RuntimeError(
            "this process was forked from one in which JAX had begun, and would hang: its threads are not here. Take "
            "gymnasium.make_vec(name, num_envs=...), all in one compiled step, which needs no processes; or start them "
            "anew, as AsyncVectorEnv(..., context='spawn') and SubprocVecEnv(..., start_method='spawn') do"
        )


def _after_fork() -> None:
    global _is_lame
    _is_lame = _is_lame or xla_bridge.backends_are_initialized()


if hasattr(os, "register_at_fork"):  # where processes fork at all
    os.register_at_fork(after_in_child=_after_fork)
