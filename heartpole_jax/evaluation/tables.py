"""A leaderboard, and the same as text, JSON, CSV or Markdown."""

import csv
import dataclasses
import io
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from heartpole_jax import arguments, disk, validation
from heartpole_jax.envs.environment import Environment
from heartpole_jax.evaluation.estimates import format_estimate
from heartpole_jax.evaluation.evaluator import Row, evaluator_of, gap_name
from heartpole_jax.version import __version__


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """Policies by expected return, best first: a sequence of `Row`. `str` of it is the table.

    Raises:
      TypeError: for parameters of another environment, or no rows.
      ValueError: without a row.
    """

    env: Environment
    params: Any
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        arguments.check_fields(self)
        self.env.params_or_default(self.params)
        if not self.rows:
            raise ValueError("rows must hold at least one policy's, got none; `evaluation.leaderboard` makes them")

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: Any) -> Any:
        return self.rows[place]

    def __str__(self) -> str:
        return as_text(self)


FORMATS = ("table", "json", "csv", "markdown")


@arguments.typed()
def as_format(board: Leaderboard, name: str, seed: int) -> str:
    """The leaderboard in one of `FORMATS`, with a newline at the end; `seed` is the noise's."""
    formats: dict[str, Callable[[], str]] = {
        "table": lambda: as_text(board) + "\n",
        "json": lambda: as_json(board, seed) + "\n",
        "csv": lambda: as_csv(board),
        "markdown": lambda: as_markdown(board, seed),
    }
    return validation.look_up(formats, name, "format")()


@arguments.typed()
def save(board: Leaderboard, folder: Path, seed: int) -> None:
    """Writes leaderboard.json, .csv and .md into `folder`, which it makes."""
    write_formats(folder, "leaderboard", lambda form: as_format(board, form, seed))


def write_formats(folder: Path, stem: str, text_in: Callable[[str], str]) -> None:
    """Writes stem.json, .csv and .md into `folder`, which it makes; `text_in` returns the text in one of `FORMATS`."""
    folder.mkdir(parents=True, exist_ok=True)
    for form, suffix in (("json", "json"), ("csv", "csv"), ("markdown", "md")):
        disk.write_atomic(folder / f"{stem}.{suffix}", text_in(form).encode())


@arguments.typed()
def as_text(board: Leaderboard) -> str:
    """A table with aligned columns and a few lines to read it by."""
    return "\n".join([*aligned(_cells(board)), "", *_notes(board)])


@arguments.typed()
def as_markdown(board: Leaderboard, seed: int) -> str:
    """A short report: what was run, the table, how to read it."""
    lines = [
        f"# {board.env.name}: policies by expected return",
        "",
        *(f"- {key}: {value}" for key, value in provenance(board, seed).items()),
        "",
        *piped(_cells(board)),
        "",
        *_notes(board),
    ]
    return "\n".join(lines) + "\n"


@arguments.typed()
def as_json(board: Leaderboard, seed: int) -> str:
    """Everything in the table as numbers, with the parameters and what it was run on."""
    facts = evaluator_of(board.env).facts(board.params)
    report = {"run": provenance(board, seed), **facts, "policies": [_record(row) for row in board]}
    return json.dumps(report, indent=2)


@arguments.typed()
def as_csv(board: Leaderboard) -> str:
    """One line for each policy: its name, the episodes, and each estimate with its standard error."""
    return lines_of([_record(row) for row in board])


@arguments.typed()
def provenance(board: Leaderboard, seed: int) -> dict[str, Any]:
    """What produced a leaderboard: versions, devices, seed, episodes."""
    return run_facts(seed, board[0].evaluation.num_episodes)


def aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of aligned columns, the first to the left, with a rule under the first line."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip() for line in cells]
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]


def piped(cells: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table in Markdown, of which the first is the header."""
    lines = ["| " + " | ".join(line) + " |" for line in cells]
    return [lines[0], "|" + " --- |" * len(cells[0]), *lines[1:]]


def lines_of(records: Sequence[Mapping[str, Any]]) -> str:
    """Records of the same keys as CSV, with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def run_facts(seed: int, num_episodes: int) -> dict[str, Any]:
    """What produced a table: versions, devices, seed, episodes."""
    devices = jax.devices()
    return {
        "heartpole_jax": __version__,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "machine": platform.machine(),
        "seed": int(seed),
        "episodes": num_episodes,
    }


def _cells(board: Leaderboard) -> list[tuple[str, ...]]:
    """The header, and a line for each row."""
    evaluator = evaluator_of(board.env)
    regret = (gap_name(board[0].evaluation.certified),) if evaluator.has_regret else ()
    lines = [("policy", "expected return", *regret, "behind first", *evaluator.columns)]
    for found, behind in board:
        if evaluator.has_regret:
            regret = ("unknown" if found.regret is None else format_estimate(found.regret),)
        means = (found.name, format_estimate(found.expected_return), *regret, format_estimate(behind))
        lines.append((*means, *evaluator.cells(found)))
    return lines


def _notes(board: Leaderboard) -> list[str]:
    return evaluator_of(board.env).notes(board.rows, board.params)


def _record(row: Row) -> dict[str, Any]:
    found = row.evaluation
    record: dict[str, Any] = {"policy": found.name, "num_episodes": found.num_episodes}
    for name, value in (found.estimates() | {"behind_first": row.behind}).items():
        record[name] = value.mean
        record[f"{name}_standard_error"] = value.standard_error
    return record | {"certified": found.certified}
