"""No derivative of a step is NaN or infinite: a million states, actions and parameters, extremes among them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax.envs import heartpole_v0
from heartpole_jax.envs.heartpole_v0 import EnvParams, EnvState, Noise

NUM = 250_000  # of each action
EXTREMES = {
    "alertness": [-1000.0, -1e6, 0.0, 1e-30, 3.0, 1e6],
    "hypertension": [0.0, 6.0, 6.0 + 1e-6, 90.0, 700.0, 1e6],
    "intoxication": [0.0, 0.05, 0.135, 0.135 + 0.005, 0.135 - 0.014, 0.5, 1e6],
    "time_since_slept": [0, 40, 10_000, 2**30],
    "time_elapsed": [0, 1, 2**24 + 1, 2**30],
    "work_done": [0.0, -1e9, 1e9],
    "noise": [0.0, 0.5, 1.0 - 2.0**-24],
}
SCALES = {"alertness": 5.0, "hypertension": 4.0, "intoxication": 0.1, "work_done": 1e3}
PARAMS = {
    "heart_attack_proclivity": [0.0, 1.0, 0.5],
    "hypertension_decay": [0.0, 1.0, 0.97],
    "intoxication_decay": [0.0, 1.0, 0.97],
    "fatigue_width": [1e-3, 1e6, 10.0],
    "ballmer_peak_width": [1e-4, 1e3, 0.005],
    "ballmer_steepness": [0.0, 1e6, 50.0],
    "anxiety_threshold": [-1e3, 1e3, 3.0],
    "expected_penalty": [0.0, 1.0, 0.5],
    "coffee_hypertension_high": [0.0, 0.3, 1e3],
}


def inputs(generator):
    """(state, noise, params) of NUM patients: a quarter of every number is an extreme one."""

    def mixed(name, values):
        extreme = generator.choice(np.asarray(EXTREMES[name], values.dtype), NUM)
        return np.where(generator.random(NUM) < 0.25, extreme, values)

    floats = {
        name: mixed(name, np.abs(x) if name in ("hypertension", "intoxication") else x)
        for name, x in ((name, generator.normal(0.0, scale, NUM)) for name, scale in SCALES.items())
    }
    counters = {name: mixed(name, generator.integers(0, 3000, NUM)) for name in ("time_since_slept", "time_elapsed")}
    state = EnvState(
        **{name: jnp.asarray(x, jnp.float32) for name, x in floats.items()},
        **{name: jnp.asarray(x, jnp.int32) for name, x in counters.items()},
        num_steps=jnp.asarray(counters["time_elapsed"] // 2, jnp.int32),
    )
    sampled = {
        name: jnp.asarray(mixed("noise", generator.random(NUM)), jnp.float32)
        for name in ("alertness", "hypertension", "intoxication", "heart_attack")
    }
    params = {name: jnp.asarray(generator.choice(values, NUM), jnp.float32) for name, values in PARAMS.items()}
    return state, Noise(**sampled), params


@pytest.mark.parametrize("action", range(4))
def test_no_derivative_of_a_step_is_nan_or_infinite(action):
    state, noise, params = inputs(np.random.default_rng(action))
    fixed = {name: value for name, value in vars(EnvParams()).items() if name not in params}

    def outcome(floats, noise, changed, state):
        """A sum of all that a step returns: a NaN in any part is one in its derivative."""
        fields = {name: value for name, value in vars(state).items() if name not in floats}
        after, obs, reward, _, info = heartpole_v0.transition_info(
            EnvState(**floats, **fields), action, noise, EnvParams(**fixed, **changed)
        )
        return jnp.sum(obs) + 0.7 * reward + 0.3 * after.work_done + 1.3 * info.heart_attack_risk + info.productivity

    floats = {name: getattr(state, name) for name in SCALES}
    value, derivatives = jax.jit(jax.vmap(jax.value_and_grad(outcome, argnums=(0, 1, 2))))(floats, noise, params, state)
    assert np.isfinite(np.asarray(value)).all()
    for path, derivative in jax.tree_util.tree_leaves_with_path(derivatives):
        wrong = ~np.isfinite(np.asarray(derivative))
        assert not wrong.any(), f"{jax.tree_util.keystr(path)}: {wrong.sum()}, the first at {np.argmax(wrong)}"
    assert len(jax.tree.leaves(derivatives)) == len(SCALES) + 4 + len(PARAMS)
