"""A study that trains in a second: short episodes, a small network."""

TOML = """
env = "HeartPole-v0"
recipe = "heartpole-v0"
num_steps = 8_192
seeds = 2
num_evaluations = 4
evaluation_episodes = 2
final_episodes = 4
search = "grid"
[config]
hidden_sizes = [8]
buffer_size = 1_024
num_envs = 4
batch_size = 8
[hyperparams]
learning_starts = 256.0
[params]
max_steps = 100
[space]
learning_rate = {grid = [1e-4, 3e-3]}
discount = {grid = [0.9, 0.99]}
"""
HALVING = "halving = {keep_one_in = 2, rungs = 2}\n"
