"""The page about a single training run: the policy's evaluation, how it came about, and how it was run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.reports import curve_table, html_page, learning_curve, run_figures
from agents.runs import checkpoints, run_folder
from agents.sweeps import result_text
from heartpole_jax import documents
from heartpole_jax.drawing.charts import style
from heartpole_jax.evaluation import Estimate, format_estimate, gap_name

_FILES = {
    "config.json": "all that it takes to repeat it",
    "metrics.jsonl": "a line for every chunk",
    "evaluation.json": "the final evaluation",
    "policy.json": "the policy: its form",
    "policy.safetensors": "the policy: its weights",
}
_LAST = ("regret", "greedy_return", "loss")  # of the last record, for those who cannot see the curve


def build(folder: Path, beside: Path, refresh: int | None = None) -> str:
    """The page, whose links lead from the folder `beside` to files in `folder`.

    Args:
      refresh: seconds after which a browser loads the page again; None: never.

    Raises:
      ValueError: where the run has no results yet, or its files are damaged.
    """
    try:
        config = documents.read(folder / run_folder.CONFIG)
        records = run_folder.read_metrics(folder) if (folder / run_folder.METRICS).exists() else []
        evaluation = run_folder.read_evaluation(folder) if (folder / run_folder.EVALUATION).exists() else None
        _check_complete(folder, config, records, evaluation is not None)
        if not records:
            raise LookupError
        return _page(folder, beside, config, records, evaluation, refresh)
    except LookupError as error:
        if error.args:
            raise ValueError(f"{folder} has not what a run has written: {error} is missing") from error
        raise ValueError(
            f"{folder} has no results yet: no chunk is finished; go on with `python -m agents resume {folder}`"
        ) from None
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{folder} has not what a run has written, {type(error).__name__}: {error}") from error


def _check_complete(folder: Path, config: Mapping[str, Any], records: list[dict], finished: bool) -> None:
    """Raises ValueError where lines are missing at the end of the records, or all of them."""
    steps = config["num_steps"] if finished else checkpoints.newest_step(folder / run_folder.CHECKPOINTS) or 0
    done = records[-1]["env_steps"] if records else 0
    if done < steps:
        raise ValueError(
            f"{folder / run_folder.METRICS} is damaged: its last record is after {done:,} steps, "
            f"and there were {steps:,}"
        )


def _page(
    folder: Path,
    beside: Path,
    config: Mapping[str, Any],
    records: list[dict],
    evaluation: Mapping[str, Any] | None,
    refresh: int | None,
) -> str:
    done = int(records[-1]["env_steps"])
    nested = {"config": "Configuration", "hyperparams": "Hyperparameters"}
    facts = {"The run": html_page.flattened({name: value for name, value in config.items() if name not in nested})}
    for name, title in nested.items():
        facts[title] = {key: result_text.value_text(value) for key, value in dict(config.get(name, {})).items()}
    own = None if evaluation is None else _own(folder, evaluation)
    regret_name = gap_name(bool(records[-1].get("certified")))
    behaviour, no_behaviour = _behaviour(folder, finished=evaluation is not None)
    levels = {} if own is None else _levels(own, evaluation or {})
    curves = run_figures.curves(records, regret_name, levels)
    return html_page.render(
        "run.html",
        **{name: config[name] for name in ("env", "recipe", "seed", "num_steps", "evaluation_episodes")},
        folder=folder,
        name=folder.resolve().name,
        refresh=refresh,
        done=done,
        last={name: value for name, value in records[-1].items() if name in _LAST and value is not None},
        curves=curves,
        has_regret=regret_name in curves,
        lowest_regret=learning_curve.LOWEST_REGRET,
        lost=learning_curve.not_finite(records),
        csv=curve_table.of_run(records),
        evaluation=None if evaluation is None else _evaluated(folder, evaluation),
        behaviour=behaviour,
        no_behaviour=no_behaviour,
        tables=facts,
        links=html_page.links(folder, beside, _FILES),
    )


def _behaviour(folder: Path, finished: bool) -> tuple[Any, str]:
    """How the policy behaves; where that cannot be shown None, and why."""
    if not finished and not (folder / "policy.json").exists():
        return None, "The policy is saved when the run is finished."
    from agents.reports import behaviour  # here, since JAX compiles for it

    try:
        return behaviour.of(folder), ""
    except (ValueError, ImportError) as error:
        return None, f"There are no pictures of the policy: {error}."


def _levels(own: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, list[run_figures.Level]]:
    """What the final evaluation found, as lines beside the curves."""
    found = {"return": [_level(own, "expected_return", "expected return")]}
    if (best := evaluation.get("best_known_return")) is not None:
        name = "optimal" if own["certified"] else "best known"
        found["return"].append(run_figures.Level(best, f"{name} {best:.3f}", style.INK))
    if "regret" in own:
        found["regret"] = [_level(own, "regret", gap_name(own["certified"]))]
    return found


def _level(own: Mapping[str, Any], key: str, name: str) -> run_figures.Level:
    return run_figures.Level(own[key], f"{name} {_estimate(own, key)}", style.BLUE)


def _evaluated(folder: Path, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows of an evaluation."""
    own = _own(folder, evaluation)
    return {
        "num_episodes": own["num_episodes"],
        "name": gap_name(own["certified"]),
        "certified": own["certified"] if evaluation.get("best_known_return") is not None else None,
        "numbers": _numbers(own, evaluation),
        "table": _table(own, evaluation["policies"]),
    }


