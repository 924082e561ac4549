"""Rollouts: many patients through many steps, in one scan.

    result = rollout(policy, key, num_envs=16_384)            # result.totals: the return of each patient

Patient i at step t has random numbers that depend on `key`, i and t alone. So two policies under one key have the same
noise (common random numbers), a patient's episode does not change with the number of patients, blocks or devices, and a
rollout that is cut in two goes on with the same noise. Programs that are compiled differently may round differently.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, ArrayTree, PRNGKey
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

from heartpole_jax import arguments, platforms, struct, threefry, validation
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.platforms import ByPlatform
from heartpole_jax.policy import Policy, as_policy

# By measurement on CPUs, by count of kernels and bytes for accelerators (docs/development/speed.md, accelerators.md).
# Steps whose random numbers are drawn together: on a CPU the compiler would otherwise repeat the hashing for each array
# that depends on it; on a GPU they stay in registers, and drawing them ahead would send them through memory.
_NOISE_STEPS = ByPlatform(cpu=10, accelerator=1)
# Steps in a turn of the loop, where noise is not drawn ahead: on a GPU all of them become one kernel, which reads and
# writes the patients once. More take longer to compile.
_UNROLL = ByPlatform(cpu=1, accelerator=4)
# Patients at a time: on a CPU as many as fit the second-level cache.
_BLOCK_ENVS = ByPlatform(cpu=8192, accelerator=None)
# Whether a block is filled up to an odd number of patients: XLA gives each thread of a GPU four entries of arrays whose
# length four divides, and the steps of four patients are too much for its registers. Not for records, which would be
# copied to cut the filling off.
_ODD_BLOCKS = ByPlatform(cpu=False, accelerator=True)
_MOST_CONSTANTS = 32  # parameters of plain numbers whose programs are kept, 6.5 MB each and more


@struct.dataclass
class Transition:
    """One patient's step, as `total` and `record` see it."""

    state: ArrayTree
    obs: Array
    action: Array  # int32
    reward: Array
    done: Array  # bool, the time limit or a true end
    terminated: Array  # bool, a true end
    next_state: ArrayTree  # before any reset
    next_obs: Array  # the true last observation, whatever `done` is
    info: ArrayTree  # what the environment's transition_info returns


@struct.dataclass
class Envs:
    """Where the patients of a rollout stand, leaves of shape (num_envs, ...). `rollout(..., start=envs)` goes on."""

    state: ArrayTree
    carry: ArrayTree  # the policy's
    running: Array  # bool; False once an episode is done, always True with autoreset
    index: Array  # uint32, which patient: with `time` and the key it names the random numbers
    time: Array  # uint32, steps done


@struct.dataclass
class Rollout:
    """What a rollout returns: `totals` of shape (num_envs, ...), `records` of shape (num_steps, num_envs, ...)."""

    totals: ArrayTree
    records: ArrayTree
    envs: Envs


@arguments.typed()
def reward_of(transition: Transition) -> Array:
    """The reward: the default of `total`, which makes `totals` the returns."""
    return transition.reward


def everything(transition: Transition) -> Transition:
    """The whole transition: as `record` it returns whole trajectories."""
    return transition


