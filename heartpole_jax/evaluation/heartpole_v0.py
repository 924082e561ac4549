"""How good is a policy: expected return, regret and their parts, with errors small enough to rank by.

A heart attack costs 100 at 0.12 % a step, so single returns have a standard deviation of 111 while policies differ by
hundredths. Three things take the noise out (all of them unbiased):

- The noise of the penalty. With R the return, N the heart attacks and M = N - sum of the risks at their draws, M is a
  martingale: E[M] = 0 for every policy. So R + 100 beta M has the mean of R for any fixed beta, and beta =
  -Cov(R, 100 M) / Var(100 M) makes its variance smallest: beta = 1 puts the risks in the place of the attacks. It is
  estimated on one half of the episodes and used on the other, and the other way round.
- Exact sums. Risks are summed as their excess over risk(0), the rest is a multiple of a known number: in float32 the
  sum of 1000 risks would be wrong by up to 0.00003, the return by 0.003. The excess is a product, risk(h) sigma(6)
  (1 - exp(-h)), in which nothing cancels: exactly 0 for the sober.
- Common random numbers. All policies of a leaderboard are simulated on the same noise; differences have paired errors.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import PRNGKey

from heartpole_jax import arguments, validation
from heartpole_jax import policies as scripted
from heartpole_jax.envs.environment import HEARTPOLE_V0
from heartpole_jax.envs.heartpole_v0 import SLEEP_HALF_HOURS, Action, EnvParams
from heartpole_jax.optimum import heart_attack_floor, resting_risk, return_ceiling, sober_optimum
from heartpole_jax.policy import Policy, as_policy
from heartpole_jax.rollout import Transition, rollout

HALF_HOURS_A_DAY = 48
NUM_EPISODES = 65_536  # gives regrets to 0.00003 among the sober
_ENOUGH_ATTACKS = 30  # in half of the episodes, to learn from them what an attack does


class Estimate(NamedTuple):
    """A mean and its standard error."""

    mean: float
    standard_error: float


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The score of a policy, over `num_episodes` whole episodes of HeartPole-v0."""

    name: str
    num_episodes: int
    expected_return: Estimate
    regret: Estimate  # the best known expected return, that of `sober_optimum`, - expected_return
    score: Estimate  # productive half-hours a half-hour, W / t at the end
    heart_attacks: Estimate  # an episode
    excess_heart_attacks: Estimate  # over the floor that no policy gets below
    drinks_a_day: Estimate  # coffees and beers
    share_asleep: Estimate  # of the half-hours
    returns: np.ndarray  # (num_episodes,) each return without the noise of heart attacks, for paired comparisons


class AcrossSeeds(NamedTuple):
    """One number for each training seed, summarised."""

    median: float
    interquartile_mean: float
    interquartile_mean_low: float  # 95 % bootstrap interval
    interquartile_mean_high: float
    worst: float


class Row(NamedTuple):
    """A line of a leaderboard."""

    evaluation: Any  # an `Evaluation`, of this module or of `evaluation_v1`
    behind: Estimate  # the first line's expected return - this one's, paired


@arguments.checked(name=str)
def evaluate(
    policy: Policy | Callable[..., Any],
    key: PRNGKey,
    params: EnvParams | None = None,
    *,
    num_episodes: int = NUM_EPISODES,
    name: str = "policy",
    devices: Sequence[jax.Device] | None = None,
) -> Evaluation:
    """The value of a policy on HeartPole-v0 and its parts.

    Args:
      policy: as for `rollout`.
      key: the noise; two policies under one key have the same random numbers.
      params: plain numbers. `expected_penalty` is ignored: it changes no expectation.
      num_episodes: whole episodes of `params.max_steps` decisions, at least 4.
      name: for the table.
      devices: as for `rollout`.

    Raises:
      ValueError: for too few episodes, or parameters that are not plain numbers.
      RuntimeError: if the estimate lies above what any policy can reach, which would be an error of ours.
    """
    params = EnvParams() if params is None else params
    check(policy, key, params, EnvParams, num_episodes)
    best = sober_optimum(params).expected_return
    sums = rollout(
        policy,
        key,
        params,
        num_envs=num_episodes,
        total=_parts(resting_risk(params), float(params.heart_attack_threshold)),
        env=HEARTPOLE_V0,
        devices=devices,
    ).totals
    sums = {part: np.asarray(value, np.float64) for part, value in sums.items()}

    score = sums["productivity"] / sums["half_hours"]
    attacks, floor = sums["heart_attacks"], heart_attack_floor(params)
    risks, penalty = floor + sums["excess_risk"], float(params.heart_attack_penalty)
    returns = without_attack_noise(score - penalty * attacks, attacks, risks, -penalty)
    evaluation = Evaluation(
        name=name,
        num_episodes=num_episodes,
        expected_return=estimate(returns),
        regret=estimate(best - returns),
        score=estimate(score),
        heart_attacks=estimate(without_attack_noise(attacks, attacks, risks, 1.0)),
        excess_heart_attacks=estimate(without_attack_noise(attacks - floor, attacks, risks, 1.0)),
        drinks_a_day=estimate(HALF_HOURS_A_DAY * sums["drinks"] / sums["half_hours"]),
        share_asleep=estimate(SLEEP_HALF_HOURS * sums["sleeps"] / sums["half_hours"]),
        returns=returns,
    )
    mean, error = evaluation.expected_return
    if mean - 6 * error > return_ceiling(params):
        raise RuntimeError(
            f"{name}: an expected return of {mean} +- {error} is above the ceiling {return_ceiling(params)} of all "
            "policies; this evaluation is wrong, please report it"
        )
    return evaluation


