"""What if they had not drunk that coffee: the same patient, the same noise, other actions.

    what_if = counterfactual(trace, other_actions, key=key)
    what_if.other.states.work_done[:, -1] - what_if.factual.states.work_done[:, -1]

Three steps (Pearl, Causality, 2009, section 7.1): abduction infers the random numbers of every step from what happened
(`infer_noise`), action replaces the actions, prediction replays with the same noise. Noise that left no mark is drawn
from what is left of their prior: the answer is a distribution, and exact as far as the trace determines it.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, PRNGKey

from heartpole_jax import arguments, struct, validation
from heartpole_jax.envs import heartpole_v0
from heartpole_jax.envs.heartpole_v0 import EnvParams, EnvState, Noise
from heartpole_jax.identification.checking import check_trace
from heartpole_jax.identification.noise import infer_noise, sample_noise_given
from heartpole_jax.identification.traces import Trace, checked_actions, make_trace, states_of


@struct.dataclass
class Course:
    """An episode of T decisions."""

    states: EnvState  # leaves of shape (T + 1,)
    rewards: Array  # (T,)
    heart_attacks: Array  # (T,) bool


@struct.dataclass
class Counterfactual:
    """What happened and what would have, for each sample of the noise: leaves have a leading axis of num_samples.

    Samples of `factual` differ in nothing but what the trace leaves open: heart attacks that would have left no mark,
    and with `expected_penalty` the risk of a dose that a heart attack wiped out. Sample i of `other` has the noise of
    sample i of `factual`, so that differences are paired.
    """

    factual: Course
    other: Course
    noise: Noise  # (num_samples, T)


@arguments.typed(key=validation.check_key, num_samples=validation.check_size)
def counterfactual(
    trace: Trace, other_actions: Array, params: EnvParams | None = None, *, key: PRNGKey, num_samples: int = 256
) -> Counterfactual:
    """What would have happened under `other_actions`, with the noise that made `trace`: a `Counterfactual`.

    Up to the first other action the trace is taken as recorded, so that its own actions give back exactly itself.

    Args:
      trace: seen whole and exactly; `work_done` may be missing, since it follows. Its `heart_attacks` are read off the
        hypertension where they are unknown.
      other_actions: (T,) whole numbers, see `heartpole_v0.Action`.
      params: those that made the trace.
      key: for the random numbers that the trace does not determine.
      num_samples: how often they are drawn.

    Raises:
      ImpossibleTraceError: if `params` cannot have made the trace.
      ValueError: for a trace with gaps, or other actions of another length or out of range.
      TypeError: for actions or a number of samples that are not whole numbers.
    """
    params = EnvParams() if params is None else params
    other_actions = checked_actions("other_actions", other_actions)
    trace = make_trace(**vars(trace))
    for name in ("alertness", "hypertension", "intoxication"):
        gaps = np.flatnonzero(np.isnan(getattr(trace, name)))
        if gaps.size:
            raise ValueError(
                f"a counterfactual needs a trace without gaps, got {name} missing in row {gaps[0]}; what the noise was "
                "cannot be inferred across it"
            )
    if other_actions.shape != trace.actions.shape:
        raise ValueError(
            f"other_actions must be as many as the trace's, got {len(other_actions)} for {len(trace.actions)}"
        )
    check_trace(trace, params)
    if np.isnan(trace.work_done).any():
        trace = dataclasses.replace(trace, work_done=_work_done(trace, params))
    return _counterfactual(trace, other_actions, params, key, num_samples)


@jax.jit
def _work_done(trace: Trace, params: EnvParams) -> Array:
    """The work that the recorded body has done, (T + 1,)."""
    before, after = _steps(states_of(trace))

    def productivity(state, action, next_state):
        noise = infer_noise(state, action, next_state, params).value
        return heartpole_v0.transition_info(state, action, noise, params)[-1].productivity

    done = jnp.cumsum(jax.vmap(productivity)(before, trace.actions, after))
    return jnp.concatenate([jnp.zeros_like(done[:1]), done])


@functools.partial(jax.jit, static_argnames="num_samples")
def _counterfactual(trace: Trace, other_actions: Array, params: EnvParams, key: PRNGKey, num_samples: int):
    states = states_of(trace)
    before, after = _steps(states)

    def draw(key, state, action, next_state, heart_attack):
        return sample_noise_given(key, state, action, next_state, params, heart_attack)

    def sample(key):
        keys = jax.random.split(key, len(trace.actions))
        noise = jax.vmap(draw)(keys, before, trace.actions, after, trace.heart_attacks)
        replay = jax.vmap(lambda state, action, noise: heartpole_v0.transition_info(state, action, noise, params))
        _, _, rewards, _, info = replay(before, trace.actions, noise)
        factual = Course(states=states, rewards=rewards, heart_attacks=info.heart_attack)
        facts = after, rewards, info.heart_attack

        def step(carry, inputs):
            state, changed = carry
            action, other_action, noise, fact = inputs
            changed = changed | (action != other_action)
            next_state, _, reward, _, step_info = heartpole_v0.transition_info(state, other_action, noise, params)
            simulated = next_state, reward, step_info.heart_attack
            result = jax.tree.map(functools.partial(jnp.where, changed), simulated, fact)
            return (result[0], changed), result

        inputs = trace.actions, other_actions, noise, facts
        start = jax.tree.map(lambda x: x[0], states)
        _, (other, other_rewards, other_attacks) = jax.lax.scan(step, (start, jnp.array(False)), inputs)
        other = jax.tree.map(lambda first, rest: jnp.concatenate([first[None], rest]), start, other)
        return factual, Course(states=other, rewards=other_rewards, heart_attacks=other_attacks), noise

    factual, other, noise = jax.vmap(sample)(jax.random.split(key, num_samples))
    return Counterfactual(factual=factual, other=other, noise=noise)


def _steps(states: EnvState) -> tuple[EnvState, EnvState]:
    """The states before each step, and after."""
    return jax.tree.map(lambda x: x[:-1], states), jax.tree.map(lambda x: x[1:], states)
