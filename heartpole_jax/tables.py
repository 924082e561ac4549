"""A leaderboard as text, JSON, CSV or Markdown."""

import csv
import io
import json
import math
import platform
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import jax

from heartpole_jax.evaluation import Estimate, Row
from heartpole_jax.heartpole_v0 import EnvParams
from heartpole_jax.optimum import heart_attack_floor, return_ceiling, sober_optimum

_ESTIMATES = (
    "expected_return",
    "regret",
    "score",
    "heart_attacks",
    "excess_heart_attacks",
    "drinks_a_day",
    "share_asleep",
)
_HEADER = ("policy", "expected return", "regret", "behind first", "score", "attacks", "excess", "drinks/day", "asleep")


def as_text(rows: Sequence[Row], params: EnvParams) -> str:
    """A table with aligned columns and a few lines to read it by."""
    cells = [_HEADER, *map(_cells, rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(_HEADER))]
    lines = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in cells]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", *_notes(rows, params)])


def as_markdown(rows: Sequence[Row], params: EnvParams, seed: int) -> str:
    """A short report: what was run, the table, how to read it."""
    run = provenance(rows, seed)
    lines = [
        "# HeartPole-v0: policies by expected return",
        "",
        *(f"- {key}: {value}" for key, value in run.items()),
        "",
        "| " + " | ".join(_HEADER) + " |",
        "|" + " --- |" * len(_HEADER),
        *("| " + " | ".join(_cells(row)) + " |" for row in rows),
        "",
        *_notes(rows, params),
    ]
    return "\n".join(lines) + "\n"


def as_json(rows: Sequence[Row], params: EnvParams, seed: int) -> str:
    """Everything in the table as numbers, with the parameters and what it was run on."""
    optimum = sober_optimum(params)
    return json.dumps(
        {
            "run": provenance(rows, seed),
            "params": {name: float(value) for name, value in vars(params).items()},
            "best_known_return": optimum.expected_return,
            "return_ceiling": return_ceiling(params),
            "heart_attack_floor": heart_attack_floor(params),
            "policies": [_record(row) for row in rows],
        },
        indent=2,
    )


def as_csv(rows: Sequence[Row]) -> str:
    """One line for each policy: its name, the episodes, and each estimate with its standard error."""
    text = io.StringIO()
    records = [_record(row) for row in rows]
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def provenance(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """What produced these rows: versions, devices, seed, episodes."""
    devices = jax.devices()
    return {
        "heartpole_jax": _version(),
        "jax": jax.__version__,
        "python": platform.python_version(),
        "devices": f"{len(devices)} x {devices[0].device_kind}",
        "machine": platform.machine(),
        "seed": seed,
        "episodes": rows[0].evaluation.num_episodes,
    }


def _version() -> str:
    try:
        return metadata.version("heartpole-jax")
    except metadata.PackageNotFoundError:
        return "not installed"


def format_estimate(value: Estimate) -> str:
    """`mean ± standard error`, with as many decimals as the error makes sense of, five at most."""
    mean, error = value
    decimals = 5 if error <= 0 else min(5, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:.{decimals}f} ± {error:.{decimals}f}"


def _cells(row: Row) -> tuple[str, ...]:
    evaluation = row.evaluation
    return (
        evaluation.name,
        format_estimate(evaluation.expected_return),
        format_estimate(evaluation.regret),
        format_estimate(row.behind),
        f"{evaluation.score.mean:.4f}",
        f"{evaluation.heart_attacks.mean:.4f}",
        f"{max(evaluation.excess_heart_attacks.mean, 0.0):.4f}",
        f"{evaluation.drinks_a_day.mean:.2f}",
        f"{100 * evaluation.share_asleep.mean:.1f} %",
    )


def _notes(rows: Sequence[Row], params: EnvParams) -> list[str]:
    return [
        f"{rows[0].evaluation.num_episodes:,} episodes of {int(params.max_steps):,} decisions for each policy, all on "
        "the same dice; ± is one standard error.",
        f"Regret is against the best policy without drinks, computed by dynamic programming: "
        f"{sober_optimum(params).expected_return:.3f}.",
        f"No policy at all exceeds {return_ceiling(params):.1f}; none has fewer heart attacks than "
        f"{heart_attack_floor(params):.5f}.",
    ]


def _record(row: Row) -> dict[str, Any]:
    record: dict[str, Any] = {"policy": row.evaluation.name, "num_episodes": row.evaluation.num_episodes}
    values = {name: getattr(row.evaluation, name) for name in _ESTIMATES}
    values["behind_first"] = row.behind
    for name, value in values.items():
        record[name] = value.mean
        record[f"{name}_standard_error"] = value.standard_error
    return record
