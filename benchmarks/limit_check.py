"""Checks the limit kernels against heartpole_jax and the known mean return, then times them alone.

python benchmarks/limit_check.py
"""

import time

import jax
import limit_kernel
import numpy as np
from numba import njit

import heartpole_jax as hp


def check_distribution(name, num_envs=262_144):
    """Raises AssertionError unless 1000 random steps return what `python -m heartpole_jax leaderboard` knows."""
    returns = limit_kernel.run[name](1, num_envs, 1000)
    error = returns.std() / num_envs**0.5
    print(f"{name}: return {returns.mean():.2f} ± {error:.2f}")
    assert abs(returns.mean() + 234.29) < 4 * error, "mean return is not -234.29"


def check_transition(name, num_steps=1000, num_envs=64):
    """Raises AssertionError unless the kernel follows heartpole_jax's, step by step on the same noise."""
    random = np.random.default_rng(0)
    actions = random.integers(0, 4, (num_steps, num_envs)).astype(np.int32)
    noise = (random.integers(0, 2**24, (num_steps, num_envs, 4)) * 2.0**-24).astype(np.float32)
    wake_up = random.random(num_envs).astype(np.float32)

    def step(state, inputs):
        action, u = inputs
        state, _, reward, _ = jax.vmap(lambda s, a, n: hp.transition(s, a, _as_noise(n)))(state, action, u)
        return state, (reward, state.alertness, state.hypertension, state.intoxication)

    expected = jax.lax.scan(step, jax.vmap(hp.initial_state)(wake_up), (actions, noise))[1]
    got = _replay(limit_kernel.TRANSITIONS[name], limit_kernel.RESTED[name])(actions, noise, wake_up)
    for variable, x, y in zip(("reward", "alertness", "hypertension", "intoxication"), got, expected, strict=True):
        print(f"{name}: {variable}: largest difference from heartpole_jax {np.abs(x - np.asarray(y)).max():.1e}")
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5, err_msg=variable)


def _as_noise(u):
    return hp.Noise(alertness=u[0], hypertension=u[1], intoxication=u[2], heart_attack=u[3])


def _replay(transition, rested):
    """A function of actions, noise and wake-ups: rewards, alertness, hypertension, intoxication after every step."""

    @njit
    def replay(actions, noise, wake_up):
        num_steps, num_envs = actions.shape
        out = np.empty((4, num_steps, num_envs), np.float32)
        for i in range(num_envs):
            zero = np.float32(0)
            s = (zero, np.float32(0.7) + np.float32(0.6) * wake_up[i], zero, zero, rested, zero, zero)
            for k in range(num_steps):
                u = (noise[k, i, 0], noise[k, i, 1], noise[k, i, 2], noise[k, i, 3])
                s = transition(actions[k, i], u, s[1], s[2], s[3], s[4], s[5], s[6])
                out[0, k, i], out[1, k, i], out[2, k, i], out[3, k, i] = s[0], s[1], s[2], s[3]
        return out

    return replay


if __name__ == "__main__":
    for name in limit_kernel.run:
        check_transition(name)
        check_distribution(name)
        for envs in (1024, 16_384, 131_072, 1_048_576):
            seconds = []
            for _ in range(5):
                started = time.perf_counter()
                limit_kernel.run[name](1, envs, 2**28 // envs)
                seconds.append(time.perf_counter() - started)
            print(f"{name}: {envs:>9,} envs: {2**28 / np.median(seconds) / 1e6:.0f} million steps a second")
