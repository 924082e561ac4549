"""Constants that depend on where a program runs: one value for CPUs, one for accelerators.

XLA compiles for a CPU one loop for each array, and what counts is the cache; for a GPU it fuses all that is computed
element by element into one kernel, and what counts is launches and traffic to memory. Each constant stands beside the
code that uses it; docs/development/accelerators.md has the table, with the reasons and
what was measured.
"""

import dataclasses
from typing import Generic, TypeVar

import jax

_T = TypeVar("_T")


@dataclasses.dataclass(frozen=True)
class ByPlatform(Generic[_T]):
    """A constant with a value for CPUs and one for accelerators (GPU, TPU)."""

    cpu: _T
    accelerator: _T

    def on(self, platform: str) -> _T:
        """The value for a `jax.Device.platform`."""
        return self.cpu if platform == "cpu" else self.accelerator

    def here(self) -> _T:
        """The value for the device that a program traced now will run on, unless its arguments lie elsewhere."""
        return self.on(default_platform())


def default_platform() -> str:
    """The platform of JAX's default device: `jax.default_device` where one is set, else the default backend."""
    device = jax.config.jax_default_device  # type: ignore[attr-defined]
    if device is None:
        return jax.default_backend()
    return device if isinstance(device, str) else device.platform
