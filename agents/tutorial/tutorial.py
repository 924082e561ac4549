"""`python -m agents tutorial`: the tutorial's experiment as it stands, and an exact evaluation of its agent.

Source: Vadim Liventsev, "Writing a custom OpenAI Gym environment": Stable-Baselines3's DQN with its defaults and a
Q-network of [16, 16] on HeartPole-v0. See docs/tutorial.md.
"""

import dataclasses
import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from chex import Array, PRNGKey

from agents import dqn
from agents.common import networks
from agents.dqn.config import DQNConfig, Hyperparams
from agents.tutorial import text as tutorial_text
from agents.tutorial.text import Behaviour
from heartpole_jax import Transition, disk, evaluation, everything, policies, rollout
from heartpole_jax.evaluation import tables

TABLE_EPISODES = 10  # a table after so many
EVALUATION_EPISODES = 5
RENDERED_STEPS = 10
DISCOUNT = 0.99
EPISODE_STEPS = 1000
TABLE_STEPS = TABLE_EPISODES * EPISODE_STEPS
AGENT = "this agent"
JSON = "tutorial.json"


@dataclasses.dataclass(frozen=True)
class Tutorial:
    """The tutorial's own experiment: a DQN with Stable-Baselines3's defaults, evaluated with expected penalties."""

    seed: int = 0
    """everything random comes from it"""
    num_steps: int = 500_000
    """decisions to train for, a multiple of 10,000"""
    learning_starts: int = 100
    """random decisions before learning: 50,000 in the Stable-Baselines3 of the tutorial's time, 100 in today's"""
    num_episodes: int = 16_384
    """of the evaluation with expected penalties, which gives sober agents' expected returns to 0.001"""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """folder for tutorial.json, which must not be there yet"""


class Trained(NamedTuple):
    """What training leaves."""

    weights: Array  # (num_weights,)
    compiling_seconds: float
    training_seconds: float


def main(tutorial: Tutorial) -> int:
    """Runs the command; returns the exit status.

    Raises:
      ValueError: for options that cannot be, before anything is trained.
      OSError: where nothing can be written to `out`.
    """
    _check(tutorial)
    path = _reserve(disk.as_path(tutorial.out)) if tutorial.out else None
    config, _ = settings(tutorial)
    training_key, few_key, rendering_key, many_key = jax.random.split(jax.random.key(tutorial.seed), 4)
    trained = train(tutorial, training_key)
    policy = networks.greedy(trained.weights, config)
    returns = np.asarray(rollout(policy, few_key, num_envs=EVALUATION_EPISODES).totals, np.float64)
    records = rollout(policy, rendering_key, num_envs=1, num_steps=RENDERED_STEPS, record=everything).records
    print(f"Trained in {trained.training_seconds:.1f} s, compiled in {trained.compiling_seconds:.1f} s before that.")
    print(f"Reward per episode {returns.mean():.2f}±{returns.std():.2f}\n")
    print(tutorial_text.render(records), flush=True)

    entrants = {AGENT: policy} | policies.default_policies()
    board = evaluation.leaderboard(
        entrants, many_key, num_episodes=tutorial.num_episodes, devices=jax.devices(),
        progress=lambda name: print(f"evaluating {name} ...", file=sys.stderr),
    )  # fmt: skip
    behaviour = behaviour_of(trained.weights, config, many_key, tutorial.num_episodes)
    print("\n" + tutorial_text.account(board, AGENT, behaviour, returns))
    if path:
        report = _report(tutorial, trained, returns, board, behaviour)
        disk.write_atomic(path, (json.dumps(report, indent=2) + "\n").encode())
        print(f"\nwritten: {path}")
    return 0


def settings(tutorial: Tutorial) -> tuple[DQNConfig, Hyperparams]:
    """Stable-Baselines3's defaults, written out, with the tutorial's network."""
    config = DQNConfig(
        hidden_sizes=(16, 16), transform="raw", dueling=False, double=False, n_step=1, batch_size=32,
        buffer_size=1_000_000, num_envs=1, steps_per_iteration=4, updates_per_iteration=1, time_limit_is_terminal=True,
    )  # fmt: skip
    hyperparams = Hyperparams(
        learning_rate=1e-4, final_learning_rate=1.0, adam_b1=0.9, adam_b2=0.999, adam_epsilon=1e-8, max_grad_norm=10.0,
        huber_delta=1.0, discount=DISCOUNT, epsilon_start=1.0, epsilon_end=0.05, epsilon_steps=tutorial.num_steps // 10,
        learning_starts=tutorial.learning_starts, target_period=10_000, target_tau=1.0, ema_rate=1.0,
        reward_shift=0.0, reward_scale=1.0, expected_penalty=0.0,
    )  # fmt: skip
    return config, hyperparams


