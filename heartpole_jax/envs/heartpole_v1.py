"""HeartPole-v1, the tutorial's homework: a longer menu, and choices that matter. State, parameters, and one pure step.

    noise = sample_noise(key)                                              the random numbers, HeartPole-v0's
    state, obs, reward, done = transition(state, action, noise, params)    the body: deterministic
    state, obs, reward, done = step(state, action, key, params)            both

The body is HeartPole-v0's (see `physiology`), with another reward and another clock: the reward is the work of the
step, less 100 for a heart attack; an episode lasts four weeks, however many decisions that takes; and every half-hour
carries the risk, asleep or awake. Two variables are new: `stimulation` (caffeine) and `impairment` (THC) wear off by
themselves, and work is done by the effective alertness, alertness + stimulation - impairment. What there is to do is
data: see `menu`. A toy: none of it is dosing advice.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, Numeric, PRNGKey

from heartpole_jax import arguments, struct, validation
from heartpole_jax.envs import heartpole_v0, physiology
from heartpole_jax.envs import menu as menus
from heartpole_jax.envs.display import ActionInfo, Gauge
from heartpole_jax.envs.environment import Environment, TimeLimit, made_by
from heartpole_jax.envs.heartpole_v0 import Noise, StepInfo, check_action, check_step, sample_noise, sample_wake_up
from heartpole_jax.envs.heartpole_v0 import terminated as terminated
from heartpole_jax.envs.menu import Menu

OBS_SHAPE = (8,)
OBS_NAMES = (*heartpole_v0.OBS_NAMES, "stimulation", "impairment")
_UNROLL = 16  # breaks of up to so many half-hours are unrolled whole, longer ones in loops of so many
_SAFE_EXPONENT = 80.0  # exp(80) is far from overflow in float32, and 1 / exp(80) no risk at all


@struct.dataclass
class EnvState:
    """One patient. Floats are JAX's default float, counters int32, all of shape ()."""

    alertness: Array  # arbitrary units, 1 is rested; any real
    hypertension: Array  # arbitrary units, 0 is normal; >= 0
    intoxication: Array  # blood alcohol content in %
    time_since_slept: Array  # half-hours
    time_elapsed: Array  # half-hours
    work_done: Array  # productive half-hours; >= 0
    stimulation: Array  # units of alertness
    impairment: Array  # units of alertness
    num_steps: Array  # decisions taken


@struct.dataclass
class EnvParams(metaclass=validation.Checked):
    """Every constant of HeartPole-v1 and the menu, each number a leaf that can be vmapped, swept and differentiated.

    `dataclasses.replace` makes a variant, `menu.change` one of a menu. Values known when the object is built (numbers
    and arrays, not tracers) are checked.

    Raises:
      ValueError: for a value out of range or not finite.
      TypeError: for a value that is not a number, a menu that is none.
    """

    max_half_hours: Numeric = 1344  # until `done`, a time limit: four weeks
    heart_attack_proclivity: Numeric = 0.5  # risk per half-hour at infinite hypertension
    heart_attack_threshold: Numeric = 6.0  # hypertension of half that risk
    heart_attack_penalty: Numeric = 100.0
    expected_penalty: Numeric = 0.0  # beta: penalty of ((1 - beta) attack + beta risk)
    hypertension_decay: Numeric = 0.97  # factor a half-hour
    intoxication_elimination: Numeric = 0.0075  # % a half-hour, whatever there is: zero order
    stimulation_decay: Numeric = 0.933  # factor a half-hour: a half-life of 5 hours
    impairment_decay: Numeric = 0.841  # a half-life of 2 hours
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
    bedtime_stimulation_cost: Numeric = 0.3  # waking alertness lost for each unit of stimulation at bedtime
    menu: Menu = dataclasses.field(default_factory=menus.default)

    @property
    def max_steps(self) -> Numeric:
        """The most decisions of an episode: each takes half an hour at least."""
        return self.max_half_hours

    def __check__(self) -> None:
        validate(self)


_NUMBERS = tuple(field.name for field in dataclasses.fields(EnvParams) if field.name != "menu")
_IN_UNIT_INTERVAL = ("heart_attack_proclivity", "expected_penalty", "hypertension_decay", "stimulation_decay",
                     "impairment_decay")  # fmt: skip
