"""Moment: one patient after one decision, in Python's own numbers, as `render` shows it. Choice: an action."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs import heartpole_v0, heartpole_v1
from heartpole_jax.envs import menu as menus

_LONGEST_LABEL = 24


class Choice(NamedTuple):
    """An action, as far as a picture tells of it."""

    name: str
    half_hours: int  # the break, before the half-hour of work
    wakes_up: bool  # sleep
    idles: bool  # works on, and nothing else

    @property
    def label(self) -> str:
        """The name, in words, cut where it is long."""
        words = " ".join(self.name.replace("_", " ").split())
        return words if len(words) <= _LONGEST_LABEL else words[: _LONGEST_LABEL - 1] + "…"

    @property
    def done(self) -> str:
        """What somebody has done who chose it."""
        if self.idles:
            return "works"
        if not self.half_hours:
            return f"{self.label}, then work"
        hours = f"{self.half_hours / 2:g} hour{'s' if self.half_hours != 2 else ''}"
        lasting = hours if self.half_hours > 1 else "30 minutes"
        return f"slept {lasting}" if self.name == "sleep" else f"{self.label} for {lasting}"


HEARTPOLE_V0 = (
    Choice("nothing", 0, wakes_up=False, idles=True),
    Choice("coffee", 0, wakes_up=False, idles=False),
    Choice("beer", 0, wakes_up=False, idles=False),
    Choice("sleep", 16, wakes_up=True, idles=False),
)


@arguments.checked(params=(heartpole_v0.EnvParams, heartpole_v1.EnvParams))
def choices(params: Any) -> tuple[Choice, ...]:
    """The actions that there are with the parameters: the rows of HeartPole-v1's menu, or HeartPole-v0's four."""
    if not hasattr(params, "menu"):
        return HEARTPOLE_V0
    return tuple(Choice(row.name, row.half_hours, row.wakes_up, _idles(row)) for row in params.menu.actions)


def _idles(row: menus.Row) -> bool:
    has_dose = any(getattr(row, channel) is not None for channel in menus.CHANNELS)
    return not (row.half_hours or row.wakes_up or has_dose) and bool(np.all(np.asarray(row.hazard) == 1))


@dataclasses.dataclass(frozen=True)
class Moment:
    """Where a patient stands, and what led there. Units as in `EnvState`."""

    alertness: float
    hypertension: float
    intoxication: float
    time_since_slept: float
    time_elapsed: float
    work_done: float
    num_steps: int  # decisions in this episode
    action: int | None  # the last one; None at the start of an episode
    reward: float  # of the last decision
    heart_attack: bool  # in the last decision
    heart_attack_risk: float
    num_heart_attacks: int  # in this episode so far
    stimulation: float | None = None  # HeartPole-v1's, and so is impairment
    impairment: float | None = None

    @property
    def score(self) -> float:
        """Mean productivity so far, work_done / time_elapsed."""
        return self.work_done / max(self.time_elapsed, 1)

    @property
    def effective_alertness(self) -> float:
        """The alertness that works, see `heartpole_v1.effective_alertness`; alertness itself in HeartPole-v0."""
        if self.stimulation is None or self.impairment is None:
            return self.alertness
        return max(self.alertness + self.stimulation - self.impairment, 0.0)

    @property
    def clock(self) -> tuple[int, int, int]:
        """(day from 1, hour, minute), an episode beginning at eight in the morning of day 1."""
        half_hours = int(self.time_elapsed) + 16
        return half_hours // 48 + 1, half_hours % 48 // 2, half_hours % 2 * 30
