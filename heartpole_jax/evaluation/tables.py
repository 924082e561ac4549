"""A leaderboard as text, JSON, CSV or Markdown, of HeartPole-v0 or -v1: its `params` tell of which."""

import csv
import dataclasses
import io
import json
import math
import platform
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any, NamedTuple

import jax

from heartpole_jax import arguments
from heartpole_jax.envs import heartpole_v0, heartpole_v1
from heartpole_jax.evaluation import heartpole_v0 as evaluation
from heartpole_jax.evaluation import heartpole_v1 as evaluation_v1
from heartpole_jax.evaluation.heartpole_v0 import Estimate, Row
from heartpole_jax.optimum import heart_attack_floor, return_ceiling, sober_optimum


@arguments.typed()
def as_text(rows: Sequence[Row], params: Any) -> str:
    """A table with aligned columns and a few lines to read it by."""
    board = _board(rows, params)
    cells = [board.header, *map(board.cells, rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(board.header))]
    lines = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *board.notes(rows, params)])


@arguments.typed()
def as_markdown(rows: Sequence[Row], params: Any, seed: int) -> str:
    """A short report: what was run, the table, how to read it."""
    board = _board(rows, params)
    run = provenance(rows, seed)
    lines = [
        f"# {board.env}: policies by expected return",
        "",
        *(f"- {key}: {value}" for key, value in run.items()),
        "",
        "| " + " | ".join(board.header) + " |",
        "|" + " --- |" * len(board.header),
        *("| " + " | ".join(board.cells(row)) + " |" for row in rows),
        "",
        *board.notes(rows, params),
    ]
    return "\n".join(lines) + "\n"


@arguments.typed()
def as_json(rows: Sequence[Row], params: Any, seed: int) -> str:
    """Everything in the table as numbers, with the parameters and what it was run on."""
    board = _board(rows, params)
    report = {"run": provenance(rows, seed), **board.facts(params), "policies": [_record(row) for row in rows]}
    return json.dumps(report, indent=2)


@arguments.typed()
def as_csv(rows: Sequence[Row]) -> str:
    """One line for each policy: its name, the episodes, and each estimate with its standard error."""
    _check_not_empty(rows)
    text = io.StringIO()
    records = [_record(row) for row in rows]
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


