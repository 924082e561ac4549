"""A DQN whose whole training is one compiled program; pure, and without files, clocks or printing.

train_state = dqn.init(key, hyperparams, config, env)
train_state, metrics = dqn.train_chunk(train_state, hyperparams, config, env, num_iterations=2_500)
result = dqn.train(key, hyperparams, config, env, num_chunks=10, iterations_per_chunk=2_500)
"""

from agents.common.networks import greedy, q_values
from agents.dqn.agent import POPULATION_AXES, Metrics, TrainState, init, train_chunk
from agents.dqn.algorithm import ALGORITHM
from agents.dqn.config import DQNConfig, Hyperparams
from agents.dqn.evaluation import evaluate
from agents.dqn.population import Population, train_population
from agents.dqn.training import Training, train

__all__ = [
    "ALGORITHM", "POPULATION_AXES", "DQNConfig", "Hyperparams", "Metrics", "Population", "TrainState", "Training",
    "evaluate", "greedy", "init", "q_values", "train", "train_chunk", "train_population",
]  # fmt: skip
