"""Exact expectations by enumeration: every sequence of actions and heart attacks, each with its probability.

Written with the environment's transition alone: nothing of `heartpole_jax.gradients` is used. Doses are certain
(ranges of no width), so the probabilities of actions and attacks are all the chance there is. A derivative with respect
to a range's end has the factor u or 1 - u of each dose; it is linear in them, so u = 1/2 gives its mean.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax.envs import heartpole_v0
from heartpole_jax.envs.heartpole_v0 import EnvParams, Noise

# Attacks are frequent, and cost much; a drink's doses are certain.
CERTAIN = EnvParams(
    max_steps=5,
    heart_attack_threshold=0.5,
    heart_attack_penalty=3.0,
    hypertension_decay=0.8,
    coffee_alertness_low=0.5,
    coffee_alertness_high=0.5,
    coffee_hypertension_low=0.7,
    coffee_hypertension_high=0.7,
    beer_alertness_loss_low=0.3,
    beer_alertness_loss_high=0.3,
    beer_hypertension_low=0.4,
    beer_hypertension_high=0.4,
    beer_intoxication_low=0.02,
    beer_intoxication_high=0.02,
    wake_up_alertness_low=1.0,
    wake_up_alertness_high=1.0,
)


def expectation(probabilities, number, params, num_steps, action_sequences=None):
    """The mean of `number` over all paths.

    Args:
      probabilities: obs -> (num_actions,) of the actions.
      number: (list of infos, last state, params) -> (), of a path.
      action_sequences: (n, num_steps); all of them by default, else those of a policy that is certain of them.
    """
    if action_sequences is None:
        action_sequences = list(itertools.product(range(4), repeat=num_steps))
    attacks = list(itertools.product((False, True), repeat=num_steps))
    pairs = list(itertools.product(action_sequences, attacks))
    actions = jnp.asarray(np.array([a for a, _ in pairs]), jnp.int32)
    attacked = jnp.asarray(np.array([b for _, b in pairs]))

    def of_path(actions, attacked):
        half = jnp.asarray(0.5, jnp.result_type(float))
        state, weight, infos = heartpole_v0.initial_state(half, params), 1.0, []
        for t in range(num_steps):
            noise = Noise(
                alertness=half, hypertension=half, intoxication=half, heart_attack=jnp.where(attacked[t], -1.0, 1.0)
            )
            if probabilities is not None:
                weight = weight * probabilities(heartpole_v0.observe(state))[actions[t]]
            state, _, _, _, info = heartpole_v0.transition_info(state, actions[t], noise, params)
            risk = info.heart_attack_risk
            weight = weight * jnp.where(attacked[t], risk, 1.0 - risk)
            infos.append(info)
        return weight * number(infos, state, params)

    return jnp.sum(jax.vmap(of_path)(actions, attacked))


def returned(infos, state, params):
    """W / t at the end, less the penalties."""
    attacks = sum(info.heart_attack for info in infos)
    return state.work_done / state.time_elapsed - params.heart_attack_penalty * attacks


def with_values(params, values):
    """The parameters with those of `values`."""
    return dataclasses.replace(params, **values)
