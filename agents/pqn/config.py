"""The settings of PQN: `PQNConfig` sets shapes and the program; `Hyperparams` are numbers that can be swept."""

import dataclasses

import jax.numpy as jnp
from chex import Array, Numeric

from heartpole_jax import arguments, struct, validation
from heartpole_jax.policies.transforms import TRANSFORMS


@dataclasses.dataclass(frozen=True)
class PQNConfig:
    """What sets shapes and the program: static, hashable. Raises ValueError or TypeError for impossible values."""

    hidden_sizes: tuple[int, ...] = (64, 64)  # of the Q-network
    transform: str = "raw"  # of observations, see `transforms`
    layer_norm: bool = True  # normalise every hidden layer, which stands in for the target network
    num_envs: int = 32  # environments that act together
    steps_per_iteration: int = 32  # decisions of every environment in an iteration
    num_minibatches: int = 4  # gradient steps in one pass over an iteration's decisions
    num_epochs: int = 2  # passes over an iteration's decisions
    time_limit_is_terminal: bool = False  # True is wrong: it treats the time limit as death

    def __post_init__(self):
        validation.check_type("hidden_sizes", self.hidden_sizes, (tuple, list))
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        for name in ("num_envs", "steps_per_iteration", "num_minibatches", "num_epochs"):
            validation.check_size(name, getattr(self, name))
        for name in ("layer_norm", "time_limit_is_terminal"):
            validation.check_type(name, getattr(self, name), bool)
        for size in self.hidden_sizes:
            validation.check_size("each of hidden_sizes", size)
        validation.look_up(TRANSFORMS, self.transform, "transform")
        if self.env_steps_per_iteration % self.num_minibatches:
            raise ValueError(
                f"num_minibatches must divide num_envs * steps_per_iteration = {self.env_steps_per_iteration}, "
                f"got {self.num_minibatches}"
            )

    @property
    def env_steps_per_iteration(self) -> int:
        """Decisions of all environments together in one iteration."""
        return self.num_envs * self.steps_per_iteration

    @property
    def updates_per_iteration(self) -> int:
        """Gradient steps in one iteration."""
        return self.num_epochs * self.num_minibatches


@struct.dataclass
class Hyperparams(metaclass=validation.Checked):
    """Numbers or arrays, all leaves, all of which can be swept. Steps are decisions of all environments together.

    Raises ValueError or TypeError for values that are known and out of range.
    """

    learning_rate: Numeric = 2.5e-4  # of RAdam, at first
    final_learning_rate: Numeric = 1.0  # as a share of learning_rate, reached linearly ...
    learning_rate_steps: Numeric = 1  # ... after this many steps
    adam_b1: Numeric = 0.9  # decay of the gradient's running mean
    adam_b2: Numeric = 0.999  # decay of its square's
    adam_epsilon: Numeric = 1e-8  # added to the root of that
    max_grad_norm: Numeric = 10.0  # the whole gradient is scaled down to it
    huber_delta: Numeric = 1.0  # of |td_error|, beyond which the loss is linear
    discount: Numeric = 0.99  # of a reward, for each decision until it, or each unit of the transform's time
    td_lambda: Numeric = 0.65  # share of the following return in a return; the rest is the network's value
    epsilon_start: Numeric = 1.0  # share of random actions at first
    epsilon_end: Numeric = 0.05  # share of random actions in the end
    epsilon_steps: Numeric = 50_000  # steps from the one to the other, linearly
    reset_rate: Numeric = 0.0  # share of decisions after which an episode is cut off, as if by a time limit
    reward_shift: Numeric = 0.0  # added to rewards ...
    reward_scale: Numeric = 1.0  # ... before they are multiplied by this
    expected_penalty: Numeric = 0.0  # the environment's parameter of this name, where it has one

    def __check__(self) -> None:
        _validate(self)

    @arguments.numeric(self=object)
    def epsilon_at(self, env_steps: Numeric) -> Array:
        """The share of random actions after `env_steps` steps."""
        return self.epsilon_start + _progress(env_steps, self.epsilon_steps) * (self.epsilon_end - self.epsilon_start)

    @arguments.numeric(self=object)
    def learning_rate_at(self, env_steps: Numeric) -> Array:
        """The learning rate after `env_steps` steps."""
        progress = _progress(env_steps, self.learning_rate_steps)
        return self.learning_rate * (1.0 + progress * (self.final_learning_rate - 1.0))


def _progress(env_steps: Numeric, num_steps: Numeric) -> Array:
    return jnp.clip(jnp.asarray(env_steps, float) / num_steps, 0.0, 1.0)


_NUMBERS = tuple(field.name for field in dataclasses.fields(Hyperparams))
_POSITIVE = ("huber_delta", "adam_epsilon", "max_grad_norm", "reward_scale", "learning_rate_steps", "epsilon_steps")
_SHARES = ("discount", "td_lambda", "epsilon_start", "epsilon_end", "reset_rate", "expected_penalty")


def _validate(hyperparams: Hyperparams) -> None:
    validation.check_numbers(hyperparams, _NUMBERS)
    validation.check_values(hyperparams, _POSITIVE, "greater than 0", lambda x: x > 0)
    validation.check_values(hyperparams, ("learning_rate", "final_learning_rate"), "at least 0", lambda x: x >= 0)
    validation.check_values(hyperparams, _SHARES, "in [0, 1]", lambda x: (x >= 0) & (x <= 1))
    validation.check_values(hyperparams, ("adam_b1", "adam_b2"), "in [0, 1)", lambda x: (x >= 0) & (x < 1))
