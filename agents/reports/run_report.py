"""The page about a single training run: what its policy is worth, how it came about, and how it was run."""

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from agents.reports import html_page, learning_curve, sweep_report
from agents.reports.html_page import Link
from agents.runs import checkpoints, run_folder
from agents.sweeps import result_text
from heartpole_jax import documents, policies, policies_v1, tables
from heartpole_jax.evaluation import Estimate

_FILES = {
    "config.json": "all that it takes to repeat it",
    "metrics.jsonl": "a line for every chunk",
    "evaluation.json": "the final evaluation",
    "policy.json": "the policy: its form",
    "policy.safetensors": "the policy: its weights",
}


def build(folder: Path, beside: Path) -> str:
    """The page, whose links lead from the folder `beside` to files in `folder`.

    Raises:
      ValueError: where the run has no results yet, or its files are damaged.
    """
    try:
        config = documents.read(folder / run_folder.CONFIG)
        records = run_folder.read_metrics(folder) if (folder / run_folder.METRICS).exists() else []
        evaluation = run_folder.read_evaluation(folder) if (folder / run_folder.EVALUATION).exists() else None
        _check_complete(folder, config, records, evaluation is not None)
        if not records and evaluation is None:
            raise LookupError
        title = f"{folder.resolve().name}: a training run"
        return html_page.page(title, list(_body(folder, beside, config, records, evaluation)))
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


def _body(
    folder: Path, beside: Path, config: Mapping[str, Any], records: list[dict], evaluation: Mapping[str, Any] | None
) -> Iterator[str]:
    yield html_page.heading(1, folder.resolve().name)
    done = int(records[-1]["env_steps"]) if records else int(config["num_steps"])
    yield html_page.paragraph(
        f"A training run on {config['env']}: recipe {config['recipe']}, seed {config['seed']}, {done:,} of "
        f"{config['num_steps']:,} steps."
    )
    if evaluation is None:
        yield html_page.warning(
            f"It is unfinished, and its policy not judged yet. Go on with: python -m agents resume {folder}"
        )
    else:
        yield html_page.card(_answer(folder, evaluation))
        yield from _standing(folder, evaluation)
    if records:
        yield html_page.heading(2, "Learning curve")
        title = f"{config['env']}, {done:,} steps"
        drawing = learning_curve.draw(records, title, config["evaluation_episodes"])
        last = {name: value for name, value in records[-1].items() if name in ("regret", "greedy_return", "loss")}
        told = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in last.items() if value is not None)
        yield html_page.wide(html_page.figure(drawing, f"Over the steps; at the end: {told}."), "Learning curve")
    yield html_page.heading(2, "How it was run")
    skipped = ("config", "hyperparams")
    facts = sweep_report.flattened({name: value for name, value in config.items() if name not in skipped})
    yield html_page.entries("The run", facts)
    for name in skipped:
        values = {key: result_text.value_text(value) for key, value in dict(config.get(name, {})).items()}
        yield html_page.entries({"config": "Configuration", "hyperparams": "Hyperparameters"}[name], values)
    found = {
        name: Link(os.path.relpath(folder / name, beside), told)
        for name, told in _FILES.items()
        if (folder / name).exists()
    }
    yield html_page.entries("Files beside this page", found)


def _answer(folder: Path, evaluation: Mapping[str, Any]) -> Iterator[str]:
    yield html_page.heading(2, "What the policy is worth")
    row = _own(folder, evaluation)
    if row is None:
        value = Estimate(evaluation["mean_return"], evaluation["mean_return_standard_error"])
        below = f"{evaluation['episodes']:,} episodes"
        yield html_page.headline([("Mean return", tables.format_estimate(value), below)])
        yield html_page.paragraph("± is one standard error, over whole episodes of the greedy policy.", quiet=True)
    else:
        best = evaluation["best_known_return"]  # None for a menu that cannot be solved
        told = ("this menu cannot be solved", "") if best is None else ("0 is optimal", f"the best known is {best:.3f}")
        yield html_page.headline(
            [
                ("Regret", _estimate(row, "regret"), told[0]),
                ("Expected return", _estimate(row, "expected_return"), told[1]),
                *((label.capitalize(), text, "") for label, text in list(_parts(row).items())[-2:]),
            ]
        )
        yield html_page.paragraph(
            f"Regret is what the policy's expected return lacks of the best known one. Each number is over "
            f"{row['num_episodes']:,} whole episodes, and ± is one standard error.",
            quiet=True,
        )
    yield html_page.commands(
        [shlex.join(["python", "-m", "agents", "evaluate", str(folder)])], "The command to evaluate it"
    )


def _standing(folder: Path, evaluation: Mapping[str, Any]) -> Iterator[str]:
    """Its place among the scripted policies, where there are such."""
    if "policies" not in evaluation:
        return
    yield html_page.heading(2, "Among the scripted policies")
    own, rows = _own(folder, evaluation) or {}, evaluation["policies"]
    cells = [
        [
            f"{row['policy']} (this one)" if row["policy"] == own.get("policy") else row["policy"],
            _estimate(row, "expected_return"),
            _estimate(row, "regret"),
            *_parts(row).values(),
        ]
        for row in rows
    ]
    place = next((i for i, row in enumerate(rows) if row["policy"] == own.get("policy")), None)
    header = ["policy", "expected return", "regret", *_parts(rows[0])]
    yield html_page.table("All on the same dice, best first", header, cells, place)


def _own(folder: Path, evaluation: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The policy's row: by the folder's name, or, where the folder was renamed since, the one that is not scripted."""
    rows = {row["policy"]: row for row in evaluation.get("policies", [])}
    scripted = {"optimal", *policies.SCRIPTED, *policies_v1.SCRIPTED}
    others = [row for name, row in rows.items() if name not in scripted]
    return rows.get(folder.resolve().name) or (others[0] if others else None)


def _parts(row: Mapping[str, Any]) -> dict[str, str]:
    """What else the evaluation tells of a policy, label and text: HeartPole-v1's is another than HeartPole-v0's."""
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
    return tables.format_estimate(Estimate(row[name], row[f"{name}_standard_error"]))
