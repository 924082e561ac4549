"""HeartPole-v0: be productive without a heart attack. State, parameters, random numbers, and one pure step.

    noise = sample_noise(key)                                              the random numbers
    state, obs, reward, done = transition(state, action, noise, params)    the body: deterministic
    state, obs, reward, done = step(state, action, key, params)            both

Everything is written for one patient; `jax.vmap` makes a clinic of it. Source: see `physiology`. Where the tutorial and
its package differ the tutorial wins; we depart from both in two ways, which change no value: the reward is computed
without the cancellation of two nearly equal scores (see `transition`), and the time limit is a parameter.
"""

import dataclasses
import enum
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, Numeric, PRNGKey

from heartpole_jax import arguments, struct, threefry, validation
from heartpole_jax.envs import physiology
from heartpole_jax.envs.display import ActionInfo, Gauge, Level
from heartpole_jax.envs.environment import Environment, made_by

SLEEP_HALF_HOURS = 16
NUM_ACTIONS = 4
OBS_SHAPE = (6,)
OBS_NAMES = ("alertness", "hypertension", "intoxication", "time_since_slept", "time_elapsed", "work_done")


class Action(enum.IntEnum):
    """What a developer can do in a half-hour, before working for the rest of it."""

    NOTHING = 0
    COFFEE = 1
    BEER = 2
    SLEEP = 3


@struct.dataclass
class EnvState:
    """One patient. Floats are JAX's default float, counters int32, all of shape ().

    `time_elapsed` grows by at most 17 a step, so int32 lasts for 126 million steps.
    """

    alertness: Array  # arbitrary units, 1 is rested; any real
    hypertension: Array  # arbitrary units, 0 is normal; >= 0
    intoxication: Array  # blood alcohol content in %; >= 0
    time_since_slept: Array  # half-hours
    time_elapsed: Array  # half-hours
    work_done: Array  # productive half-hours; any real
    num_steps: Array  # decisions taken


@struct.dataclass
class Noise:
    """The four uniforms in [0, 1) of one step, always drawn, each with its own use, floats of shape ()."""

    alertness: Array  # dose of coffee, of beer; alertness on waking up
    hypertension: Array  # dose of coffee, of beer
    intoxication: Array  # dose of beer
    heart_attack: Array  # a heart attack happens where this is below the risk


@struct.dataclass
class StepInfo:
    """What happened in one step, for those who measure."""

    productivity: Array  # productive half-hours done
    half_hours: Array  # int32, 1 or 17
    heart_attack_risk: Array  # probability, at the draw
    heart_attack: Array  # bool


@struct.dataclass
class EnvParams(metaclass=validation.Checked):
    """Every constant of HeartPole-v0, each a leaf that can be vmapped, swept and differentiated.

    `dataclasses.replace` makes a variant. Values known when the object is built (numbers and arrays,
    not tracers) are checked.

    Raises:
      ValueError: for a value out of range or not finite.
      TypeError: for a value that is not a number.
    """

    max_steps: Numeric = 1000  # decisions until `done`, a time limit
    heart_attack_proclivity: Numeric = 0.5  # risk per step at infinite hypertension
    heart_attack_threshold: Numeric = 6.0  # hypertension of half that risk
    heart_attack_penalty: Numeric = 100.0
    expected_penalty: Numeric = 0.0  # beta: penalty of ((1 - beta) attack + beta risk); 0 is the tutorial
    hypertension_decay: Numeric = 0.97  # factor a half-hour
    intoxication_decay: Numeric = 0.97
    fatigue_onset: Numeric = 40.0  # half-hours awake
    fatigue_width: Numeric = 10.0
    anxiety_threshold: Numeric = 3.0  # alertness
    ballmer_limit: Numeric = 0.05  # % blood alcohol
    ballmer_steepness: Numeric = 50.0  # per %
    ballmer_peak: Numeric = 0.135  # %
    ballmer_peak_width: Numeric = 0.005  # %
    ballmer_peak_height: Numeric = 2.0
    wake_up_alertness_low: Numeric = 0.7
    wake_up_alertness_high: Numeric = 1.3
    coffee_alertness_low: Numeric = 0.0
    coffee_alertness_high: Numeric = 1.0
    coffee_hypertension_low: Numeric = 0.0
    coffee_hypertension_high: Numeric = 0.3
    beer_alertness_loss_low: Numeric = 0.0
    beer_alertness_loss_high: Numeric = 0.5
    beer_hypertension_low: Numeric = 0.0
    beer_hypertension_high: Numeric = 0.3
    beer_intoxication_low: Numeric = 0.01  # %
    beer_intoxication_high: Numeric = 0.03  # %

    def __check__(self) -> None:
        validate(self)


