"""The command line: `python -m agents train | sweep | resume | evaluate | leaderboard | report | tutorial`."""

import contextlib
import functools
import io
import re
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import tyro
from chex import Numeric

from agents.commands import flags, xla
from agents.commands import sweep as sweep_command
from agents.commands.evaluate import Evaluate, Leaderboard, evaluate, leaderboard
from agents.commands.report import Report, report
from agents.commands.resume import Resume, resume
from agents.commands.sweep import Sweep
from agents.commands.train import INTERRUPTED, Train, train
from agents.runs import loop, recipes
from agents.tutorial import tutorial
from agents.tutorial.tutorial import Tutorial
from heartpole_jax.command_line import use_all_cores, without_devices
from heartpole_jax.terminal import one_line

_DESCRIPTION = "DQN and PQN as one compiled program. Each command has a --help of its own."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit status.

    That is 2 for bad input, 1 for a run that failed, 130 after Ctrl-C and 143 after SIGTERM.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    xla.prepare()
    use_all_cores()
    try:
        options, command = _parse(arguments)
        return command(options) or 0
    except (ValueError, ImportError, OSError) as error:
        return _fail(error, 2)
    except (RuntimeError, AssertionError) as error:
        if (message := without_devices()) is not None:
            return _fail(message, 2)
        if isinstance(error, loop.DivergedError | jax.errors.JaxRuntimeError):
            return _fail(error, 1)
        raise
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


_COMMANDS: dict[str, type] = {
    "train": Train,
    "sweep": Sweep,
    "resume": Resume,
    "evaluate": Evaluate,
    "leaderboard": Leaderboard,
    "report": Report,
    "tutorial": Tutorial,
}


def _parse(arguments: Sequence[str]) -> tuple[Any, Callable[[Any], int | None]]:
    """The options, and the function that they are for. Raises ValueError for what cannot be understood."""
    functions: dict[type, Callable[[Any], int | None]] = {
        Train: functools.partial(train, arguments=arguments),
        Resume: resume,
        Sweep: functools.partial(sweep_command.run, arguments=arguments),
        Evaluate: evaluate,
        Leaderboard: leaderboard,
        Report: report,
        Tutorial: tutorial.main,
    }
    default = _from_recipe(arguments)
    flags.check(arguments, _COMMANDS | {"train": type(default)})
    functions[type(default)] = functions[Train]
    kinds = [
        Annotated[type(default), tyro.conf.subcommand("train", default=default)],
        *(Annotated[options, tyro.conf.subcommand(name)] for name, options in _COMMANDS.items() if name != "train"),
    ]
    printed = io.StringIO()
    try:
        with contextlib.redirect_stderr(printed):
            options = tyro.cli(
                typing.cast(Any, typing.Union[tuple(kinds)]),  # noqa: UP007
                prog="python -m agents", description=_DESCRIPTION, args=arguments, registry=_REGISTRY,
            )  # fmt: skip
    except SystemExit as exit:
        if exit.code:
            command = f" {arguments[0]}" if arguments else ""
            raise ValueError(f"{_one_line(printed.getvalue())}; see `python -m agents{command} --help`") from None
        raise
    return options, functions[type(options)]


def _from_recipe(arguments: Sequence[str]) -> Train:
    """`train` with the recipe that the arguments ask for, so that its values are the flags' defaults."""
    flags_that_choose = ("--recipe", "--env", "--algorithm") if arguments[:1] == ["train"] else ()
    given = {flag: value for flag in flags_that_choose if (value := _value_of(flag, arguments)) is not None}
    if "--recipe" not in given:
        found = recipes.for_env(given.get("--env", "HeartPole-v0"), given.get("--algorithm", "dqn"))
        return Train.of(found, found.name)
    default = Train.of(recipes.find(given["--recipe"]), given["--recipe"])
    if (asked_for := given.get("--algorithm", default.algorithm)) != default.algorithm:
        raise ValueError(
            f"the recipe {default.recipe} is for --algorithm {default.algorithm}, got {asked_for}; leave one out"
        )
    return default


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    for argument, following in zip(arguments, [*arguments[1:], None], strict=True):
        if argument == flag:
            return following
        if argument.startswith(f"{flag}="):
            return argument.removeprefix(f"{flag}=")
    return None


def _one_line(box: str) -> str:
    """tyro's message about a mistake, which stands in a box of several lines, and the commands that there are."""
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", row).strip("│╰╯ ") for row in box.splitlines()[1:]]  # the first is a title
    text = " ".join("\n" if set(row) <= {"─", "-"} else row for row in rows)  # sections lie between rules
    sections = [section.strip() for section in text.split("\n") if section.strip()] or ["cannot understand this"]
    message = re.sub(r"^Error parsing (--\S+: )?(\S+: )?", r"\1", sections[0])
    return _in_words(message).rstrip(".")


def _in_words(message: str) -> str:
    """The message with its types in words, and Python's own of what is no number as ours."""
    message = re.sub(r"invalid literal for int\(\) with base 10: ", "must be a whole number, got ", message)
    message = re.sub(r"could not convert string to float: ", "must be a number, got ", message)
    found = re.search(r"no type matching (\S.*?) could be instantiated from \[(.*)\]\.?$", message)
    if found is None:
        return message
    kinds = found[1].replace("{", "").replace("}", "").split("|")
    kind = " or ".join(_WORDS.get(kind, kind) for kind in kinds)
    return f"{message[: found.start()]}must be {kind}, got {found[2]}"


_WORDS = {"INT": "a whole number", "FLOAT": "a number", "INT INT": "two whole numbers"}


def _fail(error: Exception | str, status: int) -> int:
    print(f"error: {one_line(error)}", file=sys.stderr)
    return status


def _numeric(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
    """How tyro reads a `Numeric`: as a float."""
    if info.type != Numeric:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="FLOAT",
        instance_from_str=lambda words: float(words[0]),
        is_instance=lambda value: isinstance(value, int | float),
        str_from_instance=lambda value: [f"{value:.10g}"],
    )


_REGISTRY = tyro.constructors.ConstructorRegistry()
_REGISTRY.primitive_rule(_numeric)

if __name__ == "__main__":
    sys.exit(main())
