"""What `python -m agents tutorial` prints, made of numbers: pure functions, text out."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from heartpole_jax import Action, EnvParams, Transition
from heartpole_jax.evaluation import Leaderboard, estimate, format_estimate
from heartpole_jax.evaluation.heartpole_v0 import Evaluation
from heartpole_jax.optimum import heart_attack_floor, resting_risk, sober_optimum

_DONE = {Action.NOTHING: "did nothing", Action.COFFEE: "drank a coffee", Action.BEER: "drank a beer",
         Action.SLEEP: "slept"}  # fmt: skip
_AS_GOOD = 0.05  # regret below which an agent is as good as the best
_ALMOST_ALWAYS_ASLEEP, _HARDLY_EVER_ASLEEP = 0.9, 0.02  # of the half-hours; no patient sleeps more than 16 in 17
_HARDLY_EVER_DRINKS = 0.1  # drinks a day
_NAMED_FROM = 0.05  # share of the drinks


class Behaviour(NamedTuple):
    """What an agent does, means over whole episodes."""

    shares: np.ndarray  # (4, 4): in each quarter of an episode, the share of each action in the decisions
    alertness_at_the_end: float
    return_deviation: float  # standard deviation of a single episode's return
    promise: float  # the network's value of the action it takes, over all decisions
    value: float  # what follows, discounted in the same way, until the episode's end


class Progress(NamedTuple):
    """Where training stands."""

    num_steps: int
    num_episodes: int
    num_updates: int
    seconds: float
    mean_return: float  # of the last hundred episodes
    epsilon: float
    learning_rate: float
    loss: float


def table(progress: Progress, episode_steps: int = 1000) -> str:
    """Where training stands in a box, in the way of Stable-Baselines3: floats with three digits."""
    sections: dict[str, dict[str, float | int]] = {
        "rollout": {
            "ep_len_mean": float(episode_steps),
            "ep_rew_mean": progress.mean_return,
            "exploration_rate": progress.epsilon,
        },
        "time": {
            "episodes": progress.num_episodes,
            "fps": int(progress.num_steps / progress.seconds),
            "time_elapsed": int(progress.seconds),
            "total_timesteps": progress.num_steps,
        },
    }
    if progress.num_updates:
        learned = {"learning_rate": progress.learning_rate, "loss": progress.loss}
        sections["train"] = learned | {"n_updates": progress.num_updates}
    cells = []
    for section, entries in sections.items():
        cells.append((f"{section}/", ""))
        cells += [(f"   {name}", f"{x:<8.3g}" if isinstance(x, float) else str(x)) for name, x in entries.items()]
    names, values = (max(map(len, column)) for column in zip(*cells, strict=True))
    rule = "-" * (names + values + 7)
    return "\n".join([rule, *(f"| {name:<{names}} | {value:<{values}} |" for name, value in cells), rule])


def render(records: Transition) -> str:
    """A line for each decision, as the tutorial's `render` prints it: what was done, what came of it, the state.

    `records` are leaves of shape (num_steps, 1, ...), of one patient.
    """
    after = records.next_state
    lines = []
    for i, action in enumerate(np.asarray(records.action)[:, 0]):
        now = {name: value[i, 0] for name, value in vars(after).items()}
        attack = ", HEART ATTACK" if records.info.heart_attack[i, 0] else ""
        lines.append(
            f"half-hour {int(now['time_elapsed'])}: {_DONE[Action(int(action))]}, worked{attack}; "
            f"alertness {now['alertness']:.3f}, hypertension {now['hypertension']:.3f}, "
            f"intoxication {now['intoxication']:.4f}, awake for {int(now['time_since_slept'])}, "
            f"work done {now['work_done']:.3f}"
        )
    return "\n".join(lines)


def verdict(evaluation: Evaluation, behaviour: Behaviour) -> str:
    """What the agent has learned, in a sentence of three parts: sleep, drink, and what that costs it most."""
    return f"It {_sleep(evaluation)}, {_drink(evaluation, behaviour)}, and {_consequence(evaluation, behaviour)}."


def account(board: Leaderboard, name: str, behaviour: Behaviour, returns: np.ndarray) -> str:
    """The exact evaluation of the agent called `name`, one of a leaderboard, as text."""
    i = next(i for i, row in enumerate(board) if row.evaluation.name == name)
    agent = board[i].evaluation
    around = dataclasses.replace(board, rows=board[max(0, i - 1) : i + 2])
    less_work, more_attacks = costs(agent)
    return "\n".join(
        [
            "Evaluated exactly:",
            verdict(agent, behaviour),
            "",
            str(around),
            "",
            f"Of the regret of {agent.regret.mean:.2f}, {less_work:.2f} is work not done and {more_attacks:.2f} is "
            "heart attacks that need not be.",
            f"Of what follows a decision, discounted, the network expects {behaviour.promise:+,.1f} on average; the "
            f"true value is {behaviour.value:+,.1f}.",
            "",
            _shares(behaviour),
            "",
            f"What {returns.size} episodes can show:",
            _five_episodes(agent, behaviour, returns),
            _episodes_to_distinguish_from_sleep(board, agent, behaviour),
        ]
    )


def costs(evaluation: Evaluation) -> tuple[float, float]:
    """The two parts of the regret: what less work costs, and what heart attacks over the floor do."""
    params = EnvParams()
    less_work = sober_optimum(params).score - evaluation.score.mean
    return less_work, float(params.heart_attack_penalty) * max(evaluation.excess_heart_attacks.mean, 0.0)


def _sleep(evaluation: Evaluation) -> str:
    asleep = evaluation.share_asleep.mean
    if asleep >= _ALMOST_ALWAYS_ASLEEP:
        return "almost always sleeps"
    if asleep < _HARDLY_EVER_ASLEEP:
        return "hardly ever sleeps" if asleep > 0 else "never sleeps"
    return f"sleeps {asleep:.0%} of the time"


def _drink(evaluation: Evaluation, behaviour: Behaviour) -> str:
    drinks = evaluation.drinks_a_day.mean
    if drinks < _HARDLY_EVER_DRINKS:
        return "hardly ever drinks" if drinks > 0 else "never drinks"
    coffee, beer = behaviour.shares.mean(axis=0)[[Action.COFFEE, Action.BEER]]
    share = coffee / (coffee + beer)
    kinds = [(share, "coffees"), (1.0 - share, "beers")]
    named = [f"{drinks * part:.1f} {kind}" for part, kind in kinds if part >= _NAMED_FROM]
    return f"drinks {' and '.join(named)} a day"


def _consequence(evaluation: Evaluation, behaviour: Behaviour) -> str:
    less_work, more_attacks = costs(evaluation)
    assert evaluation.regret is not None  # the tutorial's environment is solved
    if evaluation.regret.mean < _AS_GOOD:
        return f"is within {_AS_GOOD} of the best"
    if more_attacks >= less_work:
        floor = heart_attack_floor(EnvParams())
        return f"has {evaluation.heart_attacks.mean:.2f} heart attacks an episode, where {floor:.2f} cannot be avoided"
    if behaviour.alertness_at_the_end < 0:
        return f"works on until its alertness is {behaviour.alertness_at_the_end:.0f}"
    best = sober_optimum(EnvParams()).score
    return f"gets {evaluation.score.mean:.3f} half-hours of work done in one, where {best:.3f} are possible"


def _shares(behaviour: Behaviour) -> str:
    header = "".join(f"{action.name.lower():>10}" for action in Action)
    quarters = zip(("1 - 250", "251 - 500", "501 - 750", "751 - 1000"), behaviour.shares, strict=True)
    lines = [f"{'decisions':<12}{header}"]
    for when, shares in [*quarters, ("all", behaviour.shares.mean(axis=0))]:
        lines.append(f"{when:<12}" + "".join(f"{100 * share:>8.1f} %" for share in shares))
    return "\n".join(lines)


def _five_episodes(agent: Evaluation, behaviour: Behaviour, returns: np.ndarray) -> str:
    error = behaviour.return_deviation / math.sqrt(returns.size)
    off = abs(returns.mean() - agent.expected_return.mean) / error
    return (
        f"A single return has a standard deviation of {behaviour.return_deviation:.1f}, so {returns.size} of them have "
        f"a standard error of {error:.1f};\nthese came out {off:.1f} of those from the expected return, "
        f"{format_estimate(agent.expected_return)}.\nTo know it to one standard error of 1 takes "
        f"{math.ceil(behaviour.return_deviation**2):,} of them."
    )


def _episodes_to_distinguish_from_sleep(board: Leaderboard, agent: Evaluation, behaviour: Behaviour) -> str:
    """How many episodes of each make the difference to "sleep" one standard error."""
    params = EnvParams()
    sleep = next(row.evaluation for row in board if row.evaluation.name == "sleep")
    difference = estimate(agent.returns - sleep.returns)
    if abs(difference.mean) <= 2 * difference.standard_error:
        return 'No number of episodes would distinguish it from "sleep": that is what it does.'
    # A patient who always sleeps has no hypertension, so its attacks are independent, each with the same risk.
    risk = resting_risk(params)
    sleep_variance = float(params.heart_attack_penalty) ** 2 * params.max_steps * risk * (1.0 - risk)
    num_episodes = math.ceil((behaviour.return_deviation**2 + sleep_variance) / difference.mean**2)
    return (
        f'To distinguish it from "sleep" ({format_estimate(sleep.expected_return)}) to one standard error by '
        f"averaging returns takes {num_episodes:,} episode{'s' if num_episodes > 1 else ''} of each."
    )