def rollout(
    policy: Policy | Callable[[PRNGKey, Array], Any],
    key: PRNGKey,
    params: Any = None,
    *,
    env: Environment = HEARTPOLE_V0,
    num_envs: int,
    num_steps: int | None = None,
    total: Callable[[Transition], ArrayTree] | None = reward_of,
    record: Callable[[Transition], ArrayTree] | None = None,
    autoreset: bool = False,
    start: Envs | None = None,
    block_envs: int | None = None,
    devices: Sequence[jax.Device] | None = None,
) -> Rollout:
    """Rolls `num_envs` patients out for `num_steps` decisions. Pure; can be jitted, vmapped and differentiated.

    Time and memory are spent only on what is returned: `totals` alone need no memory that grows with the steps.

    Args:
      policy: a `Policy`, or a function `(key, obs) -> action`, for one patient.
      key: a typed or raw key.
      params: of the environment, one for all patients; map over several with `jax.vmap`. Plain numbers are compiled
        in, so that other numbers compile again; arrays are arguments of the program, which is then slower.
      env: any `Environment`.
      num_envs: patients, at least 1.
      num_steps: decisions, at least 1; the time limit where there is one, by default.
      total: transition -> numbers, summed over the steps of each patient. Sums are of JAX's default float.
        Without `autoreset` they end with the episode. Pass the same function again to reuse the compiled program.
      record: transition -> anything, stacked over the steps. Steps after an episode's end are recorded too.
      autoreset: begin a new episode where one is done (`Transition.next_obs` stays the true last one).
      start: `Rollout.envs` of an earlier call, to go on from there with the same key.
      block_envs: patients simulated at a time on a device, unless something is recorded. By default what fits a CPU's
        cache, and on other devices all of them. Changes no result.
      devices: spread the patients over these devices. Changes no result.

    Returns:
      A `Rollout`.

    Raises:
      ValueError: for a size below 1 or too large to hold, a missing `num_steps`, a key of the wrong shape.
      TypeError: for sizes that are not whole numbers, a policy that cannot be called, a key that is none.
    """
    validation.check_type("env", env, Environment, "heartpole_jax.make(name) finds one")
    policy = as_policy(policy)
    validation.check_key("key", key)
    params = env.params_or_default(params)
    num_steps = _time_limit(env, params) if num_steps is None else num_steps
    validation.check_type("autoreset", autoreset, (bool, np.bool_))
    for name, function in (("total", total), ("record", record)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} must be a function of a Transition, got {validation.described(function)}")
    if devices is not None:
        devices = tuple(devices) if isinstance(devices, Sequence) else (devices,)
        for device in devices:
            validation.check_type("each of devices", device, jax.Device, "jax.devices() names them")
        if not devices:
            raise ValueError("devices must name at least one device, got none; leave it out for the default device")
    platform = devices[0].platform if devices else platforms.default_platform()
    if block_envs is None:
        block_envs = _BLOCK_ENVS.on(platform) or num_envs
    for name, size in (("num_envs", num_envs), ("num_steps", num_steps), ("block_envs", block_envs)):
        validation.check_size(name, size)
    num_envs, num_steps, block_envs = map(int, (num_envs, num_steps, block_envs))  # NumPy's may be of few bits
    if start is not None:
        _check_start(start, env, policy, params, key, num_envs)
    # Parameters that are plain numbers are compiled in, which makes the program up to twice as fast on a CPU.
    leaves, treedef = jax.tree.flatten(params)
    constants = None
    if all(type(leaf) in (int, float, bool) for leaf in leaves):
        params, constants = None, _Constants(tuple(leaves), tuple(map(type, leaves)), treedef)
    with contextlib.nullcontext() if devices is None else _mesh_set_aside():
        if devices is not None:
            place = functools.partial(_placed, mesh=Mesh(np.array(devices), ("envs",)))
            policy, key, params, start = jax.tree.map(place, (policy, key, params, start))
        return _program(constants)(
            policy, key, params, start, env=env, num_envs=num_envs, num_steps=num_steps,
            total=total, record=record, autoreset=autoreset, block_envs=block_envs, devices=devices,
            noise_steps=_NOISE_STEPS.on(platform), unroll=_UNROLL.on(platform), odd_blocks=_ODD_BLOCKS.on(platform),
        )  # fmt: skip


