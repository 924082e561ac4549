"""Small environments whose values are known, to show which part of a learner is broken.

Each has something that HeartPole lacks: a true end, a value that follows from one line of arithmetic, noise that can be
read. All are `Environment`s for `heartpole_jax.rollout` and for any agent; `gamma` is the learner's discount. Two
policies go with them.
"""

import dataclasses
import functools
import typing

import jax
import jax.numpy as jnp

from heartpole_jax import Environment, Policy, struct, threefry


class Params(typing.NamedTuple):
    max_steps: typing.Any = 1000  # decisions until the time limit
    scale: typing.Any = 1.0  # every reward is multiplied by this


class State(typing.NamedTuple):
    sign: typing.Any  # -1.0 or 1.0, drawn at the start
    num_steps: typing.Any  # decisions taken


def one_step_reward() -> Environment:
    """One step, reward 1, a true end. Value 1 for every action."""
    return _environment("one-step-reward", reward=lambda state, action: 1.0, terminated=_after(1))


def reward_seen() -> Environment:
    """One step, the reward is the observation, -1 or 1 with equal odds, a true end. Value: obs[0]."""
    return _environment("reward-seen", reward=lambda state, action: state.sign, terminated=_after(1))


def reward_by_action() -> Environment:
    """One step, reward 1 for action 1 and -1 for action 0, a true end. Values (-1, 1)."""
    return _environment("reward-by-action", reward=lambda state, action: 2.0 * action - 1.0, terminated=_after(1))


def reward_by_action_and_obs() -> Environment:
    """One step, the reward is obs[0] for action 1 and -obs[0] for action 0, a true end. Values (-obs[0], obs[0])."""
    return _environment(
        "reward-by-action-and-obs",
        reward=lambda state, action: (2.0 * action - 1.0) * state.sign,
        terminated=_after(1),
    )


def counter(num_steps: int) -> Environment:
    """Reward 1 a step, a true end after `num_steps`. Value after t steps: (1 - gamma^(num_steps - t)) / (1 - gamma).

    The observation is (sign, t), t the steps done.
    """
    return _environment("counter", reward=lambda state, action: 1.0, terminated=_after(num_steps))


def delayed_reward() -> Environment:
    """Two steps, reward 1 for the second alone, then a true end. Values: gamma at first, then 1."""
    reward = lambda state, action: jnp.where(state.num_steps == 1, 1.0, 0.0)
    return _environment("delayed-reward", reward=reward, terminated=_after(2))


def time_limit_only(max_steps: int = 10) -> Environment:
    """Reward 1 a step, and only the time limit ends an episode. Value 1 / (1 - gamma) everywhere, the last step too.

    A learner that takes the limit for a death finds less. The observation shows nothing of the time.
    """
    return _environment(
        "time-limit-only",
        reward=lambda state, action: 1.0,
        terminated=lambda state: jnp.zeros_like(state.num_steps, bool),
        params=Params(max_steps=max_steps),
        observe=lambda state: jnp.zeros((2,)),
    )


def two_ends() -> Environment:
    """Reward 1 a step, and an end after three: a true one where the sign is 1, the time limit where it is -1.

    The observation is (sign, 0), so that one value stands for all three steps. Where the time limit ends, it is
    1 / (1 - gamma). Where the end is true, one step of three has no future: for targets of one step
    v = 1 + 2/3 gamma v.
    """
    base = counter(3)
    observe = lambda state: jnp.stack([state.sign, jnp.zeros_like(state.sign)])

    def transition(state, action, noise, params):
        after, _, reward, done = base.transition(state, action, noise, params)
        return after, observe(after), reward, done

    return dataclasses.replace(
        base,
        transition=transition,
        observe=observe,
        terminated=lambda state: (state.num_steps >= 3) & (state.sign > 0),
    )


@struct.dataclass
class Chosen:
    """A state of a gallery."""

    which: typing.Any  # index of the environment
    state: State


def gallery(environments: typing.Sequence[Environment]) -> Environment:
    """The one of `environments`, probes of this file, whose index is the parameter: one program can learn them all."""

    def at(which, function, *args):
        return jax.lax.switch(which, [functools.partial(function, env) for env in environments], *args)

    def transition(chosen, action, noise, which):
        step = lambda env, state, action: env.transition(state, action, noise, env.default_params)
        state, *rest = at(which, step, chosen.state, action)
        return Chosen(which=which, state=state), *rest

    return Environment(
        name="gallery",
        num_actions=2,
        obs_shape=(2,),
        default_params=0,
        sample_start=environments[0].sample_start,
        initial_state=lambda start, which: Chosen(
            which=which, state=at(which, lambda env, start: env.initial_state(start, env.default_params), start)
        ),
        sample_noise=jax.random.key_data,  # unused; typed keys would count as used once in every probe
        transition=transition,
        transition_info=lambda *args: (*transition(*args), ()),
        observe=lambda chosen: at(chosen.which, lambda env, state: env.observe(state), chosen.state),
        terminated=lambda chosen: at(chosen.which, lambda env, state: env.terminated(state), chosen.state),
    )


def pure_noise() -> Environment:
    """Shows its noise: `info` is a step's noise (4,), the observation the uniform of the start. One step, then done."""

    def transition_info(state, action, noise, params):
        reward, done = jnp.zeros(()), jnp.array(True)
        return state, state[None], reward, done, noise

    return Environment(
        name="pure noise",
        num_actions=2**16,
        obs_shape=(1,),
        default_params=Params(max_steps=1),
        sample_start=lambda key: threefry.uniforms(key, 1)[0],
        initial_state=lambda start, params: start,
        sample_noise=lambda key: jnp.stack(threefry.uniforms(key, 4)),
        transition=lambda *args: transition_info(*args)[:4],
        transition_info=transition_info,
        observe=lambda state: state[None],
        terminated=lambda state: jnp.zeros_like(state, bool),
    )


def always(action) -> Policy:
    """The same action at every step."""
    return Policy(act=_take_params, params=action)


def random_policy(num_actions: int) -> Policy:
    """Every action with the same probability."""
    return Policy(act=_take_draw, sample=functools.partial(threefry.random_int, num=num_actions))


def _take_params(params, carry, obs, draw):
    return params, carry


def _take_draw(params, carry, obs, draw):
    return draw, carry


def _after(num_steps):
    return lambda state: state.num_steps >= num_steps


def _show(state):
    return jnp.stack([state.sign, state.num_steps.astype(state.sign.dtype)])


def _environment(name, reward, terminated, params=None, observe=_show) -> Environment:
    """Two actions, observations (2,), one key as the noise of a step, and the coin of the start."""

    def transition_info(state, action, noise, params):
        after = state._replace(num_steps=state.num_steps + 1)
        done = terminated(after) | (after.num_steps >= params.max_steps)
        gain = jnp.asarray(reward(state, action) * params.scale, state.sign.dtype)
        return after, observe(after), gain, done, {"key": jax.random.key_data(noise)}

    def initial_state(coin, params):
        return State(sign=jnp.where(coin < 0.5, -1.0, 1.0).astype(coin.dtype), num_steps=jnp.zeros((), jnp.int32))

    return Environment(
        name=name,
        num_actions=2,
        obs_shape=(2,),
        default_params=Params() if params is None else params,
        sample_start=lambda key: threefry.uniforms(key, 1)[0],
        initial_state=initial_state,
        sample_noise=lambda key: key,
        transition=lambda *args: transition_info(*args)[:4],
        transition_info=transition_info,
        observe=observe,
        terminated=terminated,
    )
