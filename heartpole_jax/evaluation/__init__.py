"""How good is a policy: expected return, regret and their parts, with errors small enough to rank by."""

from heartpole_jax.evaluation.heartpole_v0 import (
    HALF_HOURS_A_DAY,
    NUM_EPISODES,
    AcrossSeeds,
    Estimate,
    Evaluation,
    Row,
    across_seeds,
    coffees_until_heart_attack,
    default_policies,
    estimate,
    evaluate,
    interquartile_mean,
    leaderboard,
    rank,
    without_attack_noise,
)

__all__ = [
    "HALF_HOURS_A_DAY",
    "NUM_EPISODES",
    "AcrossSeeds",
    "Estimate",
    "Evaluation",
    "Row",
    "across_seeds",
    "coffees_until_heart_attack",
    "default_policies",
    "estimate",
    "evaluate",
    "interquartile_mean",
    "leaderboard",
    "rank",
    "without_attack_noise",
]