def _numbers(row: Mapping[str, Any], evaluation: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """The policy's evaluation: (name, number, what stands below it)."""
    best = evaluation.get("best_known_return")
    name, below = gap_name(row["certified"]), ("no best return is known", "")
    if best is not None:
        below = ("0 is optimal" if row["certified"] else "others may be better", f"the best known is {best:.3f}")
    regret = [(name.capitalize(), _estimate(row, "regret"), below[0])] if "best_known_return" in evaluation else []
    return [
        *regret,
        ("Expected return", _estimate(row, "expected_return"), below[1]),
        *((label.capitalize(), text, "") for label, text in list(_parts(row).items())[-2:]),
    ]


def _table(own: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The scripted policies, and this one among them."""
    return {
        "header": ["policy", "expected return", gap_name(own["certified"]), *_parts(rows[0])],
        "rows": [
            [
                f"{row['policy']} (this one)" if row is own else row["policy"],
                _estimate(row, "expected_return"),
                _estimate(row, "regret"),
                *_parts(row).values(),
            ]
            for row in rows
        ],
        "marked": next(place for place, row in enumerate(rows) if row is own),
    }


def _own(folder: Path, evaluation: Mapping[str, Any]) -> Mapping[str, Any]:
    """The policy's row, under the name that its folder had when it was evaluated."""
    rows = {row["policy"]: row for row in evaluation["policies"]}
    return rows[evaluation["evaluated"]]


def _parts(row: Mapping[str, Any]) -> dict[str, str]:
    """What else is in the evaluation of a policy, label and text: HeartPole-v1's is another than HeartPole-v0's."""
    texts = {
        "score": lambda value: f"{value:.4f}",
        "work_done": lambda value: f"{value:.1f}",
        "heart_attacks": lambda value: f"{value:.4f}",
        "decisions": lambda value: f"{value:.0f}",
        "drinks_a_day": lambda value: f"{value:.2f}",
        "share_asleep": lambda value: f"{100 * value:.1f} %",
    }
    labels = {"share_asleep": "asleep"}
    return {labels.get(name, name.replace("_", " ")): text(row[name]) for name, text in texts.items() if name in row}


def _estimate(row: Mapping[str, Any], name: str) -> str:
    if name not in row:
        return "unknown"
    return format_estimate(Estimate(row[name], row[f"{name}_standard_error"]))
