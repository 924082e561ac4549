"""What command lines share: a parser (flags in full, mistakes as ValueError), numbers within limits, devices."""

import argparse
import contextlib
import difflib
import os
import typing
from collections.abc import Sequence
from typing import Any

import jax

_EXAMPLES = {"--params": "max_steps=200", "--noise": "hypertension=0.05"}


class Parser(argparse.ArgumentParser):
    """Flags in full, and mistakes as ValueError."""

    def __init__(self, **options: Any):
        super().__init__(**options, allow_abbrev=False)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's; what is unknown is an error of the command that it was given to, with the nearest flag."""
        found, unknown = super().parse_known_args(args, namespace)
        if not unknown:
            return found, unknown
        flags = [flag for action in self._actions for flag in action.option_strings]
        close = difflib.get_close_matches(unknown[0].partition("=")[0][:100], flags, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        return self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")

    def error(self, message: str) -> typing.NoReturn:
        raise ValueError(f"{message}; see `{self.prog} --help`")


def _whole(text: str, low: int, limit: int, requirement: str) -> int:
    """The whole number in `text`. Raises ArgumentTypeError unless it is at least `low` and below `limit`."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from None
    if not low <= value < limit:
        raise argparse.ArgumentTypeError(f"must be {requirement}, got {text}")
    return value


def count(text: str) -> int:
    """A size in `text`: at least 1, within int32."""
    return _whole(text, 1, 2**31, "at least 1 and below 2^31")


def seed(text: str) -> int:
    """A seed in `text`: of 32 bits."""
    return _whole(text, 0, 2**32, "in 0 .. 2^32 - 1")


def share(text: str) -> float:
    """A probability in `text`."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from None
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"must be in [0, 1], got {text}")
    return value


def numbers(given: Sequence[str], flag: str) -> dict[str, int | float]:
    """The numbers of "name=value" by name. Raises ValueError for another form, and for a name given twice."""
    values: dict[str, int | float] = {}
    for text in given:
        name, _, number = text.partition("=")
        if not number:
            raise ValueError(f"{flag} must be name=value, got {text!r}; as in {flag} {_EXAMPLES.get(flag, 'name=0.1')}")
        if name in values:
            raise ValueError(f"{flag} names {name} twice; give it once")
        try:
            values[name] = int(number) if number.lstrip("+-").isdigit() else float(number)
        except ValueError:
            raise ValueError(f"{flag} {name} must be a number, got {number!r}") from None
    return values


def without_devices() -> str | None:
    """What is wrong, where JAX finds no device to run on; None where it finds one."""
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # which of them depends on why
        asked = os.environ.get("JAX_PLATFORMS", "")
        reason = str(error).split("(set JAX_PLATFORMS")[0].strip()
        return (
            f"JAX finds no device with JAX_PLATFORMS={asked!r}{f' ({reason})' if reason else ''}: unset it, or set "
            "JAX_PLATFORMS=cpu"
        )
    return None


def use_all_cores() -> None:
    """One CPU device a core: XLA divides a step's small loops among threads badly, whole patients it divides well."""
    if "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", ""):
        return
    if jax.config.jax_num_cpu_devices > 0:  # type: ignore[attr-defined]  # somebody has said how many
        return
    # Too late where JAX is in use already, as when `main` is called from a program: then as many devices as there are.
    with contextlib.suppress(RuntimeError):
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", cores)