_POSITIVE = ("fatigue_width", "ballmer_peak_width")
_NON_NEGATIVE = ("heart_attack_penalty", "intoxication_elimination", "ballmer_steepness", "ballmer_peak_height")


@arguments.typed()
def validate(params: EnvParams) -> None:
    """Checks every value of `params` that is known now (tracers pass). Raises as `EnvParams`, which calls this."""
    menus.check(params.menu, "EnvParams.menu")
    validation.check_numbers(params, _NUMBERS)
    whole = lambda x: (x >= 1) & (x == np.floor(x)) & (x <= 2**30)
    validation.check_values(params, ["max_half_hours"], "a whole number from 1 to 2^30", whole)
    validation.check_values(params, _IN_UNIT_INTERVAL, "in [0, 1]", lambda x: (x >= 0) & (x <= 1))
    validation.check_values(params, _POSITIVE, "greater than 0", lambda x: x > 0)
    validation.check_values(params, _NON_NEGATIVE, "at least 0", lambda x: x >= 0)
    validation.check_ranges(params, ["wake_up_alertness"])


def initial_state(u: Numeric, params: EnvParams | None = None) -> EnvState:
    """The state of a patient who has just woken up, `u` in [0, 1) deciding how rested. No random numbers."""
    params = EnvParams() if params is None else params
    validation.check_type("params", params, EnvParams)
    zero = functools.partial(jnp.zeros, (), jnp.result_type(float))  # an array of its own for each leaf
    return EnvState(**vars(heartpole_v0.awake_state(u, params)), stimulation=zero(), impairment=zero())


def reset(key: PRNGKey, params: EnvParams | None = None) -> tuple[EnvState, Array]:
    """A new patient: (state, obs)."""
    if params is not None:
        validation.check_type("params", params, EnvParams)
    state = initial_state(sample_wake_up(key), params)
    return state, observe(state)


def observe(state: EnvState) -> Array:
    """The observation, floats of shape (8,): HeartPole-v0's six, then stimulation and impairment, in the order of
    `OBS_NAMES`, raw. Counters are floats here, exact up to 2^24 in float32."""
    validation.check_type("state", state, EnvState, "reset and step return the state first, then obs")
    return jnp.stack([jnp.asarray(getattr(state, name), state.alertness.dtype) for name in OBS_NAMES])


@arguments.numeric()
def effective_alertness(alertness: Numeric, stimulation: Numeric, impairment: Numeric) -> Array:
    """The alertness that works: max(alertness + stimulation - impairment, 0)."""
    return _not_negative(alertness + stimulation - impairment)


@arguments.typed()
def productivity(state: EnvState, params: EnvParams) -> Array:
    """Productive half-hours, >= 0, that the patient does in half an hour of work, now."""
    alertness = effective_alertness(state.alertness, state.stimulation, state.impairment)
    return heartpole_v0.productivity(dataclasses.replace(state, alertness=alertness), params)


@arguments.typed()
def take_doses(state: EnvState, chosen: Sequence[Array], noise: Noise, menu: Menu) -> EnvState:
    """The patient with every dose of the action but that of alertness; `chosen` tells of each row if it is the one."""
    uniforms = {
        "hypertension": noise.hypertension,
        "intoxication": noise.intoxication,
        "stimulation": noise.alertness,
        "impairment": noise.alertness,
    }
    doses = {channel: menus.dose(menu, channel, chosen, u) for channel, u in uniforms.items()}
    dosed = {channel: getattr(state, channel) + dose for channel, dose in doses.items() if dose is not None}
    if "hypertension" in dosed:
        dosed["hypertension"] = _not_negative(dosed["hypertension"])
    return dataclasses.replace(state, **dosed)


