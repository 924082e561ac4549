"""A training run in chunks: compiled once, left only between chunks, where somebody watches.

    for record, weights, state in train(key, hyperparams, config, env, plan(num_steps, config)):
        print(record["env_steps"], record["loss"])

The chunks change no result: `dqn.train`, one program for the whole run, does the same. Nor does going on from the
state after any of them: the rest of the run gives the same bits as if it had not been left.
"""

import functools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import PRNGKey

from agents.common import evaluation
from agents.common.algorithm import Algorithm, Config
from agents.runs import algorithms, scoring, trees
from heartpole_jax import Environment, arguments, validation

_OFF = 0.02  # how far the steps of a run may be from the target


class DivergedError(RuntimeError):
    """The loss or the weights are no longer finite."""


class ChunkPlan(NamedTuple):
    """A run in equal chunks, so that one program does them all."""

    num_chunks: int
    iterations: int  # a chunk
    env_steps: int  # a chunk, decisions of all environments together

    @property
    def num_steps(self) -> int:
        return self.num_chunks * self.env_steps


class Chunk(NamedTuple):
    """What came of a chunk."""

    record: dict[str, float | None]  # what happened in it, None for what did not
    weights: np.ndarray  # (num_weights,) of the policy
    state: Callable[[], dict[str, Any]]  # the train state as arrays by name, until the next chunk begins


@arguments.checked(config=algorithms.CONFIGS)
def plan(num_steps: int, config: Config, num_evaluations: int = 50) -> ChunkPlan:
    """About `num_evaluations` equal chunks that make about `num_steps` decisions of all environments together.

    Raises:
      ValueError: if `num_steps` is less than the smallest chunk, beyond int32, or more than 2 % from all such chunks.
    """
    validation.check_size("num_steps", num_steps)
    validation.check_size("num_evaluations", num_evaluations)
    block_iterations = algorithms.of(config).block_iterations
    smallest = block_iterations * config.env_steps_per_iteration
    if num_steps < smallest:
        raise ValueError(
            f"num_steps must be at least one chunk, {block_iterations} iteration{'s' * (block_iterations > 1)} of "
            f"{config.env_steps_per_iteration:,} steps = {smallest:,}, got {num_steps:,}"
        )
    blocks, nearest = num_steps / smallest, None
    for blocks_a_chunk in _chunk_sizes(blocks / num_evaluations):
        chunks = max(1, round(blocks / blocks_a_chunk))
        while chunks * blocks_a_chunk * smallest >= 2**31:  # rounding up must not pass int32 either
            chunks -= 1
        found = ChunkPlan(chunks, blocks_a_chunk * block_iterations, blocks_a_chunk * smallest)
        if is_near(found.num_steps, num_steps):
            return found
        nearest = nearest or found.num_steps
    raise ValueError(
        f"num_steps must be within {100 * _OFF:g} % of about {num_evaluations} equal chunks of a multiple of "
        f"{smallest:,} steps, got {num_steps:,}; take {nearest:,}"
    )


def _chunk_sizes(ideal: float) -> Iterator[int]:
    """Sizes of a chunk in blocks, the nearest to `ideal` first, from half to double of it where it is small."""
    first = max(1, round(ideal))
    yield first
    if ideal < 1 / _OFF:  # a larger one is near enough once it is rounded
        others = range(max(1, math.ceil(ideal / 2)), max(1, math.floor(2 * ideal)) + 1)
        yield from sorted(set(others) - {first}, key=lambda size: abs(size - ideal))


def is_near(num_steps: int, target: int) -> bool:
    """Whether a run of `num_steps` is one of `target` steps, rounded."""
    return abs(num_steps - target) <= _OFF * target


