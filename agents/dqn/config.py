"""Settings of a DQN: `DQNConfig`, which sets shapes and the program, and `Hyperparams`, which are numbers to sweep."""

import dataclasses
import math

from chex import Numeric

from heartpole_jax import struct, validation
from heartpole_jax.policies.transforms import TRANSFORMS


@dataclasses.dataclass(frozen=True)
class DQNConfig:
    """What sets shapes and the program: static, hashable. Raises ValueError or TypeError for what cannot be."""

    hidden_sizes: tuple[int, ...] = (64, 64)  # of the Q-network
    transform: str = "raw"  # of observations: raw, heartpole, heartpole-days, heartpole-v1, ...
    dueling: bool = False  # a value and advantages in the place of q_values
    double: bool = False  # the online network chooses the action that the target network values
    n_step: int = 1  # rewards in a target
    batch_size: int = 32  # transitions in a gradient
    buffer_size: int = 1_000_000  # transitions kept, of all environments together
    num_envs: int = 1  # environments side by side
    steps_per_iteration: int = 4  # decisions of every environment, then ...
    updates_per_iteration: int = 1  # ... gradient steps
    scaled_errors: bool = True  # TD errors are in units of the transform's value scale; False: of the rewards
    time_limit_is_terminal: bool = False  # True is wrong, and what the tutorial did

    def __post_init__(self):
        validation.check_type("hidden_sizes", self.hidden_sizes, (tuple, list))
        object.__setattr__(self, "hidden_sizes", tuple(self.hidden_sizes))
        for name in ("n_step", "batch_size", "buffer_size", "num_envs", "steps_per_iteration", "updates_per_iteration"):
            validation.check_size(name, getattr(self, name))
        for name in ("dueling", "double", "scaled_errors", "time_limit_is_terminal"):
            validation.check_type(name, getattr(self, name), bool)
        for size in self.hidden_sizes:
            validation.check_size("each of hidden_sizes", size)
        timed = validation.look_up(TRANSFORMS, self.transform, "transform").time is not None
        if timed and self.n_step > 1:
            raise ValueError(
                f"n_step must be 1 with the transform {self.transform!r}, by which decisions take different times, "
                f"got {self.n_step}"
            )
        steps = self.num_envs * self.steps_per_iteration
        if self.buffer_size % steps:
            raise ValueError(
                f"buffer_size must be a multiple of num_envs * steps_per_iteration = {steps}, got {self.buffer_size}; "
                f"take {math.ceil(self.buffer_size / steps) * steps}"
            )
        if self.batch_size > self.buffer_size:
            raise ValueError(f"batch_size must not exceed buffer_size {self.buffer_size}, got {self.batch_size}")
        if self.n_step > self.buffer_size // self.num_envs:
            raise ValueError(
                f"n_step must not exceed the steps that the buffer holds of an environment, "
                f"{self.buffer_size // self.num_envs}, got {self.n_step}"
            )

    @property
    def env_steps_per_iteration(self) -> int:
        """Decisions of all environments together in one iteration."""
        return self.num_envs * self.steps_per_iteration


@struct.dataclass
class Hyperparams(metaclass=validation.Checked):
    """What can be swept: numbers or arrays, all leaves. The defaults are Stable-Baselines3's.

    Steps are decisions of all environments together. Raises ValueError or TypeError for values known and out of range.
    """

    learning_rate: Numeric = 1e-4  # of Adam, at first
    final_learning_rate: Numeric = 1.0  # as a share of learning_rate, reached linearly ...
    learning_rate_steps: Numeric = 1  # ... after so many steps
    adam_b1: Numeric = 0.9  # decay of the gradient's running mean
    adam_b2: Numeric = 0.999  # decay of its square's
    adam_epsilon: Numeric = 1e-8  # added to the root of that
    max_grad_norm: Numeric = 10.0  # the whole gradient is scaled down to it
    huber_delta: Numeric = 1.0  # of |td_error|, beyond which the loss is linear
    discount: Numeric = 0.99  # of a reward, for each decision until it, or each unit of the transform's time
    epsilon_start: Numeric = 1.0  # share of random actions at first
    epsilon_end: Numeric = 0.05  # share of random actions from then on
    epsilon_steps: Numeric = 50_000  # steps from the one to the other, linearly
    learning_starts: Numeric = 100  # steps of random actions before the first update
    target_period: Numeric = 10_000  # steps between updates of the target network
    target_tau: Numeric = 1.0  # share of the online network in an update of the target network
    ema_rate: Numeric = 1.0  # share of the online network in an update of the averaged one, which is the policy
    reset_rate: Numeric = 0.0  # share of decisions after which an episode is cut off; the next action is random
    reward_shift: Numeric = 0.0  # added to rewards ...
    reward_scale: Numeric = 1.0  # ... before they are multiplied by this
    expected_penalty: Numeric = 0.0  # the environment's parameter of this name, where it has one

    def __check__(self) -> None:
        _validate(self)


_NUMBERS = tuple(field.name for field in dataclasses.fields(Hyperparams))
_POSITIVE = ("huber_delta", "max_grad_norm", "adam_epsilon", "reward_scale", "learning_rate_steps",
             "epsilon_steps")  # fmt: skip
_NON_NEGATIVE = ("learning_rate", "final_learning_rate", "learning_starts")
_SHARES = ("discount", "epsilon_start", "epsilon_end", "target_tau", "ema_rate", "reset_rate",
           "expected_penalty")  # fmt: skip


def _validate(hyperparams: Hyperparams) -> None:
    validation.check_numbers(hyperparams, _NUMBERS)
    validation.check_values(hyperparams, _POSITIVE, "greater than 0", lambda x: x > 0)
    whole = lambda x: (x >= 1) & (x % 1 == 0) & (x < 2**31)
    validation.check_values(hyperparams, ("target_period",), "a whole number of at least 1 and below 2^31", whole)
    validation.check_values(hyperparams, _NON_NEGATIVE, "at least 0", lambda x: x >= 0)
    validation.check_values(hyperparams, _SHARES, "in [0, 1]", lambda x: (x >= 0) & (x <= 1))
    validation.check_values(hyperparams, ("adam_b1", "adam_b2"), "in [0, 1)", lambda x: (x >= 0) & (x < 1))
