"""Moment: one patient after one decision, in Python's own numbers, as `render` shows it."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Moment:
    """Where a patient stands, and what led there. Units as in `EnvState`."""

    values: Mapping[str, float]  # of the observation, by name; `time_elapsed` among them
    num_steps: int  # decisions in this episode
    action: int | None  # the last one; None at the start of an episode
    reward: float  # of the last decision
    heart_attack: bool  # in the last decision
    heart_attack_risk: float
    num_heart_attacks: int  # in this episode so far

    @property
    def time_elapsed(self) -> float:
        """Half-hours since the beginning of the episode."""
        return self.values["time_elapsed"]

    @property
    def score(self) -> float:
        """Mean productivity so far, work_done / time_elapsed; NaN where the environment tells no work."""
        return self.values.get("work_done", float("nan")) / max(self.time_elapsed, 1)

    @property
    def clock(self) -> tuple[int, int, int]:
        """(day from 1, hour, minute), an episode beginning at eight in the morning of day 1."""
        half_hours = int(self.time_elapsed) + 16
        return half_hours // 48 + 1, half_hours % 48 // 2, half_hours % 2 * 30
