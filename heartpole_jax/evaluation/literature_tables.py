"""The table of the literature, and the same as text, JSON, CSV or Markdown."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heartpole_jax import arguments, validation
from heartpole_jax.envs.environment import Environment
from heartpole_jax.evaluation import tables
from heartpole_jax.evaluation.estimates import Estimate, format_estimate
from heartpole_jax.evaluation.evaluator import evaluator_of, gap_name

NUM_RESAMPLES = 100_000  # averages that a chance is the share of
_HEADER = ("policy", "printed", "of", "exact", "regret", "error of printed", "so high", "best so high")
_PAIRS_HEADER = ("better", "worse", "by", "chance of the wrong order", "printed")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """A printed score of a policy, as the file of the literature has it."""

    name: str
    work: str
    place: str  # in the work
    printed: float
    num_episodes: int  # that it is the mean of
    year: int | None = None
    deviation: float | None = None  # the printed standard deviation of the episodes' scores
    policy: str | None = None  # its name for `policies.make`, or else
    missing: str | None = None  # why it cannot be had
    remark: str | None = None

    def __post_init__(self):
        arguments.check_fields(self)
        validation.check_size("num_episodes", self.num_episodes)
        if (self.policy is None) == (self.missing is None):
            raise ValueError(f"{self.name!r} must have either a policy or what is missing")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LiteratureRow:
    """A line of the table: a policy that was published, or the best one known, which has no printed score."""

    name: str
    published: Published | None
    expected_return: Estimate | None  # None where the policy cannot be had; so are the next three
    regret: Estimate | None  # None also where the best return is unknown
    printed_error: float | None  # the standard error of an average of as many episodes as the source has
    printed_or_better: float | None  # the chance that such an average is as high as the printed one
    best_prints_it: float | None  # the same for the best policy known


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Two published policies, and the chance that their averages come out in the wrong order."""

    better: str
    worse: str
    difference: Estimate  # of the expected returns
    printed_in_order: bool
    chance_of_wrong_order: float


@dataclasses.dataclass(frozen=True)
class Literature:
    """The table of the literature; `str` of it is the table as text."""

    env: Environment
    num_episodes: int  # simulated of each policy
    rows: tuple[LiteratureRow, ...]  # those with an exact score first, best first; then by printed score
    pairs: tuple[Pair, ...]  # of policies that can be had, better ones first

    def __str__(self) -> str:
        return as_text(self)


@arguments.typed()
def as_format(found: Literature, name: str, seed: int) -> str:
    """The table in one of `tables.FORMATS`, with a newline at the end; `seed` is the noise's."""
    formats: dict[str, Callable[[], str]] = {
        "table": lambda: as_text(found) + "\n",
        "json": lambda: as_json(found, seed) + "\n",
        "csv": lambda: as_csv(found),
        "markdown": lambda: as_markdown(found, seed),
    }
    return validation.look_up(formats, name, "format")()


@arguments.typed()
def save(found: Literature, folder: Path, seed: int) -> None:
    """Writes literature.json, .csv and .md into `folder`, which it makes."""
    tables.write_formats(folder, "literature", lambda form: as_format(found, form, seed))


@arguments.typed()
def as_text(found: Literature) -> str:
    """Both tables with aligned columns, and how to read them."""
    return "\n".join([*tables.aligned(_cells(found)), "", *tables.aligned(_pair_cells(found)), "", *_notes(found)])


@arguments.typed()
def as_markdown(found: Literature, seed: int) -> str:
    """A short report: what was run, the tables, how to read them."""
    lines = [
        f"# {found.env.name}: published policies",
        "",
        *(f"- {key}: {value}" for key, value in tables.run_facts(seed, found.num_episodes).items()),
        "",
        *tables.piped(_cells(found)),
        "",
        *tables.piped(_pair_cells(found)),
        "",
        *_notes(found),
    ]
    return "\n".join(lines) + "\n"


@arguments.typed()
def as_json(found: Literature, seed: int) -> str:
    """Everything in the tables as numbers, with the sources and what it was run on."""
    best = evaluator_of(found.env).best_known(found.env.default_params)
    report = {
        "run": tables.run_facts(seed, found.num_episodes),
        "best_known_return": None if best is None else best.expected_return,
        "certified": best is not None and best.certified,
        "policies": [_record(row) for row in found.rows],
        "pairs": [_flat(dataclasses.asdict(pair), ("difference",)) for pair in found.pairs],
    }
    return json.dumps(report, indent=2)


@arguments.typed()
def as_csv(found: Literature) -> str:
    """One line for each policy, with its source; what is unknown is empty."""
    return tables.lines_of([_record(row) for row in found.rows])


def _cells(found: Literature) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [_HEADER]
    for row in found.rows:
        entry = row.published
        printed = "" if entry is None else f"{entry.printed:g}"
        if entry is not None and entry.deviation is not None:
            printed += f" (sd {entry.deviation:g})"
        lines.append(
            (
                row.name,
                printed,
                "" if entry is None else str(entry.num_episodes),
                _shown(row.expected_return),
                _shown(row.regret),
                "" if row.printed_error is None else f"{row.printed_error:.0f}",
                _percent(row.printed_or_better),
                _percent(row.best_prints_it),
            )
        )
    return lines


def _pair_cells(found: Literature) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = [_PAIRS_HEADER]
    for pair in found.pairs:
        order = "in order" if pair.printed_in_order else "the wrong way round"
        chance = _percent(pair.chance_of_wrong_order)
        lines.append((pair.better, pair.worse, format_estimate(pair.difference), chance, order))
    return lines


def _notes(found: Literature) -> list[str]:
    missing: dict[str, list[str]] = {}
    for row in found.rows:
        if row.published is not None and row.published.missing is not None:
            missing.setdefault(row.published.missing, []).append(row.name)
    best = evaluator_of(found.env).best_known(found.env.default_params)
    against = "" if best is None else f" {gap_name(best.certified).capitalize()} is against {best.expected_return:.5f}."
    return [
        f"{found.num_episodes:,} episodes of each policy; ± is one standard error.{against}",
        "Error of printed: the standard error of the mean of as many episodes as the source has.",
        "So high, best so high: the chance that such a mean of this policy, of the best known, reaches the printed.",
        "Chance of the wrong order: that such a mean of the worse policy is above that of the better.",
        f"Chances are of {NUM_RESAMPLES:,} means that are resampled from the simulated returns, policies apart.",
        *(f"Unknown, since {why}: {', '.join(names)}." for why, names in missing.items()),
    ]


def _shown(value: Estimate | None) -> str:
    return "unknown" if value is None else format_estimate(value)


def _percent(chance: float | None) -> str:
    return "" if chance is None else f"{100 * chance:.1f} %"


def _record(row: LiteratureRow) -> dict[str, Any]:
    record = dataclasses.asdict(row)
    source = record.pop("published") or dict.fromkeys(field.name for field in dataclasses.fields(Published))
    return _flat({**source, **record}, ("expected_return", "regret"))


def _flat(record: dict[str, Any], estimates: tuple[str, ...]) -> dict[str, Any]:
    """The record with each of these estimates as two numbers."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if name in estimates:
            flat[name], flat[f"{name}_standard_error"] = value or (None, None)
        else:
            flat[name] = value
    return flat
