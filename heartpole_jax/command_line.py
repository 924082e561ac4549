"""A parser for command lines: flags in full, mistakes as ValueError, whole numbers within limits."""

import argparse
import difflib
import typing
from typing import Any


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
