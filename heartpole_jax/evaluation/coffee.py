"""The tutorial's experiment, many times: how many coffees until the heart attack."""

import numpy as np
from chex import PRNGKey

from heartpole_jax import arguments, validation
from heartpole_jax.envs.heartpole_v0 import Action, EnvParams
from heartpole_jax.policies.heartpole_v0 import always
from heartpole_jax.rollout import Transition, rollout


@arguments.checked(
    key=validation.check_key, params=EnvParams, num_patients=validation.check_size, max_coffees=validation.check_size
)
def coffees_until_heart_attack(
    key: PRNGKey, num_patients: int, params: EnvParams | None = None, max_coffees: int = 400
) -> np.ndarray:
    """The tutorial's experiment, many times: cups of coffee until the first heart attack, the fatal cup included.

    Returns int64 of shape (num_patients,); `max_coffees + 1` for those who survive so many.
    """
    coffee = always(Action.COFFEE)
    attacks = rollout(
        coffee, key, params, num_envs=num_patients, num_steps=max_coffees, total=None, record=_heart_attack
    ).records
    attacks = np.asarray(attacks)
    return np.where(attacks.any(axis=0), attacks.argmax(axis=0), max_coffees) + 1


def _heart_attack(transition: Transition):
    return transition.info.heart_attack