def train(tutorial: Tutorial, key: PRNGKey) -> Trained:
    """The trained network; prints a table after every ten episodes."""
    config, hyperparams = settings(tutorial)
    # Copied, since online, target and averaged network begin as one array, which cannot be donated three times.
    train_state = jax.tree.map(jnp.copy, dqn.init(key, hyperparams, config))
    started = time.perf_counter()
    num_iterations = TABLE_STEPS // config.env_steps_per_iteration
    chunk = lambda train_state: dqn.train_chunk(train_state, hyperparams, config, num_iterations=num_iterations)
    run_chunk = jax.jit(chunk, donate_argnums=0).lower(train_state).compile()
    compiled = time.perf_counter()
    means: list[float] = []
    num_updates = 0
    for i in range(tutorial.num_steps // TABLE_STEPS):
        train_state, metrics = jax.block_until_ready(run_chunk(train_state))
        means.append(float(metrics.episode_return))
        num_updates += int(metrics.num_updates)
        progress = tutorial_text.Progress(
            num_steps=(i + 1) * TABLE_STEPS, num_episodes=(i + 1) * TABLE_EPISODES, num_updates=num_updates,
            seconds=time.perf_counter() - compiled, mean_return=float(np.mean(means[-100 // TABLE_EPISODES :])),
            epsilon=float(metrics.epsilon), learning_rate=float(metrics.learning_rate), loss=float(metrics.loss),
        )  # fmt: skip
        print(tutorial_text.table(progress), flush=True)
    return Trained(train_state.ema_params, compiled - started, time.perf_counter() - compiled)


def behaviour_of(weights: Array, config: DQNConfig, key: PRNGKey, num_episodes: int) -> Behaviour:
    """What the greedy agent does, over `num_episodes` whole episodes, and what its network expects of it."""

    def sums(transition: Transition) -> dict[str, Any]:
        step = transition.state.num_steps
        quarter = jnp.arange(4) == 4 * step // EPISODE_STEPS
        # Each reward counts in the discounted returns after all decisions up to it: 1 + discount + discount^2 ...
        weight = (1.0 - DISCOUNT ** (step + 1.0)) / (1.0 - DISCOUNT)
        return {
            "actions": quarter[:, None] & (jnp.arange(4) == transition.action)[None, :],
            "return": transition.reward,
            "promise": jnp.max(networks.q_values(weights, transition.obs[None], config)),
            "value": weight * transition.reward,
        }

    result = rollout(networks.greedy(weights, config), key, num_envs=num_episodes, total=sums)
    totals = {name: np.asarray(value, np.float64) for name, value in result.totals.items()}
    return Behaviour(
        shares=totals["actions"].mean(axis=0) / (EPISODE_STEPS // 4),
        alertness_at_the_end=float(np.asarray(result.envs.state.alertness, np.float64).mean()),
        return_deviation=float(totals["return"].std(ddof=1)),
        promise=float(totals["promise"].mean() / EPISODE_STEPS),
        value=float(totals["value"].mean() / EPISODE_STEPS),
    )


def _check(tutorial: Tutorial) -> None:
    limits = {
        "seed": (0, 2**32),
        "num_steps": (TABLE_STEPS, 2**31),
        "learning_starts": (0, tutorial.num_steps),  # or nothing is learned
        "num_episodes": (4, 2**31),
    }
    for name, (low, high) in limits.items():
        if not low <= getattr(tutorial, name) < high:
            raise ValueError(f"{name} must be at least {low:,} and below {high:,}, got {getattr(tutorial, name):,}")
    if tutorial.num_steps % TABLE_STEPS:
        raise ValueError(
            f"num_steps must be a multiple of {TABLE_STEPS:,}, the ten episodes of a table, got {tutorial.num_steps:,}"
        )


def _reserve(folder: Path) -> Path:
    """The file to write, in a folder that is there. Raises ValueError where that would overwrite something."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"out must be a folder, and {folder} is a file")
    if (folder / JSON).exists():
        raise ValueError(f"{folder / JSON} is there already and is not overwritten; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / JSON


def _report(
    tutorial: Tutorial, trained: Trained, returns: np.ndarray, board: evaluation.Leaderboard, behaviour
) -> dict:
    """All that was printed and more, for tutorial.json."""
    config, hyperparams = settings(tutorial)
    agent = next(row.evaluation for row in board if row.evaluation.name == AGENT)
    return json.loads(tables.as_json(board, tutorial.seed)) | {
        "num_steps": tutorial.num_steps,
        "config": dataclasses.asdict(config),
        "hyperparams": {name: float(value) for name, value in vars(hyperparams).items()},
        "seconds": {"compiling": trained.compiling_seconds, "training": trained.training_seconds},
        "few_episodes": returns.tolist(),
        "verdict": tutorial_text.verdict(agent, behaviour),
        "behaviour": behaviour._replace(shares=behaviour.shares.tolist())._asdict(),
    }
