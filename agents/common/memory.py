"""The memory that there is, and whether a training run fits."""

import os

import jax


def check_fits(needed: int, what: str) -> int:
    """`needed`, in bytes. Raises ValueError where that is more than the device (or, for CPUs, the machine) has.

    Args:
      what: could be smaller, as in "buffer_size (now 1,000,000)".
    """
    available = available_bytes()
    if available is not None and needed > available:
        raise ValueError(
            f"this run would hold {needed / 2**30:.1f} GiB, and there are {available / 2**30:.1f} GiB: take a smaller "
            f"{what}"
        )
    return needed


def available_bytes() -> int | None:
    """The memory of a device, or for CPUs of the machine; None where that is unknown."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit")
    if limit or device.platform != "cpu" or not hasattr(os, "sysconf"):
        return limit
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