@arguments.checked(config=algorithms.CONFIGS)
def iterations_a_chunk(num_steps: int, num_evaluations: int, config: Config) -> int:
    """Iterations of each of exactly `num_evaluations` chunks that make about `num_steps` decisions: whole blocks of 16.

    Raises:
      ValueError: where all chunks together pass int32, or are more than 2 % off.
    """
    validation.check_size("num_steps", num_steps)
    validation.check_size("num_evaluations", num_evaluations)
    block_iterations = algorithms.of(config).block_iterations
    block = block_iterations * config.env_steps_per_iteration
    blocks = max(1, round(num_steps / num_evaluations / block))
    if num_evaluations * blocks * block >= 2**31:
        raise ValueError(f"num_steps, in whole chunks, must be below 2^31, got {num_evaluations * blocks * block:,}")
    if not is_near(num_evaluations * blocks * block, num_steps):
        whole = num_evaluations * block
        below, above = max(1, num_steps // whole), num_steps // whole + 1
        near = " or ".join(f"{n * whole:,}" for n in sorted({below, above}) if n * whole < 2**31)
        raise ValueError(
            f"num_steps must be within {100 * _OFF:g} % of {num_evaluations} equal chunks of a multiple of {block:,} "
            f"steps, got {num_steps:,}; take {near}, or fewer evaluations"
        )
    return blocks * block_iterations


@arguments.checked(config=algorithms.CONFIGS, env=Environment, num_steps=validation.check_size)
def check(hyperparams: Any, config: Config, env: Environment, num_steps: int) -> None:
    """Raises ValueError for a run in which nothing would be learned, or whose transform takes other observations."""
    algorithm = algorithms.of(config)
    arguments.check_type("hyperparams", hyperparams, algorithm.hyperparams)
    algorithm.check(hyperparams, config, env, num_steps)


def train(
    key: PRNGKey,
    hyperparams: Any,
    config: Config,
    env: Environment,
    plan: ChunkPlan,
    evaluation_episodes: int = 16,
    params: Any = None,
    *,
    start: Mapping[str, Any] | None = None,
    seconds_before: float = 0.0,
) -> Iterator[Chunk]:
    """What came of every chunk after it.

    Args:
      key, hyperparams, config, env, params: as for the algorithm's `init`.
      plan: of the whole run.
      evaluation_episodes: of the greedy policy after every chunk.
      start: a chunk's `state`, for the chunks after it.
      seconds_before: the last record's seconds, with `start`.

    Raises:
      ValueError: where `start` is of another configuration or plan.
      DivergedError: where the loss or the weights are not finite, after handing over the chunk's record.
    """
    algorithm = algorithms.of(config)
    init = functools.partial(algorithm.init, key, hyperparams, config, env, params)
    train_state, done = (
        (_apart(init(), algorithm), 0) if start is None else _restored(start, jax.eval_shape(init), plan)
    )
    if done == plan.num_chunks:
        return
    evaluation_key = evaluation.evaluation_key(key)

    def chunk(train_state, hyperparams):
        return algorithm.train_chunk(train_state, hyperparams, config, env, plan.iterations, params)

    def evaluate(weights):
        policy = algorithm.greedy(weights, config, env)
        return evaluation.mean_return(policy, evaluation_key, env, evaluation_episodes, params)

    # Compiled ahead: no chunk's time has compiling in it, and no chunk can compile again. The train state is donated:
    # the buffer is written in place, and not copied.
    run_chunk = jax.jit(chunk, donate_argnums=0).lower(train_state, hyperparams).compile()
    greedy_return = jax.jit(evaluate).lower(algorithm.policy_of(train_state)).compile()
    # The best return is computed once, which takes seconds: not in the first chunk's time.
    scoring.regret(env, 0.0, params)
    started = time.perf_counter() - seconds_before
    for i in range(done, plan.num_chunks):
        before = time.perf_counter()
        train_state, metrics = jax.block_until_ready(run_chunk(train_state, hyperparams))
        seconds = time.perf_counter() - before
        weights = np.array(algorithm.policy_of(train_state))  # a copy: the next chunk takes the train state's memory
        value = float(greedy_return(algorithm.policy_of(train_state)))
        record = {name: _number(value) for name, value in vars(jax.device_get(metrics)).items()}
        record |= {
            "env_steps": (i + 1) * plan.env_steps,
            "greedy_return": _number(value),
            "regret": _number(scoring.regret(env, value, params)),
            "certified": float(scoring.metric(env, params) == "regret"),  # whether that is its name
            "seconds": time.perf_counter() - started,
            "steps_per_second": plan.env_steps / seconds,
        }
        yield Chunk(record, weights, functools.partial(trees.as_arrays, train_state))
        check_finite(record, weights)


def check_finite(record: dict[str, float | None], weights: np.ndarray) -> None:
    """Raises DivergedError where a chunk's loss or weights are not finite."""
    updated = bool(record["num_updates"])
    bad = [name for name in ("loss", "grad_norm") if updated and record[name] is None]
    bad += ["weights"] if not np.all(np.isfinite(weights)) else []
    if bad:
        raise DivergedError(
            f"training diverged: {', '.join(bad)} no longer finite after {record['env_steps']:,} steps; take a smaller "
            "learning_rate, max_grad_norm or reward_scale"
        )


def _restored(start: Mapping[str, Any], form: Any, plan: ChunkPlan) -> tuple[Any, int]:
    """The train state, in memory of its own, and how many chunks are behind it."""
    train_state = jax.tree.map(jnp.array, trees.from_arrays(start, form))
    done, rest = divmod(int(train_state.iteration), plan.iterations)
    if rest or done > plan.num_chunks:
        raise ValueError(
            f"the state to go on from is after {int(train_state.iteration):,} iterations, which is no whole number of "
            f"at most {plan.num_chunks} chunks of {plan.iterations:,}"
        )
    return train_state, done


def _apart(train_state: Any, algorithm: Algorithm) -> Any:
    """With memory of its own for every leaf but the buffer, which has its own: no memory can be donated twice."""
    buffer = algorithm.buffer_of(train_state)
    rest = jax.tree.map(jnp.copy, algorithm.with_buffer(train_state, ()))
    return algorithm.with_buffer(rest, buffer)


def _number(value: Any) -> float | None:
    """A float, or None where there is none: JSON knows no NaN."""
    return float(value) if value is not None and math.isfinite(value) else None