_NUMBERS = tuple(field.name for field in dataclasses.fields(EnvParams))
_IN_UNIT_INTERVAL = ("heart_attack_proclivity", "expected_penalty", "hypertension_decay", "intoxication_decay")
_POSITIVE = ("fatigue_width", "ballmer_peak_width")
_NON_NEGATIVE = ("heart_attack_penalty", "ballmer_steepness", "ballmer_peak_height",
                 "coffee_hypertension_low", "beer_hypertension_low", "beer_intoxication_low")  # fmt: skip
_RANGES = ("wake_up_alertness", "coffee_alertness", "coffee_hypertension",
           "beer_alertness_loss", "beer_hypertension", "beer_intoxication")  # fmt: skip


@arguments.typed()
def validate(params: EnvParams) -> None:
    """Checks every value of `params` that is known now (tracers pass). Raises as `EnvParams`, which calls this."""
    validation.check_numbers(params, _NUMBERS)
    validation.check_values(
        params,
        ["max_steps"],
        "a whole number from 1 to 2^31 - 1",
        lambda x: (x >= 1) & (x == np.floor(x)) & (x < 2**31),
    )
    validation.check_values(params, _IN_UNIT_INTERVAL, "in [0, 1]", lambda x: (x >= 0) & (x <= 1))
    validation.check_values(params, _POSITIVE, "greater than 0", lambda x: x > 0)
    validation.check_values(params, _NON_NEGATIVE, "at least 0", lambda x: x >= 0)
    validation.check_ranges(params, _RANGES)


def sample_noise(key: PRNGKey) -> Noise:
    """The noise of one step: four independent uniforms from one key (see `threefry.uniforms` for their grain)."""
    # In the order of the pytree's leaves, so that two neighbours come out of one block (see `rollout._pair`).
    alertness, heart_attack, hypertension, intoxication = threefry.uniforms(key, 4)
    return Noise(alertness=alertness, hypertension=hypertension, intoxication=intoxication, heart_attack=heart_attack)


def sample_wake_up(key: PRNGKey) -> Array:
    """Noise of a reset: one uniform in [0, 1), a float of shape (). Independent of `sample_noise` of the same key."""
    return threefry.uniforms(key, 1, first_block=4)[0]


def initial_state(u: Numeric, params: EnvParams | None = None) -> EnvState:
    """The state of a patient who has just woken up, `u` in [0, 1) deciding how rested (fact 1). No random numbers."""
    params = EnvParams() if params is None else params
    validation.check_type("params", params, EnvParams)
    return awake_state(u, params)


def _check_patient(name: str, value: Any) -> None:
    if not hasattr(value, "work_done"):
        raise TypeError(f"{name} must be the EnvState of a version of HeartPole, got {arguments.described(value)}")


def _check_params(name: str, value: Any) -> None:
    if not hasattr(value, "wake_up_alertness_low"):
        raise TypeError(f"{name} must be the EnvParams of a version of HeartPole, got {arguments.described(value)}")


@arguments.checked(u=validation.check_number, params=_check_params)
def awake_state(u: Numeric, params: Any) -> EnvState:
    """The same, for any parameters that have a waking alertness."""
    float_dtype = jnp.result_type(float)
    alertness = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, u)
    # An array of its own for each: one that two leaves share cannot be donated.
    zero, count = (functools.partial(jnp.zeros, (), dtype) for dtype in (float_dtype, jnp.int32))
    return EnvState(
        alertness=jnp.asarray(alertness, float_dtype),
        hypertension=zero(),
        intoxication=zero(),
        time_since_slept=count(),
        time_elapsed=count(),
        work_done=zero(),
        num_steps=count(),
    )


def reset(key: PRNGKey, params: EnvParams | None = None) -> tuple[EnvState, Array]:
    """A new patient: (state, obs)."""
    if params is not None:
        validation.check_type("params", params, EnvParams)
    state = initial_state(sample_wake_up(key), params)
    return state, observe(state)