@arguments.checked(key=validation.check_key, policies=Mapping, params=EnvParams)
def leaderboard(
    key: PRNGKey,
    policies: Mapping[str, Policy | Callable[..., Any]] | None = None,
    params: EnvParams | None = None,
    *,
    num_episodes: int = NUM_EPISODES,
    devices: Sequence[jax.Device] | None = None,
    progress: Callable[[str], None] = lambda name: None,
) -> list[Row]:
    """The policies (all scripted ones by default), best first, on the same noise.

    `progress` is called with each name before its turn; the rest is as for `evaluate`.
    """
    policies = default_policies(params) if policies is None else policies
    evaluate_one = functools.partial(evaluate, key=key, params=params, num_episodes=num_episodes, devices=devices)
    return rank(policies, evaluate_one, progress)


@arguments.checked(params=EnvParams)
def default_policies(params: EnvParams | None = None) -> dict[str, Policy]:
    """The scripted policies."""
    return {name: scripted.make(name, params) for name in scripted.SCRIPTED}


@arguments.typed()
def rank(
    policies: Mapping[str, Any], evaluate_one: Callable[..., Any], progress: Callable[[str], None] = lambda name: None
) -> list[Row]:
    """A leaderboard, best first: `evaluate_one(policy, name=name)` for each, after `progress(name)`."""
    if not policies:
        raise ValueError("policies must name at least one policy, got none")
    evaluations = []
    for name, policy in policies.items():
        progress(name)
        evaluations.append(evaluate_one(policy, name=name))
    evaluations.sort(key=lambda evaluation: -evaluation.expected_return.mean)
    return [Row(evaluation, estimate(evaluations[0].returns - evaluation.returns)) for evaluation in evaluations]


def check(policy: Any, key: Any, params: Any, kind: type, num_episodes: Any) -> None:
    """Raises TypeError or ValueError for what cannot be evaluated: before anything is solved for it.

    `kind` is that of the parameters.
    """
    as_policy(policy)
    validation.check_key("key", key)
    validation.check_type("params", params, kind)
    validation.check_size("num_episodes", num_episodes)
    if num_episodes < 4:
        raise ValueError(
            f"num_episodes must be at least 4, two for each half of the control variate, got {num_episodes}"
        )


@arguments.checked(values=validation.check_reals)
def estimate(values: np.ndarray) -> Estimate:
    """The mean of independent values and its standard error; never trimmed, which would trim the heart attacks away."""
    values = np.asarray(values, np.float64)
    if values.size < 2:
        raise ValueError(f"values must be at least two, for a standard error, got {values.size}")
    return Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(values.size)))


@arguments.checked(
    values=validation.check_reals,
    attacks=validation.check_reals,
    risks=validation.check_reals,
    per_attack=validation.check_number,
)
def without_attack_noise(values: np.ndarray, attacks: np.ndarray, risks: np.ndarray, per_attack: float) -> np.ndarray:
    """`values` less beta (`attacks` - `risks`), the noise of heart attacks.

    beta is by regression on the other half of the episodes. Where they saw too few heart attacks for one it is
    `per_attack`, what an attack does by itself.

    Args:
      values: of each episode, as are the other two.
      attacks: heart attacks.
      risks: their probabilities, summed; attacks - risks has mean 0 whatever the policy does.
      per_attack: the beta of a policy that goes on as if nothing had happened.

    Raises:
      TypeError: for what is no number.
      ValueError: where there is not one number an episode in all three.
    """
    if np.ndim(values) != 1 or not np.shape(values) == np.shape(attacks) == np.shape(risks):
        raise ValueError(
            "values, attacks and risks must be of one number an episode, got shapes "
            f"{np.shape(values)}, {np.shape(attacks)} and {np.shape(risks)}"
        )
    adjusted, martingale = np.array(values, np.float64), np.asarray(attacks) - np.asarray(risks)
    for here, there in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        beta = per_attack
        if attacks[there].sum() >= _ENOUGH_ATTACKS and np.ptp(attacks[there]) > 0:
            # Centred, though the mean is known to be 0: so a policy that never drinks gets its beta to the digit.
            centred = martingale[there] - martingale[there].mean()
            beta = np.mean(values[there] * centred) / np.mean(centred**2)
        adjusted[here] -= beta * martingale[here]
    return adjusted


