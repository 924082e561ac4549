"""PQN, a Q-learner without a replay buffer and without a target network.

train_state = pqn.init(key, hyperparams, config, env)
train_state, metrics = pqn.train_chunk(train_state, hyperparams, config, env, num_iterations=64)
policy = pqn.greedy(train_state.online_params, config, env)
"""

from agents.pqn.agent import Metrics, TrainState, init, memory_bytes, train_chunk
from agents.pqn.config import Hyperparams, PQNConfig
from agents.pqn.network import greedy, q_values

__all__ = [
    "Hyperparams", "Metrics", "PQNConfig", "TrainState", "greedy", "init", "memory_bytes", "q_values", "train_chunk",
]  # fmt: skip
