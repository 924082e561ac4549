"""Training of one slice of trials: the programs, compiled for one device.

A chunk is training and one evaluation, for `slice_size` trials in one vmapped program; hyperparameters and swept
parameters of the environment are arrays, (slice_size,). A trial whose loss or weights are no longer finite is frozen
as it was a chunk before: it costs what it did and disturbs no other, since trials share nothing.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, ArrayTree

from agents.common import evaluation, networks
from agents.common.algorithm import Algorithm, Config
from agents.runs import algorithms
from heartpole_jax import Environment, struct, threefry
from heartpole_jax.envs import params as env_params

_FINAL_EVALUATION = 101  # what a key's random numbers are for, apart from those of training


@struct.dataclass
class Inputs:
    """What differs among the trials of a slice, leaves of shape (slice_size, ...)."""

    key: Array  # uint32 (slice_size, 2), raw
    hyperparams: ArrayTree
    params: dict[str, Array]  # swept parameters of the environment


@struct.dataclass
class SliceState:
    """All there is of a slice's training, leaves of shape (slice_size, ...)."""

    train_state: Any  # but `iteration`, which all share: ()
    alive: Array  # bool: loss and weights have been finite so far
    best_value: Array  # the greatest mean return of an evaluation
    best_weights: Array  # and the policy that it was of


@struct.dataclass
class Record:
    """The metrics of a chunk, leaves of shape (slice_size,)."""

    metrics: Any
    mean_return: Array  # of the greedy policy, NaN for the frozen
    alive: Array


@struct.dataclass
class Evaluation:
    """The scores of the kept policies, leaves of shape (slice_size, ...)."""

    mean_return: Array
    standard_error: Array
    weights: Array


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a slice's programs are compiled for."""

    config: Config
    env: Environment
    slice_size: int
    iterations: int  # a chunk
    evaluation_episodes: int
    final_episodes: int
    keep: str = "last"  # or "best"
    params: Mapping[str, float] = dataclasses.field(default_factory=dict)  # of the environment, other than its defaults
    swept_params: tuple[str, ...] = ()


class Forms(NamedTuple):
    """Shapes and types alone."""

    inputs: Inputs
    state: SliceState
    record: Record


class Programs(NamedTuple):
    """Compiled for one device, which holds what they return."""

    init: Callable[[Inputs], SliceState]
    chunk: Callable[[SliceState, Inputs], tuple[SliceState, Record]]  # takes the state's memory
    evaluate: Callable[[SliceState, Inputs], Evaluation]
    forms: Forms
    device: jax.Device

    def put(self, tree: ArrayTree) -> Any:
        """The tree's arrays on the device."""
        return jax.device_put(tree, self.device)


def forms(setup: Setup) -> Forms:
    """The shapes of what a slice's programs take and return; compiles nothing."""
    inputs = _inputs_form(setup)
    state = jax.eval_shape(functools.partial(_init, setup=setup), inputs)
    return Forms(inputs, state, jax.eval_shape(functools.partial(_chunk, setup=setup), state, inputs)[1])


def build(setup: Setup, device: jax.Device) -> Programs:
    """The programs, compiled. Raises what the algorithm's `init` and `train_chunk` raise."""
    known = forms(setup)
    there = jax.sharding.SingleDeviceSharding(device)
    inputs, state = (
        jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=there), form)
        for form in (known.inputs, known.state)
    )

    def compiled(function: Callable, *arguments: ArrayTree, donate: tuple[int, ...] = ()) -> Callable:
        return jax.jit(functools.partial(function, setup=setup), donate_argnums=donate).lower(*arguments).compile()

    return Programs(
        init=compiled(_init, inputs),
        chunk=compiled(_chunk, state, inputs, donate=(0,)),
        evaluate=compiled(_evaluate, state, inputs),
        forms=known,
        device=device,
    )


def trial_bytes(config: Config, env: Environment) -> int:
    """Bytes of memory for each trial: those of a training run, and two networks more."""
    return algorithms.of(config).memory_bytes(config, env) + 2 * networks.weights_bytes(config, env)


def inputs_of(seeds: list[int], hyperparams: list[Any], params: list[Mapping[str, float]]) -> Inputs:
    """The inputs of trials with these seeds, hyperparameters and swept parameters, as NumPy arrays."""
    number = jnp.result_type(float)
    column = lambda values: np.asarray(values, number)
    return Inputs(
        key=np.stack([np.asarray(jax.random.key_data(jax.random.key(seed))) for seed in seeds]),
        hyperparams=jax.tree.map(lambda *values: column(values), *hyperparams),
        params={name: column([values[name] for values in params]) for name in params[0]},
    )