def _check_start(start: Envs, env: Environment, policy: Policy, params: Any, key: PRNGKey, num_envs: int) -> None:
    """Raises TypeError or ValueError for `Envs` of another environment, policy or number."""
    validation.check_type("start", start, Envs, "give the `envs` of a rollout")
    arguments.check_arrays("start", start)
    for name, kind in (("running", bool), ("index", np.integer), ("time", np.integer)):
        values = getattr(start, name)
        if not isinstance(values, jax.Array | np.ndarray) or values.ndim != 1 or not jnp.issubdtype(values.dtype, kind):
            raise TypeError(
                f"start.{name} must be of one {kind.__name__} an environment, got {arguments.described(values)}"
            )
        if values.shape != (num_envs,):
            raise ValueError(f"start must hold num_envs environments, got {len(values)} and num_envs {num_envs}")
    fresh = jax.eval_shape(lambda: (env.reset(key, params)[0], policy.carry))
    forms = lambda tree: (jax.tree.structure(tree), [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)])
    for what, own, given in zip(("environment", "policy"), fresh, (start.state, start.carry), strict=True):
        if forms(jax.tree.map(lambda x: jax.ShapeDtypeStruct((num_envs, *x.shape), x.dtype), own)) != forms(given):
            raise ValueError(
                f"start must hold the environments of this {what}, got those of another; leave it out to begin anew"
            )


def stream(
    policy, key: PRNGKey, params: Any = None, *, num_steps: int, chunk_steps: int, **options
) -> Iterator[Rollout]:
    """The rollout in pieces of `chunk_steps` decisions, for trajectories that do not fit: an iterator of `Rollout`.

    Their `records`, one after the other, are those of the whole, and their `totals` add up to its totals. `options` are
    those of `rollout`.
    """
    validation.check_size("num_steps", num_steps)
    validation.check_size("chunk_steps", chunk_steps)
    envs = options.pop("start", None)
    for done in range(0, num_steps, chunk_steps):
        piece = rollout(policy, key, params, num_steps=min(chunk_steps, num_steps - done), start=envs, **options)
        envs = piece.envs
        yield piece


@functools.lru_cache(maxsize=_MOST_CONSTANTS)
def _program(constants: "_Constants | None") -> Callable:
    """`_rollout`, compiled, for parameters that are compiled in. What falls out of the cache takes its programs along,
    which jit would keep for ever."""
    static = ("env", "num_envs", "num_steps", "total", "record", "autoreset", "block_envs", "devices", "noise_steps",
              "unroll", "odd_blocks")  # fmt: skip
    return jax.jit(functools.partial(_rollout, constants), static_argnames=static)


