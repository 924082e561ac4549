"""PQN, a Q-learner without a replay buffer and without a target network; pure, as the DQN.

train_state = pqn.init(key, hyperparams, config, env)
train_state, metrics = pqn.train_chunk(train_state, hyperparams, config, env, num_iterations=64)
policy = pqn.greedy(train_state.online_params, config, env)
"""

from agents.common.networks import greedy, q_values
from agents.pqn.agent import POPULATION_AXES, Metrics, TrainState, init, memory_bytes, train_chunk
from agents.pqn.algorithm import ALGORITHM
from agents.pqn.config import Hyperparams, PQNConfig

__all__ = [
    "ALGORITHM", "POPULATION_AXES", "Hyperparams", "Metrics", "PQNConfig", "TrainState", "greedy", "init",
    "memory_bytes", "q_values", "train_chunk",
]  # fmt: skip
