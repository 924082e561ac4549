"""The trials of a sweep that never was: 64 configurations with 8 seeds, regrets from 0.003 to 500, three rungs."""

import math

import numpy as np

from agents.sweeps.results import CURVES, Summary, TrialResult

NUM_STEPS, NUM_EVALUATIONS = 1_600_000, 16
SUMMARY = Summary(
    name="heartpole",
    env="HeartPole-v0",
    num_steps=NUM_STEPS,
    seeds=tuple(range(8)),
    swept=("hyperparams.learning_rate", "hyperparams.discount", "config.hidden_sizes", "config.double_q"),
    log_scaled=frozenset({"hyperparams.learning_rate"}),
    keep="last",
    info={
        "command": "python -m agents sweep study.toml --out runs/heartpole",
        "date": "2026-11-25",
        "seconds": 1234.5,
        "slice_size": 16,
        "versions": {"jax": "0.10.2", "python": "3.11.2"},
    },
)


def trials(
    num_configurations: int = 64, num_seeds: int = 8, halving: bool = True, regret: bool = True
) -> list[TrialResult]:
    """With halving three in four stop at a sixteenth of the steps, and three in four of the rest at a quarter."""
    generator = np.random.default_rng(7)
    drawn = [_draw(generator) for _ in range(num_configurations)]
    places = np.argsort(np.argsort([_difficulty(values) for values in drawn]))
    found = []
    for index, (values, place) in enumerate(zip(drawn, places, strict=True)):
        share = place / num_configurations
        evaluations = NUM_EVALUATIONS if not halving or share < 1 / 16 else 4 if share < 1 / 4 else 1
        found += [_train(generator, index, seed, values, evaluations, regret) for seed in range(num_seeds)]
    return found


def trial(configuration: int, seed: int, regret: float | None, status: str = "finished", **changes) -> TrialResult:
    """One that was trained for 100 steps, with two evaluations."""
    value = math.nan if regret is None else regret
    curve = {"env_steps": np.array([50.0, 100.0])} | {name: np.array([2 * value, value]) for name in CURVES}
    given = {
        "values": {"hyperparams.learning_rate": 0.001 * (configuration + 1)},
        "env_steps": 100,
        "mean_return": -123.0 - value,
        "standard_error": 0.01,
        "certified": regret is not None,
        "diverged_at": None,
        "curve": curve,
    }
    return TrialResult(configuration=configuration, seed=seed, status=status, regret=regret, **(given | changes))


def _draw(generator: np.random.Generator) -> dict:
    return {
        "hyperparams.learning_rate": float(10 ** generator.uniform(-5, -1.5)),
        "hyperparams.discount": float(generator.uniform(0.9, 0.999)),
        "config.hidden_sizes": [[16, 16], [64, 64], [256]][generator.integers(3)],
        "config.double_q": bool(generator.integers(2)),
    }


def _difficulty(values: dict) -> float:
    rate = math.log10(values["hyperparams.learning_rate"])
    width = {16: 0.3, 64: 0.0, 256: 0.6}[values["config.hidden_sizes"][0]]
    return abs(rate + 3) + 8 * abs(values["hyperparams.discount"] - 0.98) + width - 0.2 * values["config.double_q"]


def _train(generator, index: int, seed: int, values: dict, evaluations: int, has_regret: bool) -> TrialResult:
    floor = 0.004 * 10 ** (1.6 * _difficulty(values)) * math.exp(generator.normal(0, 0.5))
    done = np.arange(1, evaluations + 1)
    start = min(4 * 10 ** _difficulty(values), 300)
    regret = np.minimum(floor + start * np.exp(-done / 1.3), 500) * np.exp(generator.normal(0, 0.3, evaluations))
    steps = done * (NUM_STEPS / NUM_EVALUATIONS)
    diverged_at = None
    status = "finished" if evaluations == NUM_EVALUATIONS else "stopped"
    if values["hyperparams.learning_rate"] > 0.01 and generator.uniform() < 0.4:
        status, diverged_at, regret[-1] = "diverged", int(steps[-1]), np.nan
    final = 500.0 if np.isnan(regret[-1]) else float(regret[-1])
    curve = {"env_steps": steps, "mean_return": -123.304 - regret, "regret": regret if has_regret else regret * np.nan}
    curve |= {name: np.abs(generator.normal(1, 0.1, evaluations)) for name in CURVES if name not in curve}
    return TrialResult(
        configuration=index,
        seed=seed,
        values=values,
        status=status,
        env_steps=int(steps[-1]),
        mean_return=-123.304 - final,
        standard_error=0.0002,
        regret=final if has_regret else None,
        certified=has_regret,
        diverged_at=diverged_at,
        curve=curve,
    )