def _rollout(
    constants, policy, key, params, start, *, env, num_envs, num_steps, total, record, autoreset, block_envs, devices,
    noise_steps, unroll, odd_blocks,
):  # fmt: skip
    """Divides the environments into blocks, and the blocks among the devices."""
    if constants is not None:
        params = jax.tree.unflatten(constants.treedef, constants.leaves)
    num_devices = 1 if devices is None else len(devices)
    num_blocks = num_devices * (1 if record else -(-num_envs // (num_devices * block_envs)))
    envs_a_block = -(-num_envs // num_blocks)
    if odd_blocks and not record:
        envs_a_block |= 1
    padding = num_blocks * envs_a_block - num_envs
    streams = _Streams(noise=threefry.fold_in(key, 0), policy=threefry.fold_in(key, 1), start=threefry.fold_in(key, 2))
    if start is None:
        start = jax.vmap(lambda i: _fresh_env(policy, params, streams, i, env))(jnp.arange(num_envs, dtype=jnp.uint32))

    def divide(x):
        padded = jnp.concatenate([x, jnp.repeat(x[-1:], padding, axis=0)])
        return padded.reshape(num_blocks, envs_a_block, *x.shape[1:])

    def run(policy, traced, streams, blocks):
        values = params if constants is not None else traced
        block = functools.partial(
            _run_block, env=env, num_steps=num_steps, total=total, record=record, autoreset=autoreset,
            noise_steps=noise_steps, unroll=unroll,
        )  # fmt: skip
        return jax.lax.map(lambda envs: block(policy, values, streams, envs), blocks)

    if devices is not None:
        whole, split = PartitionSpec(), PartitionSpec("envs")
        mesh = Mesh(np.array(devices), ("envs",))
        run = jax.shard_map(run, mesh=mesh, in_specs=(whole, whole, whole, split), out_specs=split, check_vma=False)

    def unite(x):
        return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])[:num_envs]

    envs, totals, records = run(policy, params, streams, jax.tree.map(divide, start))
    result = Rollout(
        envs=jax.tree.map(unite, envs),
        totals=jax.tree.map(unite, totals),
        # From (blocks, steps, envs) to (steps, envs). One block a device here, so this copies only between devices.
        records=jax.tree.map(lambda x: jnp.swapaxes(unite(jnp.swapaxes(x, 1, 2)), 0, 1), records),
    )
    validation.check_fits(result, devices or jax.local_devices()[:1])
    return result


class _Constants(NamedTuple):
    """Parameters as a static argument: the numbers and the tree they come from."""

    leaves: tuple[int | float, ...]
    types: tuple[type, ...]  # since 2 == 2.0, which make different programs
    treedef: Any


@struct.dataclass
class _Streams:
    """Hashed words for each use of random numbers; `threefry.key_at` makes keys of them for an environment and time."""

    noise: tuple[Array, Array]
    policy: tuple[Array, Array]
    start: tuple[Array, Array]


def _fresh_env(policy: Policy, params, streams: _Streams, index: Array, env: Environment) -> Envs:
    start = env.sample_start(threefry.key_at(streams.start, index, jnp.uint32(0)))
    return Envs(
        state=env.initial_state(start, params),
        carry=jax.tree.map(jnp.asarray, policy.carry),
        running=jnp.array(True),
        index=index,
        time=jnp.zeros((), jnp.uint32),
    )


def _run_block(
    policy: Policy,
    params,
    streams: _Streams,
    envs: Envs,
    *,
    env,
    num_steps,
    total,
    record,
    autoreset,
    noise_steps,
    unroll,
):
    """Some environments through all steps: (envs, totals, records), records of shape (num_steps, envs, ...)."""

    def draw(index, time):
        fresh = env.sample_start(threefry.key_at(streams.start, index, time + 1)) if autoreset else None
        noise = env.sample_noise(threefry.key_at(streams.noise, index, time))
        return noise, policy.sample(threefry.key_at(streams.policy, index, time)), fresh

    def act(state, carry, noise, draw):
        obs = env.observe(state)
        action, next_carry = policy.act(policy.params, carry, obs, draw)
        next_state, next_obs, reward, done, info = env.transition_info(state, action, noise, params)
        return next_carry, Transition(
            state=state, obs=obs, action=jnp.asarray(action, jnp.int32), reward=reward, done=jnp.asarray(done, bool),
            terminated=env.terminated(next_state),
            next_state=next_state, next_obs=next_obs, info=info,
        )  # fmt: skip

    def step(state, carry, running, totals, draws):
        noise, policy_draw, fresh = draws
        next_carry, transition = act(state, carry, noise, policy_draw)
        if total is not None:
            kept = lambda x: jnp.where(running, x, jnp.zeros_like(x))
            totals = jax.tree.map(lambda sum_, x: sum_ + kept(x).astype(sum_.dtype), totals, total(transition))
        next_state, done = transition.next_state, transition.done
        if autoreset:
            begun = env.initial_state(fresh, params), jax.tree.map(jnp.asarray, policy.carry)
            next_state, next_carry = _where(done, begun, (next_state, next_carry))
        else:
            running = running & ~done
        return (next_state, next_carry, running, totals), record(transition) if record else None

    def step_all(carry, offset):
        return jax.vmap(step)(*carry, jax.vmap(draw)(envs.index, envs.time + offset))  # type: ignore[call-arg]

    def chunk(carry, offsets):
        draws = jax.vmap(lambda offset: jax.vmap(draw)(envs.index, envs.time + offset))(offsets)
        draws, unpair = _pair(draws)
        return jax.lax.scan(lambda carry, draws: jax.vmap(step)(*carry, unpair(draws)), carry, draws)  # type: ignore[call-arg]

    totals = None
    if total is not None:
        _, transition = jax.eval_shape(
            jax.vmap(act), envs.state, envs.carry, *jax.vmap(draw)(envs.index, envs.time)[:2]
        )
        shapes = jax.eval_shape(jax.vmap(total), transition)
        totals = jax.tree.map(lambda x: jnp.zeros(x.shape, jnp.result_type(float)), shapes)

    carry = (envs.state, envs.carry, envs.running, totals)
    offsets = jnp.arange(num_steps, dtype=jnp.uint32)
    if noise_steps == 1:
        carry, records = jax.lax.scan(step_all, carry, offsets, unroll=unroll)
    else:
        carry, records = _scan_chunks(chunk, carry, offsets, noise_steps)
    state, policy_carry, running, totals = carry
    envs = dataclasses.replace(
        envs, state=state, carry=policy_carry, running=running, time=envs.time + jnp.uint32(num_steps)
    )
    return envs, totals, records


def _scan_chunks(chunk: Callable, carry: Any, offsets: Array, chunk_steps: int) -> tuple[Any, ArrayTree]:
    """`chunk(carry, offsets)` for `chunk_steps` offsets at a time: the last carry, and all records in one."""
    num_chunks, rest = divmod(offsets.shape[0], chunk_steps)
    pieces = []
    if num_chunks:
        carry, piece = jax.lax.scan(chunk, carry, offsets[: num_chunks * chunk_steps].reshape(num_chunks, -1))
        pieces.append(jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), piece))
    if rest:
        carry, piece = chunk(carry, offsets[num_chunks * chunk_steps :])
        pieces.append(piece)
    return carry, jax.tree.map(lambda *x: x[0] if len(x) == 1 else jnp.concatenate(x), *pieces)


