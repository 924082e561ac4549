"""Evaluator: how policies are evaluated in an environment. Evaluation: what came of it.

What a policy lacks of the best known one is its regret only where that is proven to be the best of all (`certified`).
Elsewhere it is "behind best known", and a better policy has less than 0.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs.environment import Environment, imported
from heartpole_jax.evaluation.estimates import Estimate, format_estimate


class BestKnown(NamedTuple):
    """The best policy that is known for an environment's parameters."""

    expected_return: float
    certified: bool  # whether it is proven that no policy has more


def gap_name(certified: bool) -> str:
    """What the best known expected return less a policy's is called."""
    return "regret" if certified else "behind best known"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The score of a policy, over `num_episodes` whole episodes. `str` of it is a small table.

    An environment's own has more estimates, see `evaluation.heartpole_v0` and `evaluation.heartpole_v1`.
    """

    name: str
    num_episodes: int
    expected_return: Estimate
    regret: Estimate | None  # the best known expected return - expected_return, None where that is unknown
    certified: bool  # whether that is regret: no policy has more than the best known one
    returns: np.ndarray  # (num_episodes,) each return without the noise of heart attacks, for paired comparisons

    def estimates(self) -> dict[str, Estimate]:
        """Every estimate by its name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Estimate)}

    def summary(self) -> dict[str, str]:
        """Every estimate as a text, by its label."""
        lines = {}
        for name, value in self.estimates().items():
            share = name.startswith("share_")
            text = format_estimate(Estimate(*(100 * number for number in value)) if share else value)
            label = gap_name(self.certified) if name == "regret" else name.removeprefix("share_").replace("_", " ")
            lines[label] = f"{text} % of the time" if share else text
        return lines

    def __str__(self) -> str:
        lines = [f"{label:<22}{text}" for label, text in self.summary().items()]
        if self.regret is None:
            lines.insert(1, f"{gap_name(False):<22}unknown: no best return is known")
        return "\n".join([self.name, *lines, f"{self.num_episodes:,} episodes; ± is one standard error"])


class Row(NamedTuple):
    """A line of a leaderboard."""

    evaluation: Any  # an `Evaluation`, the environment's own
    behind: Estimate  # the first line's expected return - this one's, paired


def _no_notes(rows: Sequence[Row], params: Any) -> list[str]:
    return []


class Evaluator(NamedTuple):
    """How policies are evaluated in an environment, and what its leaderboard shows."""

    evaluate: Callable[..., Evaluation]  # policy, key, params, env, num_episodes=, name=, devices=
    num_episodes: int  # by default
    best_known: Callable[[Any], BestKnown | None]  # params -> what regrets are against
    constant_penalty: Callable[[Any], float] = lambda params: 0.0  # params -> of the rewards of a patient at rest
    has_regret: bool = True  # whether the leaderboard has a column for it
    columns: tuple[str, ...] = ()  # after "policy", "expected return", "regret" and "behind first"
    cells: Callable[[Any], tuple[str, ...]] = lambda evaluation: ()  # of these columns
    notes: Callable[[Sequence[Row], Any], list[str]] = _no_notes  # rows, params -> lines below the table
    facts: Callable[[Any], dict[str, Any]] = lambda params: {}  # params -> what JSON tells of the environment
    literature: Path | None = None  # TOML of published scores, see `evaluation.literature`


@arguments.typed()
def evaluator_of(env: Environment) -> Evaluator:
    """The evaluator of an environment."""
    return imported(env.evaluator)
