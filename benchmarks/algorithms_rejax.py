"""rejax's algorithms as contenders, with rejax's settings, through the adapter to gymnax's interface before 1.0.

rejax takes a time limit for an end. Its DQN and IQN draw a batch without replacement, which orders the whole buffer of
131,072 at every decision. Here they draw with replacement, which is several times as fast: a batch of 256 then has a
transition twice now and then.
"""

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import heartpole_jax as hp
from heartpole_jax.interop.gymnax import to_gymnax_legacy

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of packages that rejax imports
    import rejax
    from rejax.buffers import ReplayBuffer

PACKAGES = ("rejax", "gymnax", "jax", "flax", "optax", "distrax")


def build(name: str, expected_penalty: float, num_decisions: int) -> tuple[Callable, Callable[[Any], hp.Policy], int]:
    """(train, policy_of, decisions): `policy_of(train(key))` is a policy that was trained for `decisions` decisions."""
    ReplayBuffer.sample = _sample
    algorithm = rejax.get_algo(name).create(
        env=to_gymnax_legacy("HeartPole-v0", hp.EnvParams(expected_penalty=expected_penalty)),
        total_timesteps=num_decisions, eval_freq=num_decisions, skip_initial_evaluation=True,
    )  # fmt: skip
    algorithm = algorithm.replace(eval_callback=lambda algorithm, train_state, key: ())  # 128 episodes otherwise
    network = algorithm.actor if name == "ppo" else algorithm.agent
    act = Greedy(name, network)

    def train(key):
        train_state, _ = algorithm.train(key)
        return (train_state.actor_ts if name == "ppo" else train_state.q_ts).params

    iteration = algorithm.num_envs * getattr(algorithm, "num_steps", 1)
    return train, lambda weights: hp.Policy(act=act, params=weights), -(-num_decisions // iteration) * iteration


@dataclasses.dataclass(frozen=True)
class Greedy:
    """The best action, or the likeliest, as `act` of a `Policy`: equal for equal networks."""

    name: str  # of the algorithm
    network: Any

    def __call__(self, weights, carry, obs, draw):
        if self.name == "ppo":
            scores = self.network.apply(weights, obs[None], method="_action_dist").logits[0]
        elif self.name == "iqn":  # the mean of 32 random quantiles, the same ones always
            scores = self.network.apply(weights, obs[None], jax.random.key(0), method="q")[0]
        else:
            scores = self.network.apply(weights, obs[None])[0]
        return jnp.argmax(scores).astype(jnp.int32), carry


def _sample(buffer, num, key):
    index = jax.random.randint(key, (num,), 0, buffer.num_entries)
    return jax.tree.map(lambda values: values[index], buffer.data)