@arguments.typed(hazard=arguments.check_numeric)
def take_break(state: EnvState, chosen: Sequence[Array], hazard: Numeric, params: EnvParams) -> tuple[EnvState, Array]:
    """The patient after the break, half-hours of not working, and the risk of a heart attack in them.

    Every length of a break that the menu has is passed through, and the right one kept: a whole batch takes the time
    of the longest.
    """
    rows = params.menu.actions
    lengths = sorted({row.half_hours for row in rows} - {0})
    # Who wakes up begins a new alertness: fatigue is computed as far as the longest break without that.
    tiring = max((row.half_hours for row in rows if not row.wakes_up), default=0)
    alertness, kept = state.alertness, state
    half_hours, risk = jnp.zeros_like(state.time_elapsed), jnp.zeros_like(alertness)
    for begin, end in zip([0, *lengths], lengths, strict=False):
        reached = menus.is_one_of(chosen, [row.half_hours >= end for row in rows])
        half_hours = jnp.where(reached, end, half_hours)
        risk = _risk_of_break(risk, state.hypertension, begin, end, jnp.where(reached, hazard, 0.0), params)
        alertness = alertness - _fatigue(state.time_since_slept, begin, min(end, tiring), params)
        passed = dataclasses.replace(_worn_off(state, end, params), alertness=alertness)
        kept = jax.tree.map(functools.partial(jnp.where, reached), passed, kept)
    awake, elapsed = state.time_since_slept + half_hours, state.time_elapsed + half_hours
    return dataclasses.replace(kept, time_since_slept=awake, time_elapsed=elapsed), risk


@arguments.typed(bedtime_stimulation=arguments.check_numeric)
def begin_to_work(
    state: EnvState, bedtime_stimulation: Array, chosen: Sequence[Array], noise: Noise, params: EnvParams
) -> EnvState:
    """The patient after the break: woken up, if the action is one that does, or else with its dose of alertness."""
    dose = menus.dose(params.menu, "alertness", chosen, noise.alertness)
    alertness = state.alertness if dose is None else state.alertness + dose
    wakes_up = menus.is_one_of(chosen, [row.wakes_up for row in params.menu.actions])
    rested = physiology.uniform_between(params.wake_up_alertness_low, params.wake_up_alertness_high, noise.alertness)
    rested = rested - params.bedtime_stimulation_cost * bedtime_stimulation
    return dataclasses.replace(
        state,
        alertness=jnp.where(wakes_up, rested, alertness),
        time_since_slept=jnp.where(wakes_up, 0, state.time_since_slept),
    )


def transition_info(
    state: EnvState, action: Numeric, noise: Noise, params: EnvParams | None = None
) -> tuple[EnvState, Array, Array, Array, StepInfo]:
    """`transition`, and a `StepInfo` of what happened: (state, obs, reward, done, info)."""
    params = EnvParams() if params is None else params
    check_step(state, noise, params, EnvState, EnvParams)
    rows = params.menu.actions
    action = check_action(action, len(rows))
    chosen = [action == number for number in range(len(rows))]

    dosed = take_doses(state, chosen, noise, params.menu)
    hazard = menus.pick(chosen, [row.hazard for row in rows], 1.0)
    rested, break_risk = take_break(dosed, chosen, hazard, params)
    ready = begin_to_work(rested, dosed.stimulation, chosen, noise, params)

    work = productivity(ready, params)
    worked = _worn_off(ready, 1, params)
    risk = _risk_of_decision(break_risk, worked.hypertension, hazard, params)
    attack = noise.heart_attack < risk
    expected = params.expected_penalty
    penalty = params.heart_attack_penalty * ((1.0 - expected) * attack.astype(risk.dtype) + expected * risk)

    after = dataclasses.replace(
        worked,
        alertness=ready.alertness - _fatigue(ready.time_since_slept, 0, 1, params),
        hypertension=jnp.where(attack, 0.0, worked.hypertension),
        time_since_slept=ready.time_since_slept + 1,
        time_elapsed=ready.time_elapsed + 1,
        work_done=state.work_done + work,
        num_steps=state.num_steps + 1,
    )
    half_hours = after.time_elapsed - state.time_elapsed
    info = StepInfo(productivity=work, half_hours=half_hours, heart_attack_risk=risk, heart_attack=attack)
    return after, observe(after), work - penalty, after.time_elapsed >= params.max_half_hours, info