def observe(state: EnvState) -> Array:
    """The observation, floats of shape (6,): alertness, hypertension, intoxication, time_since_slept, time_elapsed,
    work_done, raw, as in the tutorial. Counters are floats here, exact up to 2^24 in float32."""
    validation.check_type("state", state, EnvState, "reset and step return the state first, then obs")
    return jnp.stack([jnp.asarray(getattr(state, name), state.alertness.dtype) for name in OBS_NAMES])


def terminated(state: EnvState) -> Array:
    """False: nothing ends a HeartPole episode but the time limit. Not even a heart attack."""
    if not hasattr(state, "num_steps"):
        validation.check_type("state", state, EnvState)
    return jnp.zeros_like(state.num_steps, bool)


@arguments.typed()
def drink_coffee(state: EnvState, noise: Noise, params: EnvParams) -> EnvState:
    """The patient after a coffee (fact 2): more alert, more tense."""
    return dataclasses.replace(
        state,
        alertness=state.alertness
        + physiology.uniform_between(params.coffee_alertness_low, params.coffee_alertness_high, noise.alertness),
        hypertension=state.hypertension
        + physiology.uniform_between(
            params.coffee_hypertension_low, params.coffee_hypertension_high, noise.hypertension
        ),
    )


@arguments.typed()
def drink_beer(state: EnvState, noise: Noise, params: EnvParams) -> EnvState:
    """The patient after a beer (fact 3): less alert, more tense, drunker."""
    return dataclasses.replace(
        state,
        alertness=state.alertness
        - physiology.uniform_between(params.beer_alertness_loss_low, params.beer_alertness_loss_high, noise.alertness),
        hypertension=state.hypertension
        + physiology.uniform_between(params.beer_hypertension_low, params.beer_hypertension_high, noise.hypertension),
        intoxication=state.intoxication
        + physiology.uniform_between(params.beer_intoxication_low, params.beer_intoxication_high, noise.intoxication),
    )


@arguments.typed()
def sleep(state: EnvState, noise: Noise, params: EnvParams) -> EnvState:
    """The patient after sixteen half-hours of sleep, waking up rested (facts 1, 5 and 6)."""
    # Unrolled whole: fatigue during sleep is overwritten on waking up, and only straight-line code lets the compiler
    # see that and drop its sixteen sigmoids.
    state = jax.lax.fori_loop(0, SLEEP_HALF_HOURS, lambda _, s: half_hour_passed(s, params), state, unroll=True)
    rested = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, noise.alertness)
    return dataclasses.replace(
        state,
        alertness=jnp.asarray(rested, state.alertness.dtype),
        time_since_slept=jnp.zeros_like(state.time_since_slept),
    )


@arguments.typed()
def half_hour_passed(state: EnvState, params: EnvParams) -> EnvState:
    """The patient half an hour later: fatigue (by the time_since_slept before it grows), decay, the clock."""
    fatigue = physiology.alertness_decay(
        state.time_since_slept.astype(state.alertness.dtype), params.fatigue_onset, params.fatigue_width
    )
    return dataclasses.replace(
        state,
        alertness=state.alertness - fatigue,
        hypertension=physiology.decay(state.hypertension, params.hypertension_decay),
        intoxication=physiology.decay(state.intoxication, params.intoxication_decay),
        time_since_slept=state.time_since_slept + 1,
        time_elapsed=state.time_elapsed + 1,
    )


@arguments.checked(state=_check_patient, params=_check_params)
def productivity(state: Any, params: Any) -> Array:
    """Productive half-hours that the patient, of any version, does in half an hour of work, now."""
    ballmer = physiology.ballmer_function(
        state.intoxication,
        params.ballmer_limit,
        params.ballmer_steepness,
        params.ballmer_peak,
        params.ballmer_peak_width,
        params.ballmer_peak_height,
    )
    return physiology.productivity(state.alertness, ballmer, params.anxiety_threshold)


def transition_info(
    state: EnvState, action: Numeric, noise: Noise, params: EnvParams | None = None
) -> tuple[EnvState, Array, Array, Array, StepInfo]:
    """`transition`, and a `StepInfo` of what happened: (state, obs, reward, done, info)."""
    params = EnvParams() if params is None else params
    check_step(state, noise, params, EnvState, EnvParams)
    action = check_action(action)

    acted = _where(action == Action.COFFEE, drink_coffee(state, noise, params), state)
    acted = _where(action == Action.BEER, drink_beer(state, noise, params), acted)
    acted = _where(action == Action.SLEEP, sleep(state, noise, params), acted)

    return work_half_hour(state, acted, noise, params)


