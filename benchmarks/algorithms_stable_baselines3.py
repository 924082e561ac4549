"""Stable-Baselines3's algorithms as contenders, with its settings and "MlpPolicy", on our `VecEnv` of one environment.

Its policies are rewritten for JAX, so that they are evaluated as all others: `check_agrees` compares them.
"""

import dataclasses
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import stable_baselines3
import torch

import heartpole_jax as hp
from heartpole_jax.interop.stable_baselines3 import HeartPoleVecEnv

PACKAGES = ("stable-baselines3", "torch", "gymnasium", "jax")


def train(name: str, expected_penalty: float, num_decisions: int, seed: int) -> tuple[hp.Policy, float, int]:
    """(policy, seconds of training, decisions really made)."""
    torch.set_num_threads(1)  # the network is too small for more to be of help
    env = HeartPoleVecEnv(1, expected_penalty=expected_penalty)
    model = getattr(stable_baselines3, name)("MlpPolicy", env, seed=seed, device="cpu")
    _compile(env)
    started = time.perf_counter()
    model.learn(num_decisions)
    seconds = time.perf_counter() - started
    policy = policy_of(model)
    check_agrees(model, policy)
    return policy, seconds, model.num_timesteps


def _compile(env: HeartPoleVecEnv) -> None:
    """Another environment of this size, stepped: compiled programs are found again."""
    other = HeartPoleVecEnv(1, **{"expected_penalty": env.params.expected_penalty})
    other.reset()
    other.step(np.zeros(1, int))


def policy_of(model: Any) -> hp.Policy:
    """The deterministic policy of a DQN, PPO or A2C with "MlpPolicy": its weights, copied."""
    net = model.policy
    if isinstance(model, stable_baselines3.DQN):
        modules = list(net.q_net.q_net)
    else:
        modules = [*net.mlp_extractor.policy_net, net.action_net]
    kinds = {type(module) for module in modules}
    activation = next(name for kind, name in ((torch.nn.ReLU, "relu"), (torch.nn.Tanh, "tanh")) if kind in kinds)
    layers = [
        tuple(jnp.asarray(part.detach().numpy().T.copy()) for part in (module.weight, module.bias))
        for module in modules
        if isinstance(module, torch.nn.Linear)
    ]
    return hp.Policy(act=Greedy(activation), params=layers)


@dataclasses.dataclass(frozen=True)
class Greedy:
    """The action of the largest output of a multilayer perceptron, as `act` of a `Policy`."""

    activation: str

    def __call__(self, layers, carry, obs, draw):
        x = obs
        for kernel, bias in layers[:-1]:
            x = getattr(jax.nn, self.activation)(x @ kernel + bias)
        kernel, bias = layers[-1]
        return jnp.argmax(x @ kernel + bias).astype(jnp.int32), carry


def check_agrees(model: Any, policy: hp.Policy) -> None:
    """Raises RuntimeError where the rewritten policy acts otherwise than the library's own `predict`.

    On the observations of 64 patients who act at random for 64 decisions. Rounding may decide between two equally good
    actions: one observation in a thousand may differ.
    """
    record = lambda transition: transition.obs
    obs = hp.rollout(hp.policies.make("random"), jax.random.key(0), num_envs=64, num_steps=64, record=record).records
    obs = np.asarray(obs).reshape(-1, obs.shape[-1])
    theirs, _ = model.predict(obs, deterministic=True)
    ours = jax.vmap(lambda row: policy.act(policy.params, (), row, ())[0])(obs)
    share = np.mean(np.asarray(ours) != theirs)
    if share > 0.001:
        raise RuntimeError(
            f"the policy rewritten for JAX differs from the library's own in {share:.1%} of observations"
        )