def transition(
    state: EnvState, action: Numeric, noise: Noise, params: EnvParams | None = None
) -> tuple[EnvState, Array, Array, Array]:
    """One decision, the random numbers given: (state, obs, reward, done). Deterministic and differentiable.

    In this order: the action's doses (hypertension not below 0), its break, waking up or its dose of alertness, half an
    hour of work, perhaps a heart attack (reward - 100, hypertension 0). The reward is the productivity of the work. The
    risk is that of all half-hours, 1 - prod_i (1 - min(hazard kappa sigma(h_i - 6), 1)) with h_i the hypertension after
    the half-hour i, break and work: drawn once a decision, and no smaller for it.

    Args:
      state: one patient; map over many with `jax.vmap`.
      action: an integer of shape (), the number of a row of `params.menu`. Under jit and vmap a value outside acts as
        a row without effects, and `environment.checked` reports it.
      noise: four uniforms, see `sample_noise`; stimulation and impairment use that of alertness.
      params: the constants and the menu, `EnvParams()` by default.

    Returns:
      The next state, its observation of shape (8,), the reward, and `done`, True once time_elapsed is
      `params.max_half_hours`: a time limit, never a death. The state goes on if it is stepped further.

    Raises:
      TypeError: if the action is not an integer.
      ValueError: if it is not a scalar, or is known now and not on the menu.
    """
    return transition_info(state, action, noise, params)[:4]


def step(
    state: EnvState, action: Numeric, key: PRNGKey, params: EnvParams | None = None
) -> tuple[EnvState, Array, Array, Array]:
    """One decision, with random numbers from `key`: `transition(state, action, sample_noise(key), params)`."""
    return transition(state, action, sample_noise(key), params)


def _risk_of_break(risk: Array, hypertension: Array, begin: int, end: int, hazard: Numeric, params: EnvParams) -> Array:
    """The risk of a heart attack until the half-hour `end` from now, `risk` being that until the half-hour `begin`."""

    def half_hour(_, carry):
        hypertension, risk = carry
        hypertension = physiology.decay(hypertension, params.hypertension_decay)
        ours = params.heart_attack_proclivity, params.heart_attack_threshold
        plain = physiology.heart_attack_risk(hypertension, *ours)
        # Not 1 - (1 - risk) (1 - ...), which would cost a small risk its digits.
        return hypertension, risk + (1.0 - risk) * jnp.minimum(hazard * plain, 1.0)

    return _repeat(half_hour, end - begin, (hypertension * params.hypertension_decay**begin, risk))[1]


def _risk_of_decision(break_risk: Array, hypertension: Array, hazard: Numeric, params: EnvParams) -> Array:
    """The risk of a heart attack in a decision: of its break, and of its work, after which `hypertension` is left."""
    # This is risk + (1 - risk) min(c sigma(z), 1) once more, as one division by 1 + exp(-z). XLA on a CPU computes a
    # division once, in one loop with all that it needs; ending in an addition, the sigmoids of the night would become a
    # loop each, with all that they need: twice the time of the whole rollout.
    excess = hypertension - params.heart_attack_threshold
    whole = 1.0 + jnp.exp(-jnp.maximum(excess, -_SAFE_EXPONENT))
    mine = jnp.minimum(params.heart_attack_proclivity * hazard, whole)
    return (break_risk * (whole - mine) + mine) / whole


def _fatigue(time_since_slept: Array, begin: int, end: int, params: EnvParams) -> Array:
    """Alertness lost in the half-hours `begin` .. `end` - 1 from now, each by the time_since_slept before it grows."""
    awake = time_since_slept.astype(jnp.result_type(float)) + begin

    def half_hour(i, lost):
        return lost + physiology.alertness_decay(awake + i, params.fatigue_onset, params.fatigue_width)

    return _repeat(half_hour, end - begin, jnp.zeros_like(awake))


def _repeat(half_hour: Callable[[Numeric, Any], Any], num: int, carry: Any) -> Any:
    """`carry` after `half_hour(i, carry)` for i = 0 .. num - 1."""
    if num > _UNROLL:
        return jax.lax.fori_loop(0, num, half_hour, carry, unroll=_UNROLL)
    for i in range(num):
        carry = half_hour(i, carry)
    return carry