@arguments.typed()
def work_half_hour(
    before: EnvState, acted: EnvState, noise: Noise, params: EnvParams
) -> tuple[EnvState, Array, Array, Array, StepInfo]:
    """What follows every action, half an hour of work and perhaps a heart attack: as `transition_info` returns it.

    `before` is the patient before the action, whose score the reward is measured from, `acted` the one after it.
    """
    work = productivity(acted, params)
    worked = half_hour_passed(acted, params)
    half_hours = worked.time_elapsed - before.time_elapsed
    # W'/t' - W/t cancels in float32 (relative error 7 % after a million half-hours); this is the same number.
    old_score = physiology.score(before.work_done, before.time_elapsed)
    score_gain = (work - half_hours.astype(work.dtype) * old_score) / worked.time_elapsed.astype(work.dtype)

    risk = physiology.heart_attack_risk(
        worked.hypertension, params.heart_attack_proclivity, params.heart_attack_threshold
    )
    attack = noise.heart_attack < risk
    expected = params.expected_penalty
    penalty = params.heart_attack_penalty * ((1.0 - expected) * attack.astype(risk.dtype) + expected * risk)

    after = dataclasses.replace(
        worked,
        hypertension=jnp.where(attack, 0.0, worked.hypertension),
        work_done=before.work_done + work,
        num_steps=before.num_steps + 1,
    )
    info = StepInfo(productivity=work, half_hours=half_hours, heart_attack_risk=risk, heart_attack=attack)
    return after, observe(after), score_gain - penalty, after.num_steps >= params.max_steps, info


def transition(
    state: EnvState, action: Numeric, noise: Noise, params: EnvParams | None = None
) -> tuple[EnvState, Array, Array, Array]:
    """One decision, the random numbers given: (state, obs, reward, done). Deterministic and differentiable.

    The action, then half an hour of work, then perhaps a heart attack (reward - 100, hypertension 0). The reward is the
    gain in mean productivity W / t, computed as (p - d S) / (t + d), with p the productivity of the step, d its
    half-hours and S = W / t the score before.

    Args:
      state: one patient; map over many with `jax.vmap`.
      action: an integer of shape (), see `Action`. Under jit and vmap a value outside 0 .. 3 acts as NOTHING, and
        `environment.checked` reports it.
      noise: four uniforms, see `sample_noise`.
      params: the constants, `EnvParams()` by default.

    Returns:
      The next state, its observation of shape (6,), the reward, and `done`, True from the decision `params.max_steps`
      on: a time limit, never a death. The state goes on if it is stepped further.

    Raises:
      TypeError: if the action is not an integer.
      ValueError: if it is not a scalar, or is known now and outside 0 .. 3.
    """
    return transition_info(state, action, noise, params)[:4]


def step(
    state: EnvState, action: Numeric, key: PRNGKey, params: EnvParams | None = None
) -> tuple[EnvState, Array, Array, Array]:
    """One decision, with random numbers from `key`: `transition(state, action, sample_noise(key), params)`."""
    return transition(state, action, sample_noise(key), params)


@arguments.checked(state_type=type, params_type=type)
def check_step(state: Any, noise: Any, params: Any, state_type: type, params_type: type) -> None:
    """Raises TypeError for an argument of `transition` of another type, ValueError for a state of several patients."""
    validation.check_type("state", state, state_type, "reset and step return the state first, then obs")
    validation.check_type("noise", noise, Noise, "sample_noise(key) draws it; step takes the key itself")
    validation.check_type("params", params, params_type)
    for name, part in (("state", state), ("noise", noise)):
        for field, leaf in vars(part).items():
            arguments.check_numeric(f"{name}.{field}", leaf)
    if any(np.shape(leaf) != () for leaf in vars(state).values()):
        raise ValueError(
            f"state must be one patient's, of leaves of shape (), got {np.shape(state.alertness)}; jax.vmap the step "
            "over a batch"
        )


