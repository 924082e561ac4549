"""How much score can be had for how many expected heart attacks, by whatever policy.

Without drinks the frontier is one point: hypertension stays 0, so that every policy has max_steps risk(0) heart
attacks, and the best of them the score of `sober_optimum`. No policy has fewer attacks.

Drinks buy score with attacks. The proof of `certificate` holds for any penalty, and what a drink costs is proportional
to it. At the penalty from which on every slack is positive it says, for any policy with E more expected attacks,

    score  <=  sober score + penalty E,

and at the lower one from which on the slacks of all but the first drink are positive the same plus R, what a first
drink earns besides. No score exceeds that of the best half-hour. The least of the three is the bound.
"""

import dataclasses
import functools
from typing import Any

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs.heartpole_v0 import EnvParams
from heartpole_jax.optimum.heartpole_v0 import body
from heartpole_jax.optimum.heartpole_v0.ceiling import heart_attack_floor, return_ceiling
from heartpole_jax.optimum.heartpole_v0.certificate import DrinkBounds, drink_bounds
from heartpole_jax.optimum.heartpole_v0.sober import sober_optimum


@dataclasses.dataclass(frozen=True, eq=False)
class Frontier:
    """Score against expected heart attacks of an episode: exact without drinks, bounded with them."""

    heart_attacks: float  # of every policy without drinks; no policy has fewer
    score: float  # the most that a policy without drinks has, E[W / t]
    certified_penalty: float  # where a heart attack costs more than this, no drink pays; infinite where none is known
    slopes: np.ndarray  # (3,) of the bound's lines, score a heart attack
    offsets: np.ndarray  # (3,) of the lines at `heart_attacks`, above `score`

    def bound(self, heart_attacks: Any) -> np.ndarray:
        """A score that no policy with at most so many expected heart attacks exceeds; a number or an array of them.

        Raises:
          TypeError: for what is neither.
          ValueError: for NaN, or fewer than `heart_attacks`, which no policy has.
        """
        arguments.check_numeric("heart_attacks", heart_attacks)
        budget = np.asarray(heart_attacks, np.float64)
        few = ~(budget >= self.heart_attacks * (1.0 - 1e-12))
        if np.any(few):
            raise ValueError(
                f"heart_attacks must be at least {self.heart_attacks:.6f}, the fewest that any policy has, "
                f"got {budget[few].flat[0]}"
            )
        excess = np.maximum(budget - self.heart_attacks, 0.0)[..., None]
        finite = np.isfinite(self.slopes)  # where drinks may be free there is no such line
        above = np.where(finite, excess * np.where(finite, self.slopes, 0.0) + self.offsets, np.inf)
        return self.score + np.min(above, axis=-1)


@arguments.checked(params=EnvParams)
def frontier(params: EnvParams | None = None) -> Frontier:
    """The frontier of score against heart attacks; `heart_attack_penalty` plays no part in it. Seconds; cached.

    Raises:
      ValueError: as `sober_optimum` does.
    """
    return _frontier(dataclasses.replace(body.plain_numbers(params, "frontier"), heart_attack_penalty=1.0))


@functools.lru_cache(maxsize=32)
def _frontier(params: EnvParams) -> Frontier:
    score, floor, bounds = sober_optimum(params).score, heart_attack_floor(params), drink_bounds(params)
    first, later = _break_even(bounds, bounds.enhancement), _break_even(bounds, 0.0)
    return Frontier(
        heart_attacks=floor,
        score=score,
        certified_penalty=first,
        slopes=np.array([first, later, 0.0]),
        offsets=np.array([0.0, bounds.enhancement, return_ceiling(params) + floor - score]),
    )


def _break_even(bounds: DrinkBounds, enhancement: float) -> float:
    """The least penalty at which no drink earns more than it costs, whatever is left of the episode."""
    gains = np.concatenate([bounds.coffee_gain, bounds.beer_gain]) + enhancement
    costs = np.concatenate([bounds.coffee_cost, bounds.beer_cost])  # at a penalty of 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(np.where(gains <= 0.0, 0.0, np.where(costs > 0.0, gains / costs, np.inf))))
