"""Environment: all that there is to know of an environment, as one record of pure functions and plain facts.

The record keeps the noise apart from the dynamics: `step` is `transition` after `sample_noise`. A caller who rolls out,
compares policies on the same noise, or asks what would have happened, samples once and calls `transition`. An
environment that cannot be taken apart uses the key itself as its noise (`sample_noise=lambda key: key`).

Nothing else in this package asks which environment it has: what differs between two of them is a field.
"""

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from chex import Array, ArrayTree, Numeric, PRNGKey
from jax.experimental import checkify

from heartpole_jax import arguments, threefry, validation
from heartpole_jax.envs.display import ActionInfo, Gauge
from heartpole_jax.envs.spaces import Box, Discrete


class TimeLimit(NamedTuple):
    """What ends an episode."""

    parameter: str = "max_steps"  # the one that holds the limit
    counts_decisions: bool = True  # False where it counts half-hours, `time_elapsed`


_MAX_STEPS = TimeLimit()


def _no_bounds(params: Any) -> frozenset[str]:
    return frozenset()


def _accept(params: Any) -> None:
    pass


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Environment:
    """The functions, sizes and facts of one environment, for one patient; hashable, so a static argument of jit.

    Of the fields those without a default are needed to step; the others say what the rest of the package can do with
    it. A name, "package.module:attribute", is imported where it is needed. `dataclasses.replace` makes a variant; what
    is known of HeartPole's returns does not go with other dynamics, and is refused beside them.
    `params` is whatever the functions take; `None` means `default_params`.

    Raises:
      TypeError: for a name that is no text, sizes that are no whole numbers, a function that cannot be called.
      ValueError: for a size below 1, names that are not as many as there are numbers or actions, and facts that are
        not `true_of` these functions.
    """

    name: str
    num_actions: int
    obs_shape: tuple[int, ...]
    default_params: Any
    sample_start: Callable[[PRNGKey], ArrayTree]  # key -> start, the random numbers of a reset
    initial_state: Callable[[ArrayTree, Any], ArrayTree]  # start, params -> state
    sample_noise: Callable[[PRNGKey], ArrayTree]  # key -> noise, the random numbers of a step
    transition: Callable[..., tuple]  # state, action, noise, params -> state, obs, reward, done
    transition_info: Callable[..., tuple]  # the same and info, a pytree of whatever else is measured
    observe: Callable[[ArrayTree], Array]  # state -> obs, of shape obs_shape
    terminated: Callable[[ArrayTree], Array]  # state -> bool: a true end, after which no reward can follow
    obs_names: tuple[str, ...] = ()  # of the numbers of an observation, where it is flat
    actions: tuple[ActionInfo, ...] = ()  # by their numbers
    time_limit: TimeLimit = _MAX_STEPS
    non_negative: Callable[[Any], frozenset[str]] = _no_bounds  # params -> the numbers of a state that are never < 0
    check_params: Callable[[Any], None] = _accept  # raises for parameters of the right type that do not fit
    gauges: tuple[Gauge, ...] = ()  # what pictures show of a patient
    # The scripted policies: a mapping of names to functions params -> `Policy`. Each of type Any may be a name.
    policies: Any = None
    published_policies: Any = (
        None  # as `policies`: those of published work, made by name and not shown among the others
    )
    shown_policy: str = ""  # the one that commands show where none is named; the first where empty
    evaluator: Any = "heartpole_jax.evaluation.mean_return:EVALUATOR"  # an `evaluation.Evaluator`
    return_objective: Any = "heartpole_jax.gradients.objectives:RETURN"  # the `gradients.Objective` called "return"
    fractional_transition_info: Any = None  # `transition_info` of a point of the actions' simplex
    # (initial_state, sample_noise, transition_info) that the three above are true of, where they are of no others.
    true_of: tuple = ()
    digest: str | None = None  # of the data that it was made from, in hex

    def __post_init__(self):
        arguments.check_fields(self)
        validation.check_size("num_actions", self.num_actions)
        for size in self.obs_shape:
            validation.check_size("each of obs_shape", size)
        if self.obs_names and self.obs_shape != (len(self.obs_names),):
            raise ValueError(
                f"obs_names must name each number of an observation, got {len(self.obs_names)} names for the shape "
                f"{self.obs_shape}"
            )
        if self.actions and len(self.actions) != self.num_actions:
            raise ValueError(
                f"actions must describe each of the {self.num_actions} actions, got {len(self.actions)} of them"
            )
        if self.true_of and self.true_of != (self.initial_state, self.sample_noise, self.transition_info):
            raise ValueError(
                f"the evaluator, return_objective and fractional_transition_info of {self.name} are not true of other "
                "dynamics: build a heartpole_jax.Environment without them, or give its own and true_of=()"
            )

    def __repr__(self) -> str:
        return f"<Environment {self.name}>"  # short, since signatures print it

    def reset(self, key: PRNGKey, params: Any = None) -> tuple[ArrayTree, Array]:
        """A fresh (state, obs)."""
        state = self.initial_state(self.sample_start(key), self.params_or_default(params))
        return state, self.observe(state)

    def step(self, state: ArrayTree, action: Numeric, key: PRNGKey, params: Any = None) -> tuple:
        """(state, obs, reward, done) after `action`. Never resets: see `step_autoreset`."""
        return self.transition(state, action, self.sample_noise(key), self.params_or_default(params))

    @property
    def action_names(self) -> tuple[str, ...]:
        """The actions by their numbers; the numbers themselves where they have no names."""
        return tuple(action.name for action in self.actions) or tuple(map(str, range(self.num_actions)))

    @property
    def action_space(self) -> Discrete:
        """The numbers of the actions."""
        return Discrete(self.num_actions)

    def observation_space(self, params: Any = None) -> Box:
        """The bounds of an observation: from 0 where it cannot be negative, none elsewhere."""
        low = np.full(self.obs_shape, -np.inf)
        if self.obs_names:
            bounded = self.non_negative(self.params_or_default(params))
            low[[name in bounded for name in self.obs_names]] = 0.0
        return Box(low, np.full(self.obs_shape, np.inf))

    def params_or_default(self, params: Any = None) -> Any:
        """`params`, or the defaults for None.

        Raises:
          TypeError: for those of another environment, or none at all.
          ValueError: for those that `check_params` refuses.
        """
        if params is None:
            return self.default_params
        own = type(self.default_params)
        if dataclasses.is_dataclass(own) and type(params) is not own:
            arguments.check_type("params", params, own, f"the environment is {self.name}")
            raise TypeError(
                f"params must be an {own.__name__} itself, got {arguments.described(params)}, a class derived from it, "
                f"which needs an Environment of its own; the environment is {self.name}"
            )
        self.check_params(params)
        return params

    def most_steps(self, params: Any = None) -> Any:
        """The most decisions of an episode, None without a limit. A limit in half-hours is one of decisions as well,
        since each takes half an hour at least."""
        return getattr(self.default_params if params is None else params, self.time_limit.parameter, None)

    def __reduce__(self) -> tuple:
        """What a function has made is pickled and copied by its call, so that it is the same object again, for which
        jit finds its program; any other by its fields."""
        if self in _MADE:
            return _MADE[self]
        return Environment, tuple(getattr(self, field.name) for field in dataclasses.fields(self))


