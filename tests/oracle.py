"""What the library is held to: the published package `heartpole` 1.2, live and as golden traces, in float64.

`data/heartpole_v0_traces.npz` holds 33 episodes of 400 steps of that package with its draws replaced by a numbers.
"""

import contextlib
import pathlib
import warnings

import heartpole
import jax
import jax.numpy as jnp
import numpy as np

import heartpole_jax as hp

NAMES = ("alertness", "hypertension", "intoxication", "time_since_slept", "time_elapsed", "work_done")
NOISE_COLUMNS = ("alertness", "hypertension", "intoxication", "heart_attack")
# Which uniforms the package draws for an action, in the order of its code.
_DRAWS = ((3,), (0, 1, 3), (0, 1, 2, 3), (0, 3))
# The largest uniform in float32: no heart attack at any risk of at most 0.5.
NO_ATTACK = 1 - 2.0**-24


def golden_traces():
    """actions, rewards, heart_attacks (33, 400), noise (33, 400, 4), wake_up (33,), states (33, 401, 6)."""
    with np.load(pathlib.Path(__file__).parent / "data" / "heartpole_v0_traces.npz") as data:
        return dict(data)


def as_state(values, version=hp.heartpole_v0):
    """An EnvState of JAX's default float out of numbers in the order of the version's `OBS_NAMES`."""
    floats = dict(zip(version.OBS_NAMES, values, strict=True))
    counters = {name: jnp.asarray(floats.pop(name), jnp.int32) for name in ("time_since_slept", "time_elapsed")}
    floats = {name: jnp.asarray(value, float) for name, value in floats.items()}
    return version.EnvState(**floats, **counters, num_steps=jnp.int32(0))


def as_noise(values):
    """A Noise of JAX's default float out of numbers (4,) in the order of `NOISE_COLUMNS`."""
    return hp.Noise(**{name: jnp.asarray(x, float) for name, x in zip(NOISE_COLUMNS, values, strict=True)})


@jax.jit
@jax.vmap
def transitions(values, action, noise):
    """Ours from many states: obs (6,), reward and StepInfo of each."""
    _, obs, reward, _, info = hp.transition_info(as_state(values), action, as_noise(noise))
    return obs, reward, info


def published_transitions(states, actions, noise):
    """The package's from the same states: obs (n, 6), rewards (n,), heart_attacks (n,)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # gymnasium on the precision of the package's bounds
        env = heartpole.HeartPole()
    obs, rewards, attacks = np.zeros((len(actions), 6)), np.zeros(len(actions)), np.zeros(len(actions), bool)
    rows = zip(np.asarray(states, float).tolist(), actions.tolist(), np.asarray(noise, float).tolist(), strict=True)
    numbers = []
    with _draws_from(numbers):
        for i, (state, action, row) in enumerate(rows):
            env.state = dict(zip(NAMES, state, strict=True))
            env.log = ""
            numbers[:] = [row[column] for column in _DRAWS[action]]
            obs[i], rewards[i], *_ = env.step(action)
            attacks[i] = "HEART_ATTACK" in env.log
            assert not numbers, "the package drew fewer numbers than it should"
    return obs, rewards, attacks


def reward_tolerance(states, actions, published_obs):
    """What a float32 reward may be off its float64 value, (n,): 1e-6 of (|p| + d |S|) / (t + d), and what the rounding
    of intoxication x costs by itself.

    On the flank of the Ballmer peak p follows x steeply: its relative slope x B' / B reaches 70, so that one rounding
    of x is more than 1e-6 of p. Two roundings are granted (the dose and the peak's own 0.135), and twelve to sleep,
    which multiplies sixteen times by a rounded 0.97.
    """
    states = np.asarray(states, float)
    asleep = actions == hp.Action.SLEEP
    half_hours = np.where(asleep, 17, 1)
    work_done, time_elapsed = states[:, 5], states[:, 4]
    productivity = np.abs(published_obs[:, 5] - work_done)
    scale = productivity + half_hours * np.abs(work_done) / np.maximum(time_elapsed, 1)
    x = published_obs[:, 2] / heartpole.decay_rate  # at work
    sober, peak = heartpole.sigmoid(50 * (0.05 - x)), 2 * heartpole.gaussian(x, 0.135, 0.005)
    relative_slope = x * np.abs(50 * sober * (1 - sober) + (x - 0.135) / 0.005**2 * peak) / (sober + peak)
    roundings = np.where(asleep, 12, 2) * 2.0**-24 * relative_slope
    return (1e-6 * scale + roundings * productivity) / (time_elapsed + half_hours)


@contextlib.contextmanager
def _draws_from(numbers):
    def uniform(low, high):
        return low + (high - low) * numbers.pop(0)

    drawn = np.random.uniform
    np.random.uniform = uniform
    try:
        yield
    finally:
        np.random.uniform = drawn
