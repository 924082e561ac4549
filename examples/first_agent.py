# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # A first agent
#
# An environment stepped by hand, a policy measured, and a DQN trained as one compiled program: half a minute on two
# cores. In the clone: `pip install '.[train]'`, then `python examples/first_agent.py`, or cell by cell in an editor
# that knows Jupytext's `# %%`. HeartPole is a toy: nothing here is medical advice.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap

import heartpole_jax as hp
from agents import dqn
from heartpole_jax import evaluation, optimum
from heartpole_jax.drawing.charts import style
from heartpole_jax.drawing.charts.strip_chart import draw_episode

# %% [markdown]
# ## One step
#
# A state is one patient. `step` takes a state, an action and a key, and returns the next state. Nothing is changed in
# place, so a step can be jitted, vmapped and differentiated.

# %%
reset_key, step_key = jax.random.split(jax.random.key(0))
state, obs = hp.reset(reset_key)
state, obs, reward, done = hp.step(state, hp.Action.COFFEE, step_key)
for name, value in zip(hp.OBS_NAMES, obs, strict=True):
    print(f"{name:18} {value:.3f}")

# %% [markdown]
# ## An episode
#
# A policy is any function `(key, obs) -> action`. This one drinks a coffee every morning; `rollout` simulates it.

# %%
coffee = hp.policies.coffee_after_waking()
records = hp.rollout(coffee, jax.random.key(4), num_envs=1, record=hp.everything).records
draw_episode(records, title="a coffee every morning")

# %% [markdown]
# ## What is it good for?
#
# The optimum of HeartPole-v0 is proven, so a policy has a regret and not only a return. Expected penalties take the
# noise of the heart attacks out: 1,024 episodes are enough for four digits.

# %%
print(f"the optimum: {optimum.sober_optimum().expected_return:.5f}; {optimum.certificate().reason}")
for name, policy in [("coffee after waking", coffee), ("sleep below 0.4", hp.policies.rested(alertness=0.4))]:
    found = evaluation.evaluate(policy, jax.random.key(0), num_episodes=1024)
    print(f"{name:20} regret {found.regret.mean:8.4f} +- {found.regret.standard_error:.4f}")

# %% [markdown]
# ## Train a DQN
#
# Replay buffer, environments, gradient steps and evaluation are one compiled program. The settings are
# those of the recipe `heartpole-v0`; `python -m agents train` trains five times as long, and gets closer.

# %%
config = dqn.DQNConfig(
    hidden_sizes=(64, 64),
    transform="heartpole-days",
    num_envs=64,
    steps_per_iteration=1,
    batch_size=128,
    buffer_size=65_536,
)
hyperparams = dqn.Hyperparams(
    learning_rate=2e-3, discount=0.99, target_period=1, target_tau=0.005, ema_rate=0.01, huber_delta=3.0,
    epsilon_end=0.003, epsilon_steps=50_000, learning_starts=5_000, reset_rate=0.002, reward_shift=0.1236311578,
    reward_scale=10.0, expected_penalty=1.0,
)  # fmt: skip
trained = dqn.train(
    jax.random.key(0), hyperparams, config, num_chunks=16, iterations_per_chunk=512, evaluation_episodes=16
)
behind = optimum.sober_optimum().expected_return - np.asarray(trained.mean_return)
decisions = np.asarray(trained.metrics.env_steps)

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
axes.semilogy(decisions, behind, "o-", color=style.BLUE)
axes.axhline(0.279, color=style.PALE, zorder=0)
axes.annotate("sleeping always", (decisions[0], 0.3), color=style.GREY)
axes.set(xlabel="decisions", ylabel="behind the optimum", title="a DQN on HeartPole-v0")
style.clean(axes)
print(f"kept: {behind.min():.4f} behind the optimum")

# %% [markdown]
# ## What has it learned?
#
# The greedy action of the best network, over alertness and the hours awake of a calm patient in the middle of an
# episode: it works on while it is rested, and sleeps when it is tired. The optimum's threshold is near 0.4.

# %%
policy = dqn.greedy(trained.best_weights, config)
alertness, awake = np.linspace(-0.5, 1.3, 60), np.arange(0, 40)
grid = np.zeros((len(awake), len(alertness), 6), np.float32)
grid[..., 0], grid[..., 3] = alertness[None], awake[:, None]
grid[..., 4], grid[..., 5] = 500, 160
act = lambda obs: policy.act(policy.params, policy.carry, obs, None)[0]
actions = np.asarray(jax.vmap(act)(jnp.asarray(grid.reshape(-1, 6)))).reshape(grid.shape[:2])

figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
colours = ListedColormap([style.PALE, style.VERMILLION, style.ORANGE, style.SKY])  # nothing, coffee, beer, sleep
axes.pcolormesh(alertness, awake / 2, actions, cmap=colours, vmin=-0.5, vmax=3.5)
axes.set(xlabel="alertness", ylabel="hours awake", title="grey: work on, blue: sleep")
style.clean(axes)
print("sleeps in", f"{np.mean(actions == hp.Action.SLEEP):.0%} of these states")