def map_trials(function: Callable[..., Any], *states: SliceState) -> SliceState:
    """The state of `function(axis, *leaves)` for every leaf.

    `axis` is the leaf's axis of trials, None where all share it, and `leaves` are those of each of the states.
    """
    axes = jax.tree.map(lambda _: 0, states[0])
    shared = dataclasses.replace(axes.train_state, iteration=None)
    leaves, treedef = jax.tree.flatten(states[0])
    named = jax.tree.leaves(dataclasses.replace(axes, train_state=shared), is_leaf=lambda x: x is None)
    rest = [jax.tree.leaves(state) for state in states[1:]]
    return jax.tree.unflatten(
        treedef, [function(axis, *parts) for axis, *parts in zip(named, leaves, *rest, strict=True)]
    )


def _init(inputs: Inputs, setup: Setup) -> SliceState:
    algorithm = algorithms.of(setup.config)

    def one(inputs):
        return algorithm.init(inputs.key, inputs.hyperparams, setup.config, setup.env, _params(inputs, setup))

    train_state = jax.vmap(one, out_axes=algorithm.population_axes)(inputs)
    return SliceState(
        train_state=train_state,
        alive=jnp.ones(setup.slice_size, bool),
        best_value=jnp.full(setup.slice_size, -jnp.inf),
        best_weights=algorithm.policy_of(train_state),
    )


def _chunk(state: SliceState, inputs: Inputs, setup: Setup) -> tuple[SliceState, Record]:
    algorithm = algorithms.of(setup.config)

    def train(train_state, inputs):
        return algorithm.train_chunk(
            train_state, inputs.hyperparams, setup.config, setup.env, setup.iterations, _params(inputs, setup)
        )

    def evaluate(inputs, weights):
        policy, key = algorithm.greedy(weights, setup.config, setup.env), evaluation.evaluation_key(inputs.key)
        return evaluation.mean_return(policy, key, setup.env, setup.evaluation_episodes, _params(inputs, setup))

    axes = algorithm.population_axes
    train_state, metrics = jax.vmap(train, in_axes=(axes, 0), out_axes=(axes, 0))(state.train_state, inputs)
    healthy = _finite(train_state.online_params) & _finite(algorithm.policy_of(train_state))
    alive = state.alive & healthy & (jnp.isfinite(metrics.loss) | (metrics.num_updates == 0))
    train_state = _freeze(state.train_state, train_state, alive, algorithm)
    weights = algorithm.policy_of(train_state)
    mean_return = jax.vmap(evaluate)(inputs, weights)
    mean_return = jnp.where(alive, mean_return, jnp.nan)
    better = mean_return > state.best_value  # never for NaN
    return SliceState(
        train_state=train_state,
        alive=alive,
        best_value=jnp.where(better, mean_return, state.best_value),
        best_weights=jnp.where(better[:, None], weights, state.best_weights),
    ), Record(metrics=metrics, mean_return=mean_return, alive=alive)


def _evaluate(state: SliceState, inputs: Inputs, setup: Setup) -> Evaluation:
    algorithm = algorithms.of(setup.config)
    weights = state.best_weights if setup.keep == "best" else algorithm.policy_of(state.train_state)

    def evaluate(inputs, weights):
        key = threefry.derived_key(inputs.key, _FINAL_EVALUATION)
        policy, params = algorithm.greedy(weights, setup.config, setup.env), _params(inputs, setup)
        returns = evaluation.episode_returns(policy, key, setup.env, setup.final_episodes, params)
        return jnp.mean(returns), jnp.std(returns, ddof=1) / np.sqrt(setup.final_episodes)

    mean_return, standard_error = jax.vmap(evaluate)(inputs, weights)
    return Evaluation(mean_return=mean_return, standard_error=standard_error, weights=weights)


def _freeze(old: Any, new: Any, alive: Array, algorithm: Algorithm) -> Any:
    """`new`, with what learns as in `old` where a trial is not alive. Environment and buffer go on, unused."""
    keep = lambda new, old: jnp.where(alive.reshape(-1, *[1] * (new.ndim - 1)), new, old)
    kept = {name: jax.tree.map(keep, getattr(new, name), getattr(old, name)) for name in algorithm.learned}
    return dataclasses.replace(new, **kept)


def _finite(weights: Array) -> Array:
    return jnp.all(jnp.isfinite(weights), axis=-1)


def _params(inputs: Inputs, setup: Setup) -> Any:
    """The environment's parameters of a trial, None where they are its defaults."""
    changes = {**setup.params, **inputs.params}
    return env_params.replaced(setup.env, changes) if changes else None


def _inputs_form(setup: Setup) -> Inputs:
    trials = setup.slice_size
    number = jax.ShapeDtypeStruct((trials,), jnp.result_type(float))
    return Inputs(
        key=jax.ShapeDtypeStruct((trials, 2), jnp.uint32),
        hyperparams=jax.tree.map(lambda _: number, algorithms.of(setup.config).hyperparams()),
        params=dict.fromkeys(setup.swept_params, number),
    )
