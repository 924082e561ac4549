"""Stable-Baselines3's DQN, in PyTorch and in JAX (SBX), on the tutorial's own package.

What they do that others may not: a time limit is no end to them (their buffer marks it, and they bootstrap through it);
epsilon is drawn before the network is asked, so that a random action costs no forward pass. Both count the target's
period in calls of `step`, which for one environment are environment steps.
"""

import gymnasium
import heartpole
import numpy as np
from dqn_peers import TUTORIAL_STEPS, Settings


class TutorialHeartPole(gymnasium.Env):
    """The tutorial's package with the `reset` of today's Gymnasium.

    The package draws from NumPy's global generator, which Stable-Baselines3 seeds. Its log grows for ever and every
    step copies it: forgetting it with each episode is in its favour.
    """

    def __init__(self):
        self.env = heartpole.HeartPole()
        self.observation_space = self.env.observation_space
        self.action_space = self.env.action_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.env.log = ""
        return self.env.reset()

    def step(self, action):
        return self.env.step(action)


class Run:
    """A model that is being trained, see `dqn_peers.Contender`."""

    def __init__(self, model, parameters):
        self.model = model
        self.parameters = parameters

    def learn(self, num_steps: int) -> None:
        self.model.learn(num_steps, reset_num_timesteps=False)

    def num_updates(self) -> int:
        return self.model._n_updates

    def explored(self) -> None:
        self.model.exploration_schedule = lambda progress_remaining: self.model.exploration_final_eps


def arguments(settings: Settings, seed: int) -> dict:
    """What both classes are built from."""
    return {
        "env": gymnasium.wrappers.TimeLimit(TutorialHeartPole(), settings.max_steps),
        "learning_rate": settings.learning_rate,
        "buffer_size": settings.buffer_size,
        "learning_starts": settings.learning_starts,
        "batch_size": settings.batch_size,
        "gamma": settings.discount,
        "train_freq": settings.train_every,
        "gradient_steps": 1,
        "target_update_interval": settings.target_period,
        # of the steps that `learn` is asked for: right for a run of the tutorial's length
        "exploration_fraction": settings.epsilon_steps / TUTORIAL_STEPS,
        "exploration_initial_eps": settings.epsilon_start,
        "exploration_final_eps": settings.epsilon_end,
        "seed": seed,
        "device": "cpu",
    }


def start_torch(settings: Settings, seed: int) -> Run:
    """Stable-Baselines3's DQN, begun."""
    import torch
    from stable_baselines3 import DQN

    torch.set_num_threads(1)  # the network is too small for two to be of help
    policy = {"net_arch": list(settings.hidden), "optimizer_kwargs": {"eps": settings.adam_eps}}
    model = DQN("MlpPolicy", policy_kwargs=policy, max_grad_norm=settings.max_grad_norm, **arguments(settings, seed))
    return Run(model, lambda: [weights.detach().numpy().copy() for weights in model.q_net.parameters()])


def start_sbx(settings: Settings, seed: int) -> Run:
    """SBX's DQN, begun. It clips no gradients by itself: its optimizer does here. Its network has two equal layers."""
    import jax
    import optax
    from sbx import DQN

    def clipped_adam(learning_rate):
        adam = optax.adam(learning_rate, eps=settings.adam_eps)
        return optax.chain(optax.clip_by_global_norm(settings.max_grad_norm), adam)

    if len(settings.hidden) != 2 or len(set(settings.hidden)) != 1:
        raise ValueError(f"SBX's network has two equal layers, got {settings.hidden}")
    policy = {"net_arch": list(settings.hidden), "optimizer_class": clipped_adam}
    model = DQN("MlpPolicy", policy_kwargs=policy, **arguments(settings, seed))
    return Run(model, lambda: [np.array(weights) for weights in jax.tree.leaves(model.policy.qf_state.params)])
