"""An environment of one's own in one file: a developer who gets used to coffee. See docs/own-environment.md.

    python examples/caffeine_tolerance.py
    python -m heartpole_jax leaderboard --env examples.caffeine_tolerance:ENVIRONMENT
    python -m agents train --env examples.caffeine_tolerance:ENVIRONMENT

The body is HeartPole-v0's, with one variable and one equation more: each coffee adds `tolerance_gain` to a tolerance c,
which decays by the factor `tolerance_decay` a half-hour, and a coffee's gain of alertness is divided by 1 + c.
"""

import dataclasses

import jax.numpy as jnp
from chex import Array, Numeric

import heartpole_jax as hp
from heartpole_jax import heartpole_v0, struct
from heartpole_jax.envs.display import Gauge

OBS_NAMES = (*hp.OBS_NAMES, "tolerance")


@struct.dataclass
class EnvParams(hp.EnvParams):
    """HeartPole-v0's constants and two more, checked as those are."""

    tolerance_gain: Numeric = 0.5  # a coffee
    tolerance_decay: Numeric = 0.99  # factor a half-hour


@struct.dataclass
class EnvState(hp.EnvState):
    """HeartPole-v0's patient, and the tolerance."""

    tolerance: Array  # arbitrary units; >= 0


def initial_state(u: Numeric, params: EnvParams) -> EnvState:
    """A patient who has just woken up and is used to nothing."""
    patient = heartpole_v0.initial_state(u, params)
    return EnvState(**vars(patient), tolerance=jnp.zeros_like(patient.alertness))


def observe(state: EnvState) -> Array:
    """HeartPole-v0's six numbers and the tolerance, floats of shape (7,)."""
    return jnp.append(hp.observe(state), state.tolerance)


def transition_info(state: EnvState, action: Numeric, noise: hp.Noise, params: EnvParams) -> tuple:
    """(state, obs, reward, done, info): HeartPole-v0's, with weaker coffees."""
    patient = hp.EnvState(**{name: x for name, x in vars(state).items() if name != "tolerance"})
    weaker = dataclasses.replace(params, coffee_alertness_high=params.coffee_alertness_high / (1 + state.tolerance))
    after, _, reward, done, info = hp.transition_info(patient, action, noise, weaker)
    drunk = state.tolerance + jnp.where(action == hp.Action.COFFEE, params.tolerance_gain, 0.0)
    after = EnvState(**vars(after), tolerance=drunk * params.tolerance_decay**info.half_hours)
    return after, observe(after), reward, done, info


def transition(state: EnvState, action: Numeric, noise: hp.Noise, params: EnvParams) -> tuple:
    """(state, obs, reward, done)."""
    return transition_info(state, action, noise, params)[:4]


def non_negative(params: EnvParams) -> frozenset[str]:
    """What cannot be below 0: it bounds the observation space."""
    return heartpole_v0.NON_NEGATIVE | {"tolerance"}


def daily_coffee(params: EnvParams) -> hp.Policy:
    """A coffee after each night."""
    return hp.policies.coffee_after_waking()


def rested(params: EnvParams) -> hp.Policy:
    """Sleep where alertness is low, and nothing else."""
    return hp.policies.rested(alertness=0.4)


ENVIRONMENT = hp.Environment(
    name="CaffeineTolerance-v0",
    num_actions=4,
    obs_shape=(7,),
    default_params=EnvParams(),
    sample_start=heartpole_v0.sample_wake_up,
    initial_state=initial_state,
    sample_noise=hp.sample_noise,
    transition=transition,
    transition_info=transition_info,
    observe=observe,
    terminated=hp.terminated,
    # From here on all is optional, and tells other parts of the package what they may do.
    obs_names=OBS_NAMES,
    actions=heartpole_v0.HEARTPOLE_V0.actions,
    non_negative=non_negative,
    gauges=(
        *heartpole_v0.HEARTPOLE_V0.gauges,
        Gauge("tolerance", "tolerance", "tolerance of caffeine", full=5.0, frame=(0.0, 5.0), chart=(0.0, 1.0)),
    ),
    policies={"rested": rested, "a daily coffee": daily_coffee},
)

if __name__ == "__main__":
    import jax

    hp.register("CaffeineTolerance-v0", lambda: ENVIRONMENT)
    env = hp.make("CaffeineTolerance-v0")
    coffees = [
        hp.rollout(hp.policies.coffee_after_waking(), jax.random.key(0), params, env=env, num_envs=256).totals.mean()
        for params in (EnvParams(tolerance_gain=0.0), EnvParams())
    ]
    print(f"A daily coffee without tolerance: {coffees[0]:.1f}; with it: {coffees[1]:.1f}")
