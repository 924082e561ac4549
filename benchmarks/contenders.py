"""What is timed: every contender as a function that prepares one cell of the table.

A cell is `(run, patient_steps)`: `run()` does the work once and waits for it; `patient_steps` says how much that was.
"""

import dataclasses
import functools
from collections.abc import Callable

import gymnax
import jax
import jax.numpy as jnp
import limit_kernel
import numpy as np
import peers
from jax.sharding import Mesh, PartitionSpec

import heartpole_jax as hp

Cell = tuple[Callable[[], object], int]


@dataclasses.dataclass(frozen=True)
class Contender:
    """One row of the table."""

    prepare: Callable[[int, tuple], Cell]  # envs, devices -> cell
    envs: Callable[[int], bool] = lambda envs: True  # where it makes sense
    compiles: bool = True


def spread(devices: tuple, envs: int) -> tuple:
    """The devices that these envs can be divided among: all, or just the first."""
    return devices if envs % len(devices) == 0 else devices[:1]


def rollout(envs: int, devices: tuple) -> Cell:
    """hp.rollout as a user calls it: every patient is begun once, and not reset on the way."""
    devices = spread(devices, envs)
    # An episode where that takes a second at most. One alone needs more steps for a call to be more than its overhead.
    num_steps = 20_000 if envs == 1 else 200 if envs > 2**18 else 1000
    policy, key = hp.policies.uniformly_random(), jax.random.key(0)
    options = {"num_envs": envs, "num_steps": num_steps, "devices": devices if len(devices) > 1 else None}
    return lambda: jax.block_until_ready(hp.rollout(policy, key, **options)), envs * num_steps


def usual_loop(reset, step, num_actions: int, envs: int, devices: tuple) -> Cell:
    """The loop of most JAX code: vmapped step, a key for each environment, random actions, one scan; the returns.

    `reset(key)` -> state, `step(key, state, action)` -> state, reward. On several devices each runs it for its share.
    """
    devices = spread(devices, envs)
    num_steps = max(20, min(2**22 // envs, 1000))  # a tenth of a second or more: enough to drown the call's overhead
    share = envs // len(devices)

    def run(key):
        reset_key, scan_key = jax.random.split(key)

        def body(carry, key):
            state, total = carry
            action_key, step_key = jax.random.split(key)
            actions = jax.random.randint(action_key, (share,), 0, num_actions)
            state, reward = jax.vmap(step)(jax.random.split(step_key, share), state, actions)
            return (state, total + reward), None

        state = jax.vmap(reset)(jax.random.split(reset_key, share))
        return jax.lax.scan(body, (state, jnp.zeros(share)), jax.random.split(scan_key, num_steps))[0][1]

    keys = jax.random.split(jax.random.key(0), len(devices))
    if len(devices) == 1:
        program = jax.jit(lambda keys: run(keys[0]))
    else:
        mesh, split = Mesh(np.array(devices), ("envs",)), PartitionSpec("envs")
        shard = functools.partial(jax.shard_map, mesh=mesh, in_specs=split, out_specs=split, check_vma=False)
        program = jax.jit(shard(lambda keys: run(keys[0])))
    return lambda: jax.block_until_ready(program(keys)), envs * num_steps


def step_loop(envs: int, devices: tuple) -> Cell:
    """The usual loop around hp.step."""

    def step(key, state, action):
        state, _, reward, _ = hp.step(state, action, key)
        return state, reward

    return usual_loop(lambda key: hp.reset(key)[0], step, hp.heartpole_v0.NUM_ACTIONS, envs, devices)


def autoreset_loop(envs: int, devices: tuple) -> Cell:
    """The usual loop around hp.step_autoreset, which like gymnax's step prepares a new episode at every step."""
    env = hp.make("HeartPole-v0")

    def step(key, state, action):
        state, _, reward, _, _, _ = hp.step_autoreset(env, state, action, key)
        return state, reward

    return usual_loop(lambda key: env.reset(key)[0], step, env.num_actions, envs, devices)


def gymnax_loop(envs: int, devices: tuple) -> Cell:
    """The usual loop around gymnax's CartPole-v1."""
    env, params = gymnax.make("CartPole-v1")

    def step(key, state, action):
        _, state, reward, *_ = env.step(key, state, action, params)
        return state, reward

    return usual_loop(lambda key: env.reset(key, params)[1], step, env.num_actions, envs, devices)


def whole_blocks(envs: int) -> bool:
    """Whether the limit kernels can take so many envs."""
    return envs % limit_kernel.BLOCK_ENVS == 0


CONTENDERS = {
    "rollout": Contender(rollout),
    "step": Contender(step_loop),
    "autoreset": Contender(autoreset_loop, lambda n: n == 16_384),
    "gymnax": Contender(gymnax_loop),
    "envpool": Contender(peers.envpool_cartpole, lambda n: n <= 16_384, compiles=False),
    "tutorial": Contender(peers.tutorial, lambda n: n == 1, compiles=False),
    "equations": Contender(functools.partial(peers.limit, "equations"), whole_blocks, compiles=False),
    "algebra": Contender(functools.partial(peers.limit, "algebra"), whole_blocks, compiles=False),
}
