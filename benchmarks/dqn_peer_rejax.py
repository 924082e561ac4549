"""rejax's DQN on our environment, through an adapter of the shape that rejax wants of gymnax.

rejax steps all envs once and then learns, so that one gradient step in four environment steps takes four envs. It
cannot be given a Huber loss or a clipped norm: its loss is squared and its gradients are clipped one by one. An ended
episode is masked as death, time limit or not. `target_update_freq` counts environment steps. A batch is drawn without
replacement, which orders the whole buffer at each gradient step, whatever is in it.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from dqn_peers import Settings
from flax import linen as nn
from gymnax.environments import spaces
from rejax.algos.dqn import DQN
from rejax.networks import DiscreteQNetwork, EpsilonGreedyPolicy

import heartpole_jax as hp


class GymnaxStyle:
    """Our environment with the five values of a step that rejax takes apart (today's gymnax gives six)."""

    def __init__(self, env: hp.Environment, params: hp.EnvParams):
        self.env = env
        self.default_params = params

    def reset(self, key, params):
        state, obs = self.env.reset(key, params)
        return obs, state

    def step(self, key, state, action, params):
        state, obs, reward, done, _, _ = hp.step_autoreset(self.env, state, action, key, params)
        return obs, state, reward, done, {}

    def action_space(self, params):
        return spaces.Discrete(self.env.num_actions)

    def observation_space(self, params):
        return spaces.Box(-jnp.inf, jnp.inf, self.env.obs_shape)


def build(settings: Settings, num_steps: int) -> Callable:
    """train(keys), see `dqn_peers.Contender`."""
    env = hp.make("HeartPole-v0")
    network = EpsilonGreedyPolicy(DiscreteQNetwork)(
        hidden_layer_sizes=settings.hidden, activation=nn.relu, action_dim=env.num_actions
    )
    algorithm = DQN.create(
        env=GymnaxStyle(env, hp.EnvParams(max_steps=settings.max_steps)),
        total_timesteps=num_steps,
        eval_freq=num_steps,
        skip_initial_evaluation=True,
        learning_rate=settings.learning_rate,
        gamma=settings.discount,
        max_grad_norm=settings.max_grad_norm,
        num_envs=settings.train_every,
        num_epochs=1,
        buffer_size=settings.buffer_size,
        fill_buffer=settings.learning_starts,
        batch_size=settings.batch_size,
        target_update_freq=settings.target_period,
        polyak=0.0,
        ddqn=False,
        eps_start=settings.epsilon_start,
        eps_end=settings.epsilon_end,
        exploration_fraction=settings.epsilon_steps / num_steps,
    )
    # `create` takes neither: it names a width of its own, and evaluates in 128 episodes at the end
    algorithm = algorithm.replace(agent=network, eval_callback=lambda algorithm, train_state, key: ())

    def train(key):
        train_state, _ = algorithm.train(key)
        return train_state.q_ts.params, train_state.q_ts.step, ()

    return jax.vmap(train)
