"""What matters: how much each constant of the body changes what a policy comes to.

    found = sensitivity(policies.make("reference"), key)
    found.outcomes["heart_attacks"].influences["hypertension_decay"].elasticity     Estimate(mean, standard_error)
    print(as_text(found, "reference"))

The policy stays what it is, the body changes: one made for certain parameters, `policies.optimal` say, does not adapt.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from chex import Array, PRNGKey

from heartpole_jax import arguments, gradients, validation
from heartpole_jax.envs.environment import Environment, imported
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.evaluation import Estimate
from heartpole_jax.gradients.actors import as_actor
from heartpole_jax.gradients.checking import CLOCK, checked_steps, differentiable
from heartpole_jax.gradients.dependence import depends_on_obs
from heartpole_jax.gradients.objectives import SCORE_AND_PENALTY
from heartpole_jax.policy import Policy, as_policy

OUTCOMES = ("score", "heart_attacks", "return")
NEGLIGIBLE = 1e-4  # % for one %: too small to matter, and rounding is below
# To integrate over heart attacks is num_steps times as much work, and leaves little noise.
_NUM_EPISODES = {"marginal": 128, "finite_differences": 4096}
_OTHER_NUM_EPISODES = 1024


class Influence(NamedTuple):
    """What one parameter does to one outcome J; see `sensitivity`."""

    at: float  # theta, the parameter's value
    derivative: Estimate  # dJ / dtheta
    elasticity: Estimate  # % of |J| for one % of theta
    effect: Estimate  # % of |J| for one % of the parameter's size


class OutcomeSensitivity(NamedTuple):
    """All parameters' influences on one outcome."""

    value: Estimate  # J
    influences: dict[str, Influence]

    def ranked(self) -> list[str]:
        """The parameters that matter, by elasticity, those with nothing but an effect last."""
        size = {name: (abs(x.elasticity.mean), abs(x.effect.mean)) for name, x in self.influences.items()}
        return sorted((name for name in size if max(size[name]) >= NEGLIGIBLE), key=size.__getitem__, reverse=True)


@dataclasses.dataclass(frozen=True)
class Sensitivity:
    """What `sensitivity` found, how, and what that promises."""

    outcomes: dict[str, OutcomeSensitivity]  # of `OUTCOMES`
    estimator: str
    unbiased: bool
    promise: str
    num_episodes: int
    num_steps: int


