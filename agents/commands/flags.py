"""The arguments of a command line, checked before they are parsed: each flag known to its command, and given once.

tyro takes the last of two, and its message about an unknown one differs from version to version.
"""

import dataclasses
import difflib
import typing
from collections.abc import Mapping, Sequence

import tyro

from heartpole_jax import validation

_HELP = {"help"}
_POSITIONAL = typing.get_args(tyro.conf.Positional[int])[1]


def check(arguments: Sequence[str], commands: Mapping[str, type]) -> None:
    """Raises ValueError for a flag that the command, the first argument, does not have, or one given twice."""
    if not arguments or arguments[0] in ("-h", "--help"):
        return
    command, *rest = arguments
    validation.look_up(commands, command, "command")
    own = of(commands[command])
    for flag in validation.flags_in(rest):
        if flag not in own | _HELP:
            raise ValueError(f"{command} has no option --{flag}; {_hint(flag, command, commands)}")
    validation.check_arguments(rest, {f"{prefix}no-{name}": f"{prefix}{name}" for prefix, name in map(_parts, own)})


def of(options: type, prefix: str = "") -> set[str]:
    """The flags that tyro makes of a dataclass of options, without their hyphens at the front."""
    flags = set()
    for name, kind in typing.get_type_hints(options, include_extras=True).items():
        marks = getattr(kind, "__metadata__", ())
        kind = typing.get_args(kind)[0] if marks else kind
        flag = f"{prefix}{name.replace('_', '-')}"
        if dataclasses.is_dataclass(kind):
            flags |= of(kind, prefix if tyro.conf.OmitArgPrefixes in marks else f"{flag}.")  # type: ignore[arg-type]
        elif kind is bool:
            flags |= {flag, f"{prefix}no-{name.replace('_', '-')}"}
        elif _POSITIONAL not in marks:
            flags.add(flag)
    return flags


def _hint(flag: str, command: str, commands: Mapping[str, type]) -> str:
    """What may have been meant: the flag of the nearest name, whatever stands before it, or another command's."""
    names = {_parts(known)[1]: known for known in sorted(of(commands[command]))}
    if close := difflib.get_close_matches(_parts(flag)[1], names, n=1):
        return f"did you mean --{names[close[0]]}?"
    having = [name for name, options in commands.items() if flag in of(options)]
    also = f"{' and '.join(having)} {'has' if len(having) == 1 else 'have'} it; " if having else ""
    return f"{also}see `python -m agents {command} --help`"


def _parts(flag: str) -> tuple[str, str]:
    """What comes before the name, up to a dot, and the name."""
    prefix, dot, name = flag.rpartition(".")
    return prefix + dot, name
