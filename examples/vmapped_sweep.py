# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A sweep is one program
#
# Every number of the environment and of the learner is a leaf, so `vmap` makes a sweep of a training run: five learning
# rates, and four bodies, each with two seeds. In the clone: `pip install '.[train]'`, then `python
# examples/vmapped_sweep.py`. For sweeps that survive a crash, halve themselves and use every device there is, take
# `python -m agents sweep`.

# %%
import dataclasses

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import heartpole_jax as hp
from agents import dqn
from heartpole_jax import optimum
from heartpole_jax.drawing.charts import style

CONFIG = dqn.DQNConfig(
    hidden_sizes=(32, 32), transform="heartpole-days", num_envs=16, batch_size=64, buffer_size=32_768
)
HYPERPARAMS = dqn.Hyperparams(
    learning_rate=2e-3, discount=0.99, target_period=1, target_tau=0.005, ema_rate=0.01, huber_delta=3.0,
    epsilon_end=0.003, epsilon_steps=20_000, learning_starts=2_000, reset_rate=0.002, reward_shift=0.1236311578,
    reward_scale=10.0, expected_penalty=1.0,
)  # fmt: skip
KEYS = jax.random.split(jax.random.key(0), 2)


def best_return(key, hyperparams, params=None):
    """The expected return of the best of eight evaluations in 65,536 decisions, by 32 episodes: to within 0.003."""
    trained = dqn.train(
        key, hyperparams, CONFIG, num_chunks=8, iterations_per_chunk=512, evaluation_episodes=32, params=params
    )
    return jnp.max(trained.mean_return)


# %% [markdown]
# ## Five learning rates, two seeds each
#
# The inner `vmap` is over seeds, the outer over learning rates: ten agents, compiled once.

# %%
rates = jnp.array([3e-4, 1e-3, 2e-3, 5e-3, 2e-2])
sweep = jax.jit(
    jax.vmap(
        lambda rate: jax.vmap(lambda key: best_return(key, dataclasses.replace(HYPERPARAMS, learning_rate=rate)))(KEYS)
    )
)
regret = optimum.sober_optimum().expected_return - np.asarray(sweep(rates))

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.loglog(rates, regret, "o", color=style.BLUE)
axes.set(xlabel="learning rate", ylabel="regret", title="two seeds of each, after 65,536 decisions")
style.clean(axes)
for rate, seeds in zip(rates, regret, strict=True):
    print(f"{rate:.4f}  {seeds.min():7.4f} {seeds.max():7.4f}")

# %% [markdown]
# ## Four bodies
#
# The same over a constant of the environment. How long a developer stays fresh changes what can be reached, so each
# agent is held to the best policy without drinks of its own body.

# %%
onsets = [20.0, 30.0, 40.0, 60.0]
bodies = jax.jit(
    jax.vmap(lambda onset: jax.vmap(lambda key: best_return(key, HYPERPARAMS, hp.EnvParams(fatigue_onset=onset)))(KEYS))
)
reached = np.asarray(bodies(jnp.array(onsets)))
best = np.array([optimum.sober_optimum(hp.EnvParams(fatigue_onset=onset)).expected_return for onset in onsets])

print("fatigue sets in after   the best  agents behind by")
for onset, top, seeds in zip(onsets, best, reached, strict=True):
    print(f"{onset:14.0f} half-hours  {top:.4f}   {(top - seeds).min():.4f} {(top - seeds).max():.4f}")