_MADE: dict[Environment, tuple] = {}


def made_by(env: Environment, function: Callable[..., Environment], *values: Any) -> Environment:
    """`env`, to be pickled and copied as `function(*values)`, which must return the same object again."""
    _MADE[env] = (function, values)
    return env


def is_made(env: Environment) -> bool:
    """Whether `made_by` knows how to make it again."""
    return env in _MADE


def imported(reference: Any) -> Any:
    """What a name, "package.module:attribute", stands for; anything but a text is itself.

    Raises:
      ValueError: for another form, no such module, an error of its own, or no such attribute.
    """
    if not isinstance(reference, str):
        return reference
    module_name, _, attribute = reference.partition(":")
    if not attribute or not all(part.isidentifier() for part in (*module_name.split("."), attribute)):
        raise ValueError(f"{reference!r} must have the form 'package.module:attribute'")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise
        raise ValueError(
            f"{reference!r}: there is no module {error.name!r}, neither installed nor in this folder"
        ) from None
    if hasattr(module, attribute):
        return getattr(module, attribute)
    own = {name: x for name, x in vars(module).items() if isinstance(x, Environment) and not name.startswith("_")}
    return validation.look_up(own, attribute, f"environment in {module_name}")


@arguments.checked(env=Environment, key=arguments.check_key)
def step_autoreset(
    env: Environment, state: ArrayTree, action: Numeric, key: PRNGKey, params: Any = None
) -> tuple[ArrayTree, Array, Array, Array, Array, Array]:
    """A step that starts a new episode where one has ended: (state, obs, reward, done, terminated, last_obs).

    `last_obs` is the true observation after the action, whatever `done` says: the one to bootstrap from, unless
    `terminated` says that the episode has truly ended there. `state` and `obs` are those to go on with: after a `done`
    they belong to the next episode. The step's noise has the key `threefry.derived_key(key, 0)`, the next
    episode's start `derived_key(key, 1)`.
    """
    # Not `jax.random.split`, whose keys XLA puts into memory: on a GPU twice the bytes of a step.
    step_key, reset_key = (threefry.derived_key(key, purpose) for purpose in (0, 1))
    next_state, last_obs, reward, done = env.step(state, action, step_key, params)
    reset_state, reset_obs = env.reset(reset_key, params)
    terminated = env.terminated(next_state)
    state = jax.tree.map(lambda fresh, old: jnp.where(done, fresh, old), reset_state, next_state)
    return state, jnp.where(done, reset_obs, last_obs), reward, done, terminated, last_obs


