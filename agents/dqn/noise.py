"""What an iteration of the DQN needs that does not depend on the iterations before it: random numbers and schedules.

Every random number is a hash of the run's key, its purpose, the environment's index and the time.
"""

import jax
import jax.numpy as jnp
from chex import Array, ArrayTree, Numeric

from agents.common import packing
from agents.dqn import loss, replay
from agents.dqn.config import DQNConfig, Hyperparams
from heartpole_jax import Environment, arguments, struct, threefry

# What a key's random numbers are for. Not 0 to 2, which are a rollout's: its noise under the same key is another.
NOISE, POLICY, START, SAMPLE, NETWORK = range(16, 21)


@arguments.typed(env_steps=arguments.check_numeric)
def epsilon_at(env_steps: Numeric, hyperparams: Hyperparams) -> Array:
    """The share of random actions after `env_steps` steps: 1 until `learning_starts`, linear from start to end."""
    env_steps = jnp.asarray(env_steps, jnp.result_type(float))
    progress = jnp.clip(env_steps / hyperparams.epsilon_steps, 0.0, 1.0)
    scheduled = hyperparams.epsilon_start + progress * (hyperparams.epsilon_end - hyperparams.epsilon_start)
    return jnp.where(env_steps < hyperparams.learning_starts, 1.0, scheduled)


@struct.dataclass
class StepNoise:
    """The random numbers of one environment's step."""

    noise: ArrayTree  # of the environment
    start: ArrayTree  # of a reset, if one comes
    explore: Array  # bool: the action is random
    random_action: Array  # int32
    reset: Array  # bool: the episode is cut off


@struct.dataclass
class NoisePlan:
    """What is known of an iteration before it: random numbers and schedules."""

    steps: Array  # int32 (steps, num_envs, words), packed `StepNoise`
    slot: Array  # int32, where in the buffer the iteration's steps go
    sample: Array  # int32 (updates, batch_size), which transitions the updates read
    learn: Array  # bool, updates count
    learning_rate: Array
    target_share: Array  # of the online network in the target network's update, 0 where none is due


def plan(key, first_iteration, num_iterations: int, hyperparams, config: DQNConfig, env: Environment) -> NoisePlan:
    """The plans of some iterations, leaves of shape (num_iterations, ...).

    All together, since every operation in the innermost loop costs XLA on a CPU about 80 ns, however small it is.
    """
    num_steps, num_envs, num_updates = config.steps_per_iteration, config.num_envs, config.updates_per_iteration
    iteration = first_iteration + jnp.arange(num_iterations, dtype=jnp.int32)
    steps = _steps(key, first_iteration * num_steps, num_iterations * num_steps, hyperparams, config, env)

    sample = threefry.fold_in(key, SAMPLE)
    update = (iteration[:, None] * num_updates + jnp.arange(num_updates, dtype=jnp.int32)[None]).astype(jnp.uint32)
    pair = jnp.arange(-(-config.batch_size // 2), dtype=jnp.uint32)
    words = jnp.concatenate(threefry.threefry2x32(sample, (update[..., None], pair[None, None])), axis=-1)
    written = (iteration + 1) * num_steps
    num_slots = config.buffer_size // num_envs
    where = replay.choose(words[..., : config.batch_size], written[:, None, None], config.n_step, num_slots, num_envs)

    before = iteration * config.env_steps_per_iteration
    after = before + config.env_steps_per_iteration
    period = jnp.asarray(hyperparams.target_period, jnp.int32)
    return NoisePlan(
        steps=steps.reshape(num_iterations, num_steps, *steps.shape[1:]),
        slot=jax.lax.rem(iteration * num_steps, jnp.int32(num_slots)),
        sample=where,
        learn=(after.astype(jnp.result_type(float)) > hyperparams.learning_starts) & (written >= config.n_step),
        learning_rate=loss.learning_rate_at(before, hyperparams),
        target_share=jnp.where(after // period > before // period, hyperparams.target_tau, 0.0),
    )


def _steps(key, first_step, num_steps: int, hyperparams, config: DQNConfig, env: Environment) -> Array:
    """The noise of some steps, packed, (num_steps, num_envs, words)."""
    noise, policy, start = (threefry.fold_in(key, use) for use in (NOISE, POLICY, START))
    at = lambda purpose, time, env_index: threefry.key_at(purpose, env_index, time.astype(jnp.uint32))
    # One step more, the one before: where it ended with a reset, the first action is random.
    time = first_step + jnp.arange(-1, num_steps, dtype=jnp.int32)
    env_index = jnp.arange(config.num_envs, dtype=jnp.uint32)
    policy_words = lambda time, env_index: threefry.random_words(at(policy, time, env_index), 2)
    explore, chance = jax.vmap(jax.vmap(policy_words, in_axes=(None, 0)), in_axes=(0, None))(time, env_index)
    spare = explore << 24 | (chance & 0xFFFF) << 8  # the 24 bits that the other uses hardly depend on
    reset = (threefry.as_uniform(spare) < hyperparams.reset_rate) & (time >= 0)[:, None]
    time, explore, chance = time[1:], explore[1:], chance[1:]
    explore = threefry.as_uniform(explore) < epsilon_at(time * config.num_envs, hyperparams)[:, None]

    def step_noise(time, env_index, explore, chance, reset):
        return packing.pack(
            StepNoise(
                noise=env.sample_noise(at(noise, time, env_index)),
                start=env.sample_start(at(start, time + 1, env_index)),
                explore=explore,
                random_action=replay.random_below(chance, env.num_actions),
                reset=reset,
            )
        )

    over_envs = jax.vmap(step_noise, in_axes=(None, 0, 0, 0, 0))
    return jax.vmap(over_envs, in_axes=(0, None, 0, 0, 0))(time, env_index, explore | reset[:-1], chance, reset[1:])


def form_of_step(env: Environment) -> StepNoise:
    """The shapes and types of a `StepNoise`."""

    def step_noise():
        key = jax.random.key(0)
        return StepNoise(
            noise=env.sample_noise(key), start=env.sample_start(key), explore=jnp.array(True),
            random_action=jnp.int32(0), reset=jnp.array(True),
        )  # fmt: skip

    return jax.eval_shape(step_noise)
