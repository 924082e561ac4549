"""A DQN on HeartPole-v0 in five implementations: the settings they share, and each as something that can be timed.

All train with the tutorial's settings (`Settings`), one environment index for each seed, raw observations and rewards.
Where a peer cannot be given a setting it keeps its own, which is stated in its file and in its contender's `departs`.
Nothing of a peer is imported before it is asked for: each is measured in a process that holds it alone.
"""

import dataclasses
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Settings:
    """The tutorial's settings: those of Stable-Baselines3's DQN, with a smaller network."""

    hidden: tuple[int, ...] = (16, 16)  # units, relu after each
    learning_rate: float = 1e-4  # Adam's
    adam_eps: float = 1e-8
    buffer_size: int = 1_000_000  # transitions
    learning_starts: int = 100  # environment steps
    batch_size: int = 32
    discount: float = 0.99
    train_every: int = 4  # environment steps for a gradient step
    target_period: int = 10_000  # environment steps for a copy of the network
    epsilon_start: float = 1.0
    epsilon_end: float = 0.05
    epsilon_steps: int = 50_000  # a tenth of the tutorial's 500,000
    max_grad_norm: float = 10.0
    max_steps: int = 1000  # decisions in an episode


TUTORIAL_STEPS = 500_000


@dataclasses.dataclass(frozen=True)
class Contender:
    """One implementation. Exactly one of `start` and `build` is given.

    start(settings, seed) -> run, which trains as Python does, step by step: `run.learn(num_steps)` goes on from where
    it was, `run.parameters()` is a list of NumPy arrays, `run.num_updates()` counts gradient steps, `run.explored()`
    sets epsilon to its last value. One seed.

    build(settings, num_steps) -> train, for jit: `train(keys)` -> (params, num_updates, metrics) with a leading axis of
    seeds, after `num_steps` environment steps for each of `keys`, typed keys of shape (population,).
    """

    title: str
    packages: tuple[str, ...]  # whose versions matter
    start: Callable[[Settings, int], Any] | None = None
    build: Callable[[Settings, int], Callable] | None = None
    compiles: bool = True
    departs: str = ""  # from the settings, for the table
    populations: Callable[[int], bool] = lambda population: True  # where it is measured


def one_alone(population: int) -> bool:
    """Whether a contender that trains one seed in a process can be asked for this."""
    return population == 1


def start_stable_baselines3(settings: Settings, seed: int) -> Any:
    """Stable-Baselines3's DQN in PyTorch."""
    import dqn_peer_stable_baselines3

    return dqn_peer_stable_baselines3.start_torch(settings, seed)


def start_sbx(settings: Settings, seed: int) -> Any:
    """SBX's DQN: Stable-Baselines3 with its gradient step in JAX."""
    import dqn_peer_stable_baselines3

    return dqn_peer_stable_baselines3.start_sbx(settings, seed)


def build_rejax(settings: Settings, num_steps: int) -> Callable:
    """rejax's DQN."""
    import dqn_peer_rejax

    return dqn_peer_rejax.build(settings, num_steps)


def build_purejaxrl(settings: Settings, num_steps: int) -> Callable:
    """PureJaxRL's pattern."""
    import dqn_peer_purejaxrl

    return dqn_peer_purejaxrl.build(settings, num_steps)


def build_ours(settings: Settings, num_steps: int) -> Callable:
    """Our own DQN; a population in slices, on as many CPU devices as there are (see `dqn_worker.main`)."""
    import jax

    from agents import dqn
    from agents.dqn import config

    dqn_config = config.DQNConfig(
        hidden_sizes=settings.hidden,
        batch_size=settings.batch_size,
        buffer_size=settings.buffer_size,
        steps_per_iteration=settings.train_every,
        time_limit_is_terminal=True,
    )
    hyperparams = config.Hyperparams(
        learning_rate=settings.learning_rate,
        adam_epsilon=settings.adam_eps,
        max_grad_norm=settings.max_grad_norm,
        discount=settings.discount,
        epsilon_start=settings.epsilon_start,
        epsilon_end=settings.epsilon_end,
        epsilon_steps=settings.epsilon_steps,
        learning_starts=settings.learning_starts,
        target_period=settings.target_period,
    )

    def train(keys):
        devices = tuple(jax.devices())
        found = dqn.train_population(
            keys, hyperparams, dqn_config, num_chunks=1, iterations_per_chunk=num_steps // settings.train_every,
            devices=devices if keys.shape[0] % len(devices) == 0 else None,
        )  # fmt: skip
        return found.weights, found.metrics.num_updates.sum(axis=1), found.metrics

    return train


CONTENDERS = {
    "ours": Contender(
        "ours, `agents`", ("jax", "flax", "optax"), build=build_ours, departs="the time limit is terminal"
    ),
    "stable-baselines3": Contender(
        "Stable-Baselines3, PyTorch",
        ("stable-baselines3", "torch", "gymnasium", "heartpole"),
        start=start_stable_baselines3,
        compiles=False,
        departs="the tutorial's NumPy environment; bootstraps through the time limit",
        populations=one_alone,
    ),
    "sbx": Contender(
        "SBX",
        ("sbx-rl", "stable-baselines3", "jax", "flax", "optax", "gymnasium", "heartpole"),
        start=start_sbx,
        departs="the tutorial's NumPy environment; bootstraps through the time limit",
        populations=one_alone,
    ),
    "rejax": Contender(
        "rejax",
        ("rejax", "gymnax", "jax", "flax", "optax", "distrax"),
        build=build_rejax,
        departs="four envs, since it learns after each step of all; squared loss; gradients clipped one by one; "
        "batches without replacement, by an order of the whole buffer",
        populations=one_alone,  # minutes for more
    ),
    "purejaxrl pattern": Contender(
        "PureJaxRL's pattern, flashbax",
        ("flashbax", "jax", "flax", "optax"),
        build=build_purejaxrl,
        departs="the time limit is terminal",
    ),
}