@arguments.typed()
def provenance(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """What produced these rows: versions, devices, seed, episodes."""
    _check_not_empty(rows)
    devices = jax.devices()
    return {
        "heartpole_jax": _version(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "machine": platform.machine(),
        "seed": int(seed),
        "episodes": rows[0].evaluation.num_episodes,
    }


@arguments.checked(evaluated=(evaluation.Evaluation, evaluation_v1.Evaluation))
def summary(evaluated: Any) -> dict[str, str]:
    """Everything that is known of one policy, label and text: an `Evaluation` of either environment."""
    lines = {}
    for name, value in _estimates(evaluated).items():
        share = name == "share_asleep"
        text = format_estimate(Estimate(*(100 * number for number in value)) if share else value)
        label = "asleep" if share else name.replace("_", " ")
        lines[label] = f"{text} % of the time" if share else text
    return lines


@arguments.typed()
def format_estimate(value: Estimate) -> str:
    """`mean ± standard error`, with as many decimals as the error makes sense of, five at most."""
    mean, error = value
    decimals = 5 if error <= 0 else min(5, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:.{decimals}f} ± {error:.{decimals}f}"


class _Board(NamedTuple):
    """How the leaderboard of an environment looks."""

    env: str
    header: tuple[str, ...]
    cells: Callable[[Row], tuple[str, ...]]
    notes: Callable[[Sequence[Row], Any], list[str]]
    facts: Callable[[Any], dict[str, Any]]  # of the environment, from its params


def _cells_v0(row: Row) -> tuple[str, ...]:
    found: evaluation.Evaluation = row.evaluation
    return (
        found.name,
        format_estimate(found.expected_return),
        format_estimate(found.regret),
        format_estimate(row.behind),
        f"{found.score.mean:.4f}",
        f"{found.heart_attacks.mean:.4f}",
        f"{max(found.excess_heart_attacks.mean, 0.0):.4f}",
        f"{found.drinks_a_day.mean:.2f}",
        f"{100 * found.share_asleep.mean:.1f} %",
    )


def _notes_v0(rows: Sequence[Row], params: heartpole_v0.EnvParams) -> list[str]:
    return [
        f"{rows[0].evaluation.num_episodes:,} episodes of {int(params.max_steps):,} decisions for each policy, all on "
        "the same noise; ± is one standard error.",
        f"Regret is against the best policy without drinks, computed by dynamic programming: "
        f"{sober_optimum(params).expected_return:.3f}.",
        f"No policy at all exceeds {return_ceiling(params):.1f}; none has fewer heart attacks than "
        f"{heart_attack_floor(params):.5f}.",
    ]


def _facts_v0(params: heartpole_v0.EnvParams) -> dict[str, Any]:
    return {
        "params": {name: float(value) for name, value in vars(params).items()},
        "best_known_return": sober_optimum(params).expected_return,
        "return_ceiling": return_ceiling(params),
        "heart_attack_floor": heart_attack_floor(params),
    }


def _cells_v1(row: Row) -> tuple[str, ...]:
    found: evaluation_v1.Evaluation = row.evaluation
    often = [(value.mean, name) for name, value in found.actions_a_day.items() if value.mean >= 0.05]
    return (
        found.name,
        format_estimate(found.expected_return),
        "unknown" if found.regret is None else format_estimate(found.regret),
        format_estimate(row.behind),
        f"{found.work_done.mean:.1f}",
        f"{found.heart_attacks.mean:.3f}",
        f"{found.decisions.mean:.0f}",
        ", ".join(f"{name} {mean:.1f}" for mean, name in sorted(often, reverse=True)),
    )


def _notes_v1(rows: Sequence[Row], params: heartpole_v1.EnvParams) -> list[str]:
    best = evaluation_v1.best_expected_return(params)
    return [
        f"{rows[0].evaluation.num_episodes:,} episodes of {int(params.max_half_hours):,} half-hours for each policy, "
        "all on the same noise; ± is one standard error.",
        "Regret is unknown: this menu cannot be solved."
        if best is None
        else "Regret is against the policy of dynamic programming on a grid, without what intoxicates, in episodes of "
        f"its own: {best:.1f}.",
        "A toy: never dosing advice.",
    ]


def _facts_v1(params: heartpole_v1.EnvParams) -> dict[str, Any]:
    constants = {name: value for name, value in vars(params).items() if name != "menu"}
    return {
        "params": {name: float(value) for name, value in constants.items()},
        "menu": [dataclasses.asdict(row) for row in params.menu.actions],
        "best_known_return": evaluation_v1.best_expected_return(params),
    }


_BOARDS: dict[type, _Board] = {
    heartpole_v0.EnvParams: _Board(
        "HeartPole-v0",
        ("policy", "expected return", "regret", "behind first", "score", "attacks", "excess", "drinks/day", "asleep"),
        _cells_v0,
        _notes_v0,
        _facts_v0,
    ),
    heartpole_v1.EnvParams: _Board(
        "HeartPole-v1",
        ("policy", "expected return", "regret", "behind first", "work done", "attacks", "decisions", "a day"),
        _cells_v1,
        _notes_v1,
        _facts_v1,
    ),
}


def _board(rows: Sequence[Row], params: Any) -> _Board:
    """The leaderboard of these parameters' environment. Raises TypeError for others, ValueError without rows."""
    arguments.check_type("params", params, tuple(_BOARDS), "give those that the rows were evaluated with")
    _check_not_empty(rows)
    return next(board for kind, board in _BOARDS.items() if isinstance(params, kind))


def _check_not_empty(rows: Sequence[Row]) -> None:
    if not rows:
        raise ValueError("rows must hold at least one policy's, got none; `evaluation.leaderboard` returns them")


def _record(row: Row) -> dict[str, Any]:
    found = row.evaluation
    record: dict[str, Any] = {"policy": found.name, "num_episodes": found.num_episodes}
    for name, value in (_estimates(found) | {"behind_first": row.behind}).items():
        record[name] = value.mean
        record[f"{name}_standard_error"] = value.standard_error
    return record


def _estimates(found: Any) -> dict[str, Estimate]:
    """Every estimate of an evaluation by its name, those of the actions too."""
    estimates = {name: value for name, value in vars(found).items() if isinstance(value, Estimate)}
    actions = getattr(found, "actions_a_day", {})
    return estimates | {f"{name}_a_day": value for name, value in actions.items()}


def _version() -> str:
    try:
        return metadata.version("heartpole-jax")
    except metadata.PackageNotFoundError:
        return "not installed"