def _pair(tree: ArrayTree) -> tuple[list, Callable[[list], ArrayTree]]:
    """The leaves of `tree` with float32 neighbours joined as complex64, and the function that parts them again.

    XLA on a CPU makes one loop for each array, and would hash every block twice, once for each of its two words. As
    real and imaginary part the words are one array: half the hashing, a third of the whole rollout.
    """
    leaves, treedef = jax.tree.flatten(tree)
    joined, origin, i = [], [], 0
    while i < len(leaves):
        pair = leaves[i : i + 2]
        if len(pair) == 2 and all(x.dtype == jnp.float32 for x in pair) and pair[0].shape == pair[1].shape:
            joined.append(jax.lax.complex(*pair))
            origin.append(2)
        else:
            joined.append(leaves[i])
            origin.append(1)
        i += origin[-1]

    def part(joined):
        parted = []
        for x, count in zip(joined, origin, strict=True):
            parted.extend([x.real, x.imag] if count == 2 else [x])
        return jax.tree.unflatten(treedef, parted)

    return joined, part


def _mesh_set_aside() -> contextlib.AbstractContextManager:
    """A context in which the caller's mesh (`jax.set_mesh`) does not hold, which JAX would find at odds with ours."""
    try:
        return jax.set_mesh(Mesh(np.empty((), object), ()))
    except ValueError:  # while tracing, when a mesh may not be set
        return jax.sharding.use_abstract_mesh(AbstractMesh((), ()))


def _placed(leaf: Any, mesh: Mesh) -> Any:
    """`leaf`, copied to the devices of `mesh` where it is an array that is bound to others, or to another mesh."""
    if isinstance(leaf, jax.core.Tracer):
        if any(axis is not None for axis in jax.typeof(leaf).sharding.spec):
            raise ValueError("devices cannot be given under jit for arrays that are sharded over explicit axes")
    elif getattr(leaf, "committed", False) and getattr(leaf.sharding, "mesh", None) != mesh:
        return jax.device_put(leaf, NamedSharding(mesh, PartitionSpec()))
    return leaf


def _where(condition: Array, chosen: ArrayTree, otherwise: ArrayTree) -> ArrayTree:
    return jax.tree.map(functools.partial(jnp.where, condition), chosen, otherwise)


def _time_limit(env: Environment, params: Any) -> int:
    max_steps = env.most_steps(params)
    if max_steps is None or isinstance(max_steps, jax.core.Tracer) or np.ndim(max_steps) > 0:
        raise ValueError(
            f"num_steps is needed where params.{env.time_limit.parameter} is no known number, got {max_steps!r}"
        )
    return int(max_steps)
