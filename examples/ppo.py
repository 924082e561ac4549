"""PPO in one file, for a training loop of your own: `hp.step_autoreset` in a scan, and the exact regret at the end.

    pip install '.[train]'
    python examples/ppo.py [--decisions 500000] [--seeds 4] [--raw-rewards]

Proximal policy optimisation (Schulman et al. 2017) with generalised advantage estimates (Schulman et al. 2016). `train`
is one function of a key: jit it, and vmap it over seeds. Three things are made for HeartPole:

- The time limit is no death. Values are bootstrapped through it, from the true last observation of the episode.
- So an episode may be cut off anywhere, and each environment has a time limit of its own. With one limit for all, all
  would be at the same time of an episode, and the network would forget the first days while it learns the last.
- Rewards shrink like one over the days so far, and so do the network's values, by the transform `heartpole-days`.
  Advantages are in the network's units, where a tired morning is the same problem on day 3 and on day 300.
"""

import argparse
import functools
import time
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

import heartpole_jax as hp
from heartpole_jax import command_line, evaluation, optimum
from heartpole_jax.policies.transforms import TRANSFORMS

ENV = hp.make("HeartPole-v0")
TRANSFORM = TRANSFORMS["heartpole-days"]
RESTING_PENALTY = 100.0 * optimum.resting_risk()  # expected, of a half-hour at perfect rest: no policy escapes it


class Config(NamedTuple):
    """Settings; static. Decisions are those of all environments together."""

    num_envs: int = 64
    num_steps: int = 32  # decisions of each environment in an iteration
    num_epochs: int = 4  # passes over an iteration's decisions
    num_minibatches: int = 8  # gradient steps in a pass
    hidden: int = 64  # units in each of two layers, of the actor and of the critic
    learning_rate: float = 1e-3  # of Adam, falling linearly to 0
    max_grad_norm: float = 0.5
    discount: float = 0.98
    gae_lambda: float = 0.9
    clip: float = 0.2  # of the ratio of probabilities
    entropy_weight: float = 0.003
    huber_delta: float = 1.0  # of the critic's errors, beyond which the loss is linear
    reward_scale: float = 10.0
    shortest_episode: int = 100  # decisions; the environments' time limits lie between this and 1,000


# A heart attack costs 100 and comes once in 800 half-hours: larger batches, and a critic that averages over the noise.
RAW_REWARDS = Config(num_envs=256, num_steps=64, gae_lambda=0.5, huber_delta=1e3, reward_scale=0.1)


class ActorCritic(nn.Module):
    """Logits of the four actions, and the value before its scale: observations (..., 6) to (..., 4) and (...)."""

    hidden: int

    @nn.compact
    def __call__(self, obs):
        found = []
        for outputs, scale in ((ENV.num_actions, 0.01), (1, 1.0)):
            x = TRANSFORM.features(obs, jnp)
            for _ in range(2):
                x = nn.tanh(nn.Dense(self.hidden, kernel_init=nn.initializers.orthogonal(2**0.5))(x))
            found.append(nn.Dense(outputs, kernel_init=nn.initializers.orthogonal(scale))(x))
        logits, value = found
        return logits, value[..., 0]


class Samples(NamedTuple):
    """Decisions and their results; leaves (num_steps, num_envs, ...). Values are before the scale."""

    obs: jax.Array
    action: jax.Array
    log_prob: jax.Array  # of the action
    value: jax.Array  # of obs ...
    last_value: jax.Array  # ... and of the true observation after the action
    scale: jax.Array  # of the value of obs ...
    last_scale: jax.Array  # ... and of that after the action
    reward: jax.Array
    done: jax.Array  # a true end or the time limit
    terminated: jax.Array  # a true end


def advantages(samples, discount, gae_lambda):
    """Generalised advantage estimates in the network's units, (num_steps, num_envs).

    The sum of the TD errors until the episode or the iteration ends, with the weights (discount gae_lambda)^k.
    """
    after = jnp.where(samples.terminated, 0.0, samples.last_value * samples.last_scale)
    td_errors = samples.reward + discount * after - samples.value * samples.scale

    def backwards(following, now):
        td_error, done = now
        advantage = td_error + discount * gae_lambda * jnp.where(done, 0.0, following)
        return advantage, advantage

    _, found = jax.lax.scan(backwards, jnp.zeros_like(td_errors[0]), (td_errors, samples.done), reverse=True)
    return found / samples.scale


def log_prob_of(logits, action):
    """The logarithm of each action's probability, (...)."""
    return jnp.take_along_axis(nn.log_softmax(logits), action[..., None], axis=-1)[..., 0]


def loss(weights, batch, network, config):
    """The clipped surrogate, the critic's error and the entropy; `batch` is (samples, advantages, targets)."""
    samples, advantage, target = batch
    logits, value = network.apply(weights, samples.obs)
    ratio = jnp.exp(log_prob_of(logits, samples.action) - samples.log_prob)
    advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    clipped = jnp.clip(ratio, 1.0 - config.clip, 1.0 + config.clip)
    surrogate = jnp.minimum(ratio * advantage, clipped * advantage).mean()
    entropy = -(nn.softmax(logits) * nn.log_softmax(logits)).sum(axis=-1).mean()
    error = optax.huber_loss(value, target, delta=config.huber_delta).mean()
    return 0.5 * error - surrogate - config.entropy_weight * entropy


