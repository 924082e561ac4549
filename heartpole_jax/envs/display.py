"""What tables and pictures show of an environment: its actions, and a gauge for each number of a patient."""

from collections.abc import Callable
from typing import Any, NamedTuple

_LONGEST_LABEL = 24


class ActionInfo(NamedTuple):
    """An action, as far as tables and pictures tell of it."""

    name: str
    half_hours: int = 0  # the break, before the half-hour of work
    wakes_up: bool = False  # sleep
    idles: bool = False  # works on, and nothing else

    @property
    def label(self) -> str:
        """The name, in words, cut where it is long."""
        words = " ".join(self.name.replace("_", " ").split())
        return words if len(words) <= _LONGEST_LABEL else words[: _LONGEST_LABEL - 1] + "…"

    @property
    def done(self) -> str:
        """What a patient has done who chose it."""
        if self.idles:
            return "works"
        if not self.half_hours:
            return f"{self.label}, then work"
        hours = f"{self.half_hours / 2:g} hour{'s' if self.half_hours != 2 else ''}"
        lasting = hours if self.half_hours > 1 else "30 minutes"
        return f"slept {lasting}" if self.name == "sleep" else f"{self.label} for {lasting}"


class Level(NamedTuple):
    """A line of interest in a gauge."""

    at: float | str  # the value, or the name of the parameter that holds it
    name: str
    headroom: float = 1.0  # the gauge reaches to so many times this value at least


class Gauge(NamedTuple):
    """How one number of a patient is shown in a text, a frame and a chart."""

    field: str  # its name in the state and in the observation
    name: str  # in few words
    label: str  # the title of its chart, with the unit
    full: float  # a text's bar is full at this value
    frame: tuple[float, float]  # the range of its strip in a frame
    chart: tuple[float, float]  # always within the limits of its chart
    colour: str = "blue"  # of its strip in a frame, one of `drawing.palette`
    unit: str = ""
    decimals: int = 2
    frame_levels: tuple[Level, ...] = ()
    chart_level: Level | None = None
    note: Callable[[Any], str] | None = None  # `drawing.frames.moment.Moment` -> what stands below its name in a frame