@arguments.checked(env=Environment)
def checked(env: Environment) -> Environment:
    """`env` with run-time checks for use under `jax.experimental.checkify`, inside jit as well.

        step = checkify.checkify(jax.jit(checked(env).step))
        error, (state, obs, reward, done) = step(state, action, key)
        error.throw()

    An action out of range and a state or reward that is not finite are reported; without checks such an action acts as
    NOTHING.
    """
    checks = _Checked(env)
    true_of = (env.initial_state, env.sample_noise, checks.transition_info) if env.true_of else ()
    return dataclasses.replace(
        env, transition=checks.transition, transition_info=checks.transition_info, true_of=true_of
    )


@dataclasses.dataclass(frozen=True)
class _Checked:
    """The transitions of an environment with checks."""

    env: Environment

    def transition(self, state, action, noise, params=None):
        return self.transition_info(state, action, noise, params)[:4]

    def transition_info(self, state, action, noise, params=None):
        env = self.env
        checkify.check(
            (action >= 0) & (action < env.num_actions),
            "action must be in 0 .. {last}, got {action}",
            last=jnp.int32(env.num_actions - 1),
            action=jnp.asarray(action),
        )
        old_obs = env.observe(state)  # checked as well: a heart attack would wipe an infinite hypertension out
        checkify.check(jnp.all(jnp.isfinite(old_obs)), "observation is not finite: {obs}", obs=old_obs)
        next_state, obs, reward, done, info = env.transition_info(state, action, noise, env.params_or_default(params))
        checkify.check(jnp.all(jnp.isfinite(obs)), "observation is not finite: {obs}", obs=obs)
        checkify.check(jnp.isfinite(reward), "reward is not finite: {reward}", reward=reward)
        return next_state, obs, reward, done, info