@arguments.checked(key=validation.check_key, env=Environment)
def sensitivity(
    policy: Policy | gradients.SoftPolicy | gradients.Doses | Callable[[PRNGKey, Array], Any],
    key: PRNGKey,
    params: Any = None,
    *,
    env: Environment = HEARTPOLE_V0,
    num_episodes: int | None = None,
    num_steps: int | None = None,
    estimator: str | None = None,
) -> Sensitivity:
    """The influence of every constant of an environment on score, heart attacks and return, with standard errors.

    The elasticity is theta / |J| dJ/dtheta, the percentage by which an outcome J rises for one percent more of a
    parameter theta. + is always more of it: of a negative return that is a smaller loss. A parameter that is 0 has no
    percent and the elasticity 0, and one percent of a decay of 0.97 is a third of what is lost. So there is an effect
    as well, the percentage for one percent of a size that means something to a body:

    - of the ends of a dose's range, the mean dose: of 0 .. 0.3 it is 0.15;
    - of a decay, what is lost in a half-hour, 1 - theta: the effect is about that of a half-life longer by one percent;
    - of all others |theta|, and where that is 0 the default's.

    Both are NaN where J is 0. HeartPole-v0's return is score - penalty x heart attacks, and so are its derivatives.
    Errors of ratios and differences are the sums of their parts' (the delta method, without the parts' covariance): to
    first order never too small. They hold no bias.

    Args:
      policy: who acts; it stays the same.
      key: of the noise, that of `rollout` under the same key.
      params: plain numbers; of HeartPole-v1's menu the doses stay as they are.
      env: an environment that shows hypertension, work_done and time_elapsed, and has heart attacks.
      num_episodes: independent episodes, by default 128 for marginal, 4,096 for finite differences, 1,024 for others.
      num_steps: decisions of an episode, the time limit by default.
      estimator: one of `gradients.ESTIMATORS`, or "finite_differences". By default marginal where the policy does not
        look at hypertension and its actions do not jump with parameters, else hybrid for a soft policy, whose actions
        do not jump either, else finite_differences. What it looks at is tried out (see `gradients.dependence`).

    Raises:
      ValueError: for another environment, parameters that are not plain numbers, an unknown estimator, and as
        `gradients.estimate`.
      TypeError: for a policy that is none.
    """
    if not isinstance(policy, gradients.SoftPolicy | gradients.Doses):
        policy = as_policy(policy)
    params = env.params_or_default(params)
    missing = [name for name in ("hypertension", "work_done", "time_elapsed") if name not in env.obs_names]
    if missing:
        raise ValueError(f"a sensitivity is of score and heart attacks, and {env.name!r} shows no {', '.join(missing)}")
    values = _plain_numbers(params)
    num_steps = checked_steps(num_steps, env, params, policy)
    if num_episodes is not None:  # before the estimator is chosen, which compiles programs
        validation.check_size("num_episodes", num_episodes)
    if estimator is None:
        estimator = choose_estimator(policy, key, params, num_steps, env)
    validation.look_up({**gradients.ESTIMATORS, "finite_differences": None}, estimator, "estimator")
    num_episodes = _NUM_EPISODES.get(estimator, _OTHER_NUM_EPISODES) if num_episodes is None else num_episodes

    telescopes = imported(env.return_objective) is SCORE_AND_PENALTY
    gradient = _gradients(
        ("heart_attacks", "score") if telescopes else ("heart_attacks", "score", "return"), estimator, key, params,
        {"policy": policy, "wrt": differentiable(params, env), "num_episodes": num_episodes, "num_steps": num_steps,
         "env": env},
    )  # fmt: skip
    attacks, found = gradient["heart_attacks"], {name: _estimates(each) for name, each in gradient.items()}
    if telescopes:
        found["return"] = _return(found["score"], found["heart_attacks"], values["heart_attack_penalty"])
    defaults = _plain_numbers(env.default_params)
    return Sensitivity(
        outcomes={name: _influences(*found[name], values, defaults) for name in OUTCOMES},
        estimator=estimator,
        unbiased=attacks.unbiased,
        promise=attacks.promise,
        num_episodes=num_episodes,
        num_steps=num_steps,
    )


def choose_estimator(
    policy: Policy | gradients.SoftPolicy | gradients.Doses,
    key: PRNGKey,
    params: Any,
    num_steps: int,
    env: Environment = HEARTPOLE_V0,
) -> str:
    """The name of the estimator that keeps its promise for this policy, and does so with the least noise."""
    actor = as_actor(policy, env)

    def looks(counts: Callable[[str], bool]) -> set[int]:
        columns = tuple(i for i, name in enumerate(env.obs_names) if counts(name))
        return depends_on_obs(actor, params, key, env, num_steps, columns)

    if not isinstance(policy, Policy):
        return "hybrid" if looks(lambda name: name == "hypertension") else "marginal"
    return "finite_differences" if looks(lambda name: name not in CLOCK) else "marginal"


@arguments.typed()
def as_text(found: Sensitivity, name: str) -> str:
    """A table for each outcome of what the policy called `name` depends on, and how that was found."""
    lines = [
        f"{name}: {found.num_episodes:,} episodes of {found.num_steps:,} decisions; ± is one standard error",
        f"{found.estimator}: {found.promise}",
        "elasticity: % of the outcome for 1 % of the value; effect: for 1 % of a mean dose, of what a decay takes, or "
        "of the value",
    ]
    cells: list[tuple[str, ...]] = []
    for outcome_name, outcome in found.outcomes.items():
        ranked = outcome.ranked()
        heading = f"{outcome_name.replace('_', ' ')} {_text(outcome.value)}"
        cells += [(), (heading, "value", "derivative", "elasticity", "effect")]
        for parameter in ranked:
            at, *estimates = outcome.influences[parameter]
            cells.append((f"  {parameter}", f"{at:g}", *map(_text, estimates)))
        others = f"{len(outcome.influences) - len(ranked)} others: less than {NEGLIGIBLE:g} %"
        cells.append((f"  {others if outcome.value.mean else 'it is 0, which has no percent'}",))
    widths = [max(len(line[i]) for line in cells if len(line) > i) for i in range(5)]
    for line in cells:
        padded = [f"{text:{'>' if i else '<'}{widths[i]}}" for i, text in enumerate(line)]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _gradients(
    outcomes: tuple[str, ...], estimator: str, key: PRNGKey, params: Any, common: dict[str, Any]
) -> dict[str, gradients.Gradient]:
    """The gradient of each outcome."""
    if estimator == "finite_differences":
        # Attacks are sampled: where days shift with a parameter, theirs is not the noise that counts, and a
        # hundred times as many episodes are better than their integral.
        return {
            outcome: gradients.finite_differences(outcome, key, params, integrate_attacks=False, **common)
            for outcome in outcomes
        }
    options: dict[str, dict[str, Any]] = {outcome: {"estimator": estimator} for outcome in outcomes}
    if estimator == "marginal":
        # Where actions do not look at hypertension the score depends on no heart attack: there is nothing to integrate.
        # But the pathwise estimator leaves a soft policy's probabilities out.
        soft = isinstance(common["policy"], gradients.SoftPolicy)
        options["score"] = {"estimator": "marginal", "window": 2} if soft else {"estimator": "pathwise"}
    return {outcome: gradients.estimate(outcome, key, params, **options[outcome], **common) for outcome in outcomes}


