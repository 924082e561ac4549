"""One episode on given noise, as a differentiable function of parameters: what every estimator is made of.

outcome = simulate(actor, params, sequence, objective, env)          heart attacks are sampled
outcome = marginalise(actor, params, sequence, objective, env)       heart attacks integrated out, exactly
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, PRNGKey

from heartpole_jax import struct, threefry
from heartpole_jax.envs.environment import Environment
from heartpole_jax.gradients.actors import Actor
from heartpole_jax.gradients.objectives import Objective
from heartpole_jax.rollout import Transition

# A heart attack's uniform is in [0, 1): at -1 there is an attack at any risk, at 1 there is none.
_ATTACK, _NO_ATTACK = -1.0, 1.0
_WITHOUT_CHECKPOINTS = 64  # steps whose intermediate numbers are kept for the backward pass


@struct.dataclass
class NoiseSequence:
    """All random numbers of one episode, leaves (num_steps, ...) but `start`: those of `rollout`."""

    start: ArrayTree
    noise: ArrayTree
    draws: ArrayTree  # the policy's


@struct.dataclass
class EpisodeOutcome:
    """What an episode came to, leaves of shape (num_steps,) but `final`."""

    steps: Array  # the objective of each decision
    final: Array  # (), of the end
    action_log_prob: Array  # 0 where the policy draws nothing
    attack_log_prob: Array  # of what was sampled, attack or none
    risk: Array


def sample_noise_sequence(key: PRNGKey, index: Array, num_steps: int, actor: Actor, env: Environment) -> NoiseSequence:
    """The random numbers of the patient `index`, a uint32 scalar."""
    noise, draws, start = (threefry.fold_in(key, purpose) for purpose in (0, 1, 2))  # as in `rollout`
    times = jnp.arange(num_steps, dtype=jnp.uint32)
    return NoiseSequence(
        start=env.sample_start(threefry.key_at(start, index, jnp.uint32(0))),
        noise=jax.vmap(lambda time: env.sample_noise(threefry.key_at(noise, index, time)))(times),
        # One after the other: with all of a soft policy's draws at once XLA did not finish compiling 16 decisions.
        draws=jax.lax.map(lambda time: actor.sample(threefry.key_at(draws, index, time)), times),
    )


class _Episode(NamedTuple):
    """What goes from decision to decision."""

    state: ArrayTree
    carry: Any
    running: Array


def simulate(
    actor: Actor, params: Any, sequence: NoiseSequence, objective: Objective, env: Environment
) -> EpisodeOutcome:
    """The outcome of one episode."""
    return _simulate(actor, params, sequence, objective, env, recorded=False)[0]


def record_decisions(actor: Actor, params: Any, sequence: NoiseSequence, env: Environment) -> tuple[Any, Array, Any]:
    """What the policy had before it at each decision of one episode: (carry, obs, draw), leaves (num_steps, ...)."""
    return _simulate(actor, params, sequence, Objective(), env, recorded=True)[1]


def _simulate(
    actor: Actor, params: Any, sequence: NoiseSequence, objective: Objective, env: Environment, recorded: bool
) -> tuple:

    def decide(episode: _Episode, sampled: tuple) -> tuple[_Episode, tuple]:
        noise, draw = sampled
        obs = env.observe(episode.state)
        choice, log_prob, carry = actor.choose(actor.params, episode.carry, obs, draw)
        next_state, transition = _transition(actor, episode.state, obs, choice, noise, params, env)
        risk, attack = transition.info.heart_attack_risk, transition.info.heart_attack
        running = episode.running.astype(risk.dtype)
        outcome = EpisodeOutcome(
            steps=objective.step(transition, params) * running,
            final=jnp.zeros(()),
            action_log_prob=log_prob * running,
            attack_log_prob=_log_prob(risk, attack) * running,
            risk=risk * running,
        )
        seen = (episode.carry, obs, draw) if recorded else ()
        return _next(episode, next_state, carry, transition.done), (outcome, seen)

    first = _first(actor, params, sequence, env)
    last, (outcome, seen) = scan(decide, first, (sequence.noise, sequence.draws))
    return dataclasses.replace(outcome, final=objective.final(last.state, params)), seen


def marginalise(
    actor: Actor,
    params: Any,
    sequence: NoiseSequence,
    objective: Objective,
    env: Environment,
    window: int | None = None,
) -> EpisodeOutcome:
    """The outcome of one episode in the mean over its heart attacks, for a policy that does not look at hypertension.

    A heart attack changes nothing but hypertension, which starts at 0 again. So a patient is a distribution over when
    that outcome last: slot j holds q(j), the probability, and h_j, the hypertension since. All slots get the step's
    doses and decay, each is attacked with rho(h_j), and a new slot gets the sum of q(j) rho(h_j).

    Args:
      window: slots, by default as many as decisions and one, which is exact. Where there are fewer, the oldest is
        merged with the second oldest, at the mean of their hypertension: biased.
    """
    num_steps = jax.tree.leaves(sequence.noise)[0].shape[0]
    slots = num_steps + 1 if window is None else min(window, num_steps + 1)

    def decide(carried: tuple, sampled: tuple) -> tuple[tuple, EpisodeOutcome]:
        (episode, hypertension, weight), (noise, draw, time) = carried, sampled
        obs = env.observe(episode.state)
        choice, log_prob, carry = actor.choose(actor.params, episode.carry, obs, draw)

        def of_slot(hypertension: Array, uniform: float) -> tuple:
            state = dataclasses.replace(episode.state, hypertension=hypertension)
            forced = dataclasses.replace(noise, heart_attack=jnp.full_like(noise.heart_attack, uniform))
            next_state, transition = _transition(actor, state, obs, choice, forced, params, env)
            return objective.step(transition, params), transition.info.heart_attack_risk, transition.done, next_state

        values, risk, done, after = jax.vmap(of_slot, in_axes=(0, None))(hypertension, _NO_ATTACK)
        if not objective.integrates_attacks:
            attacked = jax.vmap(of_slot, in_axes=(0, None))(hypertension, _ATTACK)[0]
            values = risk * attacked + (1.0 - risk) * values
        spared = weight * (1.0 - risk)
        # Who is attacked now takes a place; who was there joins the next oldest, at the mean of their hypertension.
        place, joined = (time + 1) % slots, (time + 2) % slots
        both = spared[place] + spared[joined]
        share = jnp.where(both > 0.0, spared[place] / jnp.where(both > 0.0, both, 1.0), 0.0)
        mean = share * after.hypertension[place] + (1.0 - share) * after.hypertension[joined]
        moved = (
            after.hypertension.at[joined].set(mean).at[place].set(0.0),
            spared.at[joined].set(both).at[place].set(jnp.sum(weight * risk)),
        )
        running = episode.running.astype(risk.dtype)
        outcome = EpisodeOutcome(
            steps=jnp.sum(weight * values) * running,
            final=jnp.zeros(()),
            action_log_prob=log_prob * running,
            attack_log_prob=jnp.zeros(()),
            risk=jnp.zeros(()),
        )
        hypertension, weight = jax.tree.map(
            lambda new, old: jnp.where(episode.running, new, old), moved, (hypertension, weight)
        )
        # All slots are alike but for hypertension, which the policy does not look at: go on with the first one's.
        after, done = jax.tree.map(lambda x: x[0], (after, done))
        return (_next(episode, after, carry, done), hypertension, weight), outcome

    first = _first(actor, params, sequence, env)
    hypertension = jnp.zeros(slots).at[0].set(first.state.hypertension)
    carried = (first, hypertension, jnp.zeros(slots).at[0].set(1.0))
    times = jnp.arange(num_steps)
    (last, hypertension, weight), outcome = scan(decide, carried, (sequence.noise, sequence.draws, times))
    finals = jax.vmap(lambda h: objective.final(dataclasses.replace(last.state, hypertension=h), params))(hypertension)
    return dataclasses.replace(outcome, final=jnp.sum(weight * finals))


def scan(step: Callable, carry: Any, xs: ArrayTree) -> tuple[Any, ArrayTree]:
    """`jax.lax.scan` whose backward pass keeps the square root of its steps and computes the others again."""
    num_steps = jax.tree.leaves(xs)[0].shape[0]
    if num_steps <= _WITHOUT_CHECKPOINTS:
        return jax.lax.scan(step, carry, xs)
    length = math.isqrt(num_steps)
    num_chunks, rest = divmod(num_steps, length)
    chunks = jax.tree.map(lambda x: x[: num_chunks * length].reshape(num_chunks, length, *x.shape[1:]), xs)
    piece = jax.checkpoint(lambda carry, xs: jax.lax.scan(step, carry, xs), prevent_cse=False)
    carry, ys = jax.lax.scan(piece, carry, chunks)
    ys = jax.tree.map(lambda y: y.reshape(num_chunks * length, *y.shape[2:]), ys)
    if rest:
        carry, more = jax.lax.scan(step, carry, jax.tree.map(lambda x: x[num_chunks * length :], xs))
        ys = jax.tree.map(lambda *parts: jnp.concatenate(parts), ys, more)
    return carry, ys


def _first(actor: Actor, params: Any, sequence: NoiseSequence, env: Environment) -> _Episode:
    state = actor.begin(env.initial_state(sequence.start, params))
    return _Episode(state, jax.tree.map(jnp.asarray, actor.carry), jnp.array(True))


def _next(episode: _Episode, state: ArrayTree, carry: Any, done: Array) -> _Episode:
    """The episode a step later; after its end nothing changes any more."""
    state = jax.tree.map(lambda new, old: jnp.where(episode.running, new, old), state, episode.state)
    return _Episode(state, carry, episode.running & ~done)


def _transition(actor: Actor, state, obs, choice, noise, params, env: Environment) -> tuple[ArrayTree, Transition]:
    next_state, next_obs, reward, done, info = actor.transition_info(state, choice, noise, params)
    return next_state, Transition(
        state=state, obs=obs, action=choice, reward=reward, done=jnp.asarray(done, bool),
        terminated=env.terminated(next_state), next_state=next_state, next_obs=next_obs, info=info,
    )  # fmt: skip


def _log_prob(risk: Array, attack: Array) -> Array:
    """log p(attack | risk): log risk where it happened, log(1 - risk) where not; finite, and so is its gradient."""
    outcome = jnp.log(jnp.where(attack, risk, 1.0))
    spared = jnp.log1p(-jnp.where(attack, 0.0, risk))
    return jnp.where(attack, outcome, spared)