def check_action(action: Numeric, num_actions: int = NUM_ACTIONS) -> Array:
    """`action` as an int32 scalar. Raises as `transition` does."""
    validation.check_size("num_actions", num_actions)
    # Numbers stay in NumPy until they are checked: JAX would wrap one of more than 32 bits into the range.
    array = action if isinstance(action, jax.Array) else arguments.as_array("action", action)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise TypeError(
            f"action must be an integer in 0 .. {num_actions - 1}, got {validation.shown(action)} of dtype "
            f"{array.dtype}"
        )
    if array.shape != ():
        raise ValueError(
            f"action must be a scalar, got shape {array.shape}; a step is one patient's: jax.vmap it over a batch"
        )
    if not isinstance(array, jax.core.Tracer) and not 0 <= int(array) < num_actions:
        raise ValueError(f"action must be in 0 .. {num_actions - 1}, got {int(array)}")
    return jnp.asarray(array, jnp.int32)


def _where(condition: Array, chosen: EnvState, otherwise: EnvState) -> EnvState:
    return jax.tree.map(functools.partial(jnp.where, condition), chosen, otherwise)


def hours_awake(moment: Any) -> str:
    """How long a patient has been awake, for a picture."""
    return f"awake for {moment.values['time_since_slept'] / 2:,g} h"


def risk(moment: Any) -> str:
    """The heart attack risk of the last decision, for a picture."""
    return f"risk {100 * moment.heart_attack_risk:.2f} %"


ALERTNESS_GAUGE = Gauge(
    "alertness", "alertness", "alertness (1 = rested)",
    full=4.0, frame=(-1.0, 4.0), chart=(0.0, 1.0), colour="blue",
    frame_levels=(Level(1.0, "rested"), Level("anxiety_threshold", "anxious", headroom=4 / 3)), note=hours_awake,
)  # fmt: skip
HYPERTENSION_GAUGE = Gauge(
    "hypertension", "blood pressure", "hypertension (0 = normal)",
    full=10.0, frame=(0.0, 9.0), chart=(0.0, 1.0), colour="vermillion",
    frame_levels=(Level("heart_attack_threshold", "half the risk", headroom=1.5),),
    chart_level=Level("heart_attack_threshold", "half the highest risk"), note=risk,
)  # fmt: skip
INTOXICATION_GAUGE = Gauge(
    "intoxication", "blood alcohol", "blood alcohol (%)",
    full=0.2, frame=(0.0, 0.2), chart=(0.0, 0.02), colour="orange", unit=" %", decimals=3,
    frame_levels=(Level("ballmer_peak", "Ballmer peak", headroom=1.4),),
    chart_level=Level("ballmer_peak", "Ballmer peak"),
)  # fmt: skip
NON_NEGATIVE = frozenset({"hypertension", "intoxication", "time_since_slept", "time_elapsed", "num_steps"})


def _non_negative(params: EnvParams) -> frozenset[str]:
    return NON_NEGATIVE


def environment() -> Environment:
    """`HEARTPOLE_V0`, always the same object."""
    return HEARTPOLE_V0


HEARTPOLE_V0 = Environment(
    name="HeartPole-v0",
    num_actions=NUM_ACTIONS,
    obs_shape=OBS_SHAPE,
    default_params=EnvParams(),
    sample_start=sample_wake_up,
    initial_state=initial_state,
    sample_noise=sample_noise,
    transition=transition,
    transition_info=transition_info,
    observe=observe,
    terminated=terminated,
    obs_names=OBS_NAMES,
    actions=(
        ActionInfo("nothing", idles=True),
        ActionInfo("coffee"),
        ActionInfo("beer"),
        ActionInfo("sleep", half_hours=SLEEP_HALF_HOURS, wakes_up=True),
    ),
    non_negative=_non_negative,
    gauges=(ALERTNESS_GAUGE, HYPERTENSION_GAUGE, INTOXICATION_GAUGE),
    policies="heartpole_jax.policies.heartpole_v0:SCRIPTED",
    published_policies="heartpole_jax.policies.literature:PUBLISHED",
    shown_policy="reference",
    evaluator="heartpole_jax.evaluation.heartpole_v0:EVALUATOR",
    return_objective="heartpole_jax.gradients.objectives:SCORE_AND_PENALTY",
    fractional_transition_info="heartpole_jax.gradients.soft:fractional_transition_info",
    true_of=(initial_state, sample_noise, transition_info),
)
made_by(HEARTPOLE_V0, environment)