def _plain_numbers(params: Any) -> dict[str, float]:
    """The parameters that are numbers; ValueError where one is several, or not known."""
    values = {name: value for name, value in vars(params).items() if not dataclasses.is_dataclass(value)}
    for name, value in values.items():
        if isinstance(value, jax.core.Tracer) or np.shape(value) != ():
            raise ValueError(f"a sensitivity is that of one set of plain numbers, got {value!r} for EnvParams.{name}")
    return {name: float(value) for name, value in values.items()}


def _estimates(found: gradients.Gradient) -> tuple[Estimate, dict[str, Estimate]]:
    """(value, derivatives)."""
    pair = lambda mean, error: Estimate(float(mean), float(error))
    value, gradient = found.value, found.gradient
    derivatives = {name: pair(mean, gradient.standard_error[name]) for name, mean in gradient.mean.items()}
    return pair(value.mean, value.standard_error), derivatives


def _return(score: tuple, attacks: tuple, penalty: float) -> tuple[Estimate, dict[str, Estimate]]:
    """score - penalty attacks, (value, derivatives)."""
    less = lambda a, b: Estimate(a.mean - penalty * b.mean, a.standard_error + penalty * b.standard_error)
    derivatives = {name: less(score[1][name], attacks[1][name]) for name in score[1]}
    mean, error = derivatives["heart_attack_penalty"]
    derivatives["heart_attack_penalty"] = Estimate(mean - attacks[0].mean, error + attacks[0].standard_error)
    return less(score[0], attacks[0]), derivatives


def _influences(
    value: Estimate, derivatives: dict[str, Estimate], values: dict[str, float], defaults: dict[str, float]
) -> OutcomeSensitivity:
    influences = {
        name: Influence(
            at=at,
            derivative=derivatives[name],
            elasticity=_relative(derivatives[name], value, at),
            effect=_relative(derivatives[name], value, _size(name, values, defaults)),
        )
        for name, at in values.items()
        if name in derivatives
    }
    return OutcomeSensitivity(value, influences)


def _relative(derivative: Estimate, value: Estimate, size: float) -> Estimate:
    """size / |J| dJ/dtheta, and its error, to first order in both."""
    if value.mean == 0:
        return Estimate(math.nan, math.nan)
    if size == 0:
        return Estimate(0.0, 0.0)
    scale, share = size / abs(value.mean), abs(derivative.mean / value.mean)
    error = abs(scale) * (derivative.standard_error + share * value.standard_error)
    return Estimate(scale * derivative.mean, error)


def _size(name: str, values: dict[str, float], defaults: dict[str, float]) -> float:
    """What one percent is taken of, in an effect."""
    stem, _, end = name.rpartition("_")
    if end in ("low", "high"):
        return (abs(values[f"{stem}_low"]) + abs(values[f"{stem}_high"])) / 2
    if end == "decay":
        return 1.0 - values[name]
    return abs(values[name] or defaults[name])


def _text(value: Estimate) -> str:
    """`mean ± standard error`, to two digits of the error, six decimals at most."""
    mean, error = value
    if not error >= 1e-6:
        return f"{mean:.6g} ± {error:.0e}" if error > 0 else f"{mean:.6g} ± {error:g}"
    decimals = min(6, max(0, 1 - math.floor(math.log10(error))))
    return f"{mean:.{decimals}f} ± {error:.{decimals}f}"