def _check_seed(name: str, seed: Any) -> None:
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"{name} must be a whole number of at least 0, got {validation.shown(seed)}")


@arguments.checked(regrets=validation.check_reals, bootstrap_seed=_check_seed, num_resamples=validation.check_size)
def across_seeds(regrets: np.ndarray, *, bootstrap_seed: int, num_resamples: int = 10_000) -> AcrossSeeds:
    """Median, interquartile mean with a 95 % bootstrap interval, and the worst of one regret for each training seed.

    Raises:
      ValueError: for fewer than four seeds, or anything not finite.
    """
    regrets = np.asarray(regrets, np.float64)
    if regrets.ndim != 1 or regrets.size < 4 or not np.all(np.isfinite(regrets)):
        raise ValueError(f"regrets must be at least four finite numbers, one a seed, got {regrets!r}")
    generator = np.random.default_rng(bootstrap_seed)
    resamples = generator.choice(regrets, (num_resamples, regrets.size))
    low, high = np.quantile(interquartile_mean(resamples), [0.025, 0.975])
    return AcrossSeeds(
        median=float(np.median(regrets)),
        interquartile_mean=float(interquartile_mean(regrets)),
        interquartile_mean_low=float(low),
        interquartile_mean_high=float(high),
        worst=float(regrets.max()),
    )


@arguments.checked(
    key=validation.check_key, params=EnvParams, num_patients=validation.check_size, max_coffees=validation.check_size
)
def coffees_until_heart_attack(
    key: PRNGKey, num_patients: int, params: EnvParams | None = None, max_coffees: int = 400
) -> np.ndarray:
    """The tutorial's experiment, many times: cups of coffee until the first heart attack, the fatal cup included.

    Returns int64 of shape (num_patients,); `max_coffees + 1` for those who survive so many.
    """
    coffee = scripted.always(Action.COFFEE)
    attacks = rollout(
        coffee, key, params, num_envs=num_patients, num_steps=max_coffees, total=None, record=_heart_attack
    ).records
    attacks = np.asarray(attacks)
    return np.where(attacks.any(axis=0), attacks.argmax(axis=0), max_coffees) + 1


def _heart_attack(transition: Transition):
    return transition.info.heart_attack


@functools.lru_cache(maxsize=32)
def _parts(floor: float, threshold: float) -> Callable[[Transition], dict[str, Any]]:
    """What `evaluate` sums over an episode; cached, so that the same floor finds its compiled program again."""
    spared = float(0.5 + 0.5 * np.tanh(0.5 * threshold))  # sigma(c), which this way does not overflow

    def parts(transition: Transition) -> dict[str, Any]:
        info, action = transition.info, transition.action
        drinks = (action == Action.COFFEE) | (action == Action.BEER)
        # kappa sigma(h - c) - kappa sigma(-c). An attack has wiped h out, and few steps have one.
        excess = info.heart_attack_risk * spared * -jnp.expm1(-transition.next_state.hypertension)
        is_sober = (transition.state.hypertension == 0.0) & ~drinks
        attacked = jnp.where(is_sober, 0.0, info.heart_attack_risk - floor)
        return {
            "productivity": info.productivity,
            "half_hours": info.half_hours,
            "heart_attacks": info.heart_attack,
            "excess_risk": jnp.where(info.heart_attack, attacked, excess),
            "drinks": drinks,
            "sleeps": action == Action.SLEEP,
        }

    return parts


@arguments.checked(values=validation.check_reals)
def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the middle half along the last axis: a quarter of the values, rounded down, cut off at either end.

    Raises:
      TypeError: for what is no array of real numbers.
      ValueError: for none of them.
    """
    values = np.asarray(values)
    if values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(f"values must be at least one along the last axis, got shape {values.shape}")
    cut = values.shape[-1] // 4
    return np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1)
