"""Derivatives of expectations: right through heart attacks and choices, and labelled where they are not.

    found = gradients.estimate("return", key, policy=policy, wrt="hypertension_decay", estimator="marginal")
    found.gradient.mean["hypertension_decay"], found.gradient.standard_error["hypertension_decay"], found.unbiased

docs/gradients.md has each estimator's equation, cost and bias.
"""

from heartpole_jax.gradients.estimate import Gradient, estimate
from heartpole_jax.gradients.estimators import ESTIMATORS
from heartpole_jax.gradients.finite_differences import finite_differences
from heartpole_jax.gradients.moments import Moments
from heartpole_jax.gradients.objectives import Objective
from heartpole_jax.gradients.soft import Doses, SoftPolicy

__all__ = ["ESTIMATORS", "Doses", "Gradient", "Moments", "Objective", "SoftPolicy", "estimate", "finite_differences"]