def _worn_off(state: EnvState, num: int, params: EnvParams) -> EnvState:
    """The patient `num` half-hours later, but for fatigue and the counters."""
    return dataclasses.replace(
        state,
        hypertension=state.hypertension * params.hypertension_decay**num,
        intoxication=_not_negative(state.intoxication - num * params.intoxication_elimination),
        stimulation=state.stimulation * params.stimulation_decay**num,
        impairment=state.impairment * params.impairment_decay**num,
    )


def _not_negative(x: Array) -> Array:
    # Not jnp.maximum, whose gradient at 0 is a half: a calm patient's hypertension would be half a constant.
    return jnp.where(x < 0, 0.0, x)


def _effective(moment: Any) -> str:
    """The alertness that works, for a picture."""
    values = (moment.values[name] for name in ("alertness", "stimulation", "impairment"))
    return f"effective {max(float(effective_alertness(*values)), 0.0):.2f}"


_STIMULATION_GAUGE = Gauge(
    "stimulation", "stimulation", "stimulation (units of alertness)",
    full=4.0, frame=(0.0, 3.0), chart=(0.0, 1.0), colour="purple", note=_effective,
)  # fmt: skip
_IMPAIRMENT_GAUGE = Gauge(
    "impairment", "impairment", "impairment (units of alertness)",
    full=4.0, frame=(0.0, 1.5), chart=(0.0, 1.0), colour="green",
)  # fmt: skip


def _non_negative(params: EnvParams) -> frozenset[str]:
    """Stimulation and impairment as well, unless the menu has a dose that lowers them."""
    raised = (name for name in ("stimulation", "impairment") if not menus.may_lower(params.menu, name))
    return heartpole_v0.NON_NEGATIVE | {"work_done", *raised}


@dataclasses.dataclass(frozen=True)
class _HasActions:
    """A check that parameters have a menu of these actions."""

    names: tuple[str, ...]

    def __call__(self, params: EnvParams) -> None:
        names = tuple(row.name for row in params.menu.actions)
        if names != self.names:
            has, own = (f"{len(each)} actions ({', '.join(each)})" for each in (names, self.names))
            raise ValueError(
                f"the menu of params has {has}, and this HeartPole-v1 has {own}; make the environment with that menu, "
                "heartpole_jax.make('HeartPole-v1', menu=...)"
            )


def environment(menu: Menu | str | Path | None = None) -> Environment:
    """HeartPole-v1 with a menu: a TOML file, the name of a shipped one, a `Menu`, or by default its own.

    The same object for the same menu, so that jit finds its program again.

    Raises:
      ValueError, TypeError: as `menu.as_menu`.
    """
    return _environment(menus.as_menu(menu))


@functools.cache
def _environment(menu: Menu) -> Environment:
    names = tuple(row.name for row in menu.actions)
    env = Environment(
        name="HeartPole-v1",
        num_actions=len(menu.actions),
        obs_shape=OBS_SHAPE,
        default_params=EnvParams(menu=menu),
        sample_start=sample_wake_up,
        initial_state=initial_state,
        sample_noise=sample_noise,
        transition=transition,
        transition_info=transition_info,
        observe=observe,
        terminated=terminated,
        obs_names=OBS_NAMES,
        actions=tuple(ActionInfo(row.name, row.half_hours, row.wakes_up, menus.idles(row)) for row in menu.actions),
        time_limit=TimeLimit("max_half_hours", counts_decisions=False),
        non_negative=_non_negative,
        check_params=_HasActions(names),
        gauges=(
            heartpole_v0.ALERTNESS_GAUGE,
            _STIMULATION_GAUGE,
            _IMPAIRMENT_GAUGE,
            heartpole_v0.HYPERTENSION_GAUGE,
            heartpole_v0.INTOXICATION_GAUGE,
        ),
        policies="heartpole_jax.policies.heartpole_v1:SCRIPTED",
        shown_policy="coffee and exercise",
        evaluator="heartpole_jax.evaluation.heartpole_v1:EVALUATOR",
        true_of=(initial_state, sample_noise, transition_info),
        digest=menus.digest(menu),
    )
    return made_by(env, environment, menu)
