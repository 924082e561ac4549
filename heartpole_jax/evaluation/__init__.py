"""How good is a policy: expected return, regret and their parts, with errors small enough to rank by."""

from heartpole_jax.evaluation.coffee import coffees_until_heart_attack
from heartpole_jax.evaluation.estimates import (
    AcrossSeeds,
    Estimate,
    across_seeds,
    estimate,
    format_estimate,
    interquartile_mean,
    without_attack_noise,
)
from heartpole_jax.evaluation.evaluator import BestKnown, Evaluation, Evaluator, Row, evaluator_of, gap_name
from heartpole_jax.evaluation.literature_scores import literature, published
from heartpole_jax.evaluation.literature_tables import Literature, Published
from heartpole_jax.evaluation.scoring import best_known, evaluate, leaderboard
from heartpole_jax.evaluation.tables import Leaderboard
from heartpole_jax.evaluation.targets import TargetValue, target_values

__all__ = [
    "AcrossSeeds",
    "BestKnown",
    "Estimate",
    "Evaluation",
    "Evaluator",
    "Leaderboard",
    "Literature",
    "Published",
    "Row",
    "TargetValue",
    "across_seeds",
    "best_known",
    "coffees_until_heart_attack",
    "estimate",
    "evaluate",
    "evaluator_of",
    "format_estimate",
    "gap_name",
    "interquartile_mean",
    "leaderboard",
    "literature",
    "published",
    "target_values",
    "without_attack_noise",
]