def act(key, weights, env_state, obs, network, params, config):
    """((env_state, obs) after `num_steps` decisions of every environment, the samples)."""
    step = jax.vmap(functools.partial(hp.step_autoreset, ENV))

    def decide(carry, key):
        env_state, obs = carry
        action_key, step_key = jax.random.split(key)
        logits, value = network.apply(weights, obs)
        action = jax.random.categorical(action_key, logits)
        keys = jax.random.split(step_key, config.num_envs)
        env_state, next_obs, reward, done, terminated, last_obs = step(env_state, action, keys, params)
        reward = config.reward_scale * (reward + RESTING_PENALTY)
        last_value = network.apply(weights, last_obs)[1]
        scale, last_scale = TRANSFORM.value_scale(obs, jnp), TRANSFORM.value_scale(last_obs, jnp)
        log_prob = log_prob_of(logits, action)
        return (env_state, next_obs), Samples(
            obs, action, log_prob, value, last_value, scale, last_scale, reward, done, terminated
        )

    return jax.lax.scan(decide, (env_state, obs), jax.random.split(key, config.num_steps))


def learn(key, weights, optimiser_state, samples, network, optimiser, config):
    """(weights, optimiser_state) after `num_epochs` passes over the samples, each in an order of its own."""
    size = config.num_envs * config.num_steps
    advantage = advantages(samples, config.discount, config.gae_lambda)
    data = jax.tree.map(lambda x: x.reshape(size, *x.shape[2:]), (samples, advantage, advantage + samples.value))

    def update(carry, index):
        weights, optimiser_state = carry
        gradient = jax.grad(loss)(weights, jax.tree.map(lambda x: x[index], data), network, config)
        change, optimiser_state = optimiser.update(gradient, optimiser_state)
        return (optax.apply_updates(weights, change), optimiser_state), None

    orders = jax.vmap(lambda key: jax.random.permutation(key, size))(jax.random.split(key, config.num_epochs))
    batches = orders.reshape(config.num_epochs * config.num_minibatches, -1)
    return jax.lax.scan(update, (weights, optimiser_state), batches)[0]


def num_iterations(num_decisions, config):
    """Whole iterations that make about `num_decisions` decisions."""
    return max(1, round(num_decisions / (config.num_envs * config.num_steps)))


def train(key, num_decisions=500_000, config=None, expected_penalty=1.0):
    """The network's weights after about `num_decisions` decisions. `config` is `Config()` where None."""
    config = config or Config()
    network_key, reset_key, train_key = jax.random.split(key, 3)
    iterations = num_iterations(num_decisions, config)
    decay = optax.linear_schedule(config.learning_rate, 0.0, iterations * config.num_epochs * config.num_minibatches)
    optimiser = optax.chain(optax.clip_by_global_norm(config.max_grad_norm), optax.adam(decay, eps=1e-5))
    limits = jnp.linspace(config.shortest_episode, 1000, config.num_envs).round()
    params = jax.vmap(lambda limit: hp.EnvParams(max_steps=limit, expected_penalty=expected_penalty))(limits)
    env_state, obs = jax.vmap(ENV.reset)(jax.random.split(reset_key, config.num_envs), params)
    network = ActorCritic(config.hidden)
    weights = network.init(network_key, obs)

    def iterate(carry, key):
        weights, optimiser_state, env_state, obs = carry
        act_key, learn_key = jax.random.split(key)
        (env_state, obs), samples = act(act_key, weights, env_state, obs, network, params, config)
        weights, optimiser_state = learn(learn_key, weights, optimiser_state, samples, network, optimiser, config)
        return (weights, optimiser_state, env_state, obs), None

    carry = weights, optimiser.init(weights), env_state, obs
    return jax.lax.scan(iterate, carry, jax.random.split(train_key, iterations))[0][0]


def greedy(weights, carry, obs, draw):
    """The likeliest action: the `act` of a `Policy` whose params are the weights."""
    hidden = weights["params"]["Dense_0"]["bias"].shape[0]
    return jnp.argmax(ActorCritic(hidden).apply(weights, obs)[0]).astype(jnp.int32), carry


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=command_line.count, default=500_000)
    parser.add_argument("--seeds", type=command_line.count, default=4)
    parser.add_argument("--raw-rewards", action="store_true", help="a heart attack costs 100 when it happens")
    args = parser.parse_args()
    command_line.use_all_cores()
    config, expected_penalty = (RAW_REWARDS, 0.0) if args.raw_rewards else (Config(), 1.0)
    keys = jax.random.split(jax.random.key(0), args.seeds)
    run = jax.jit(jax.vmap(lambda key: train(key, args.decisions, config, expected_penalty))).lower(keys).compile()
    began = time.perf_counter()
    weights = jax.block_until_ready(run(keys))
    print(f"{args.seeds} seeds of {args.decisions:,} decisions in {time.perf_counter() - began:.1f} s")
    for seed in range(args.seeds):
        policy = hp.Policy(act=greedy, params=jax.tree.map(lambda x: x[seed], weights))  # noqa: B023
        found = evaluation.evaluate(policy, jax.random.key(1), num_episodes=1024)
        regret, drinks = evaluation.format_estimate(found.regret), found.drinks_a_day.mean
        print(f"seed {seed}: regret {regret}, {drinks:.4f} drinks a day")


if __name__ == "__main__":
    main()
