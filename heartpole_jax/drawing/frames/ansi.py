"""A moment as a text: what was done, the clock, and a small bar for each number that matters."""

from collections.abc import Sequence

from heartpole_jax.drawing.frames.moment import HEARTPOLE_V0, Choice, Moment

_WIDTH = 20
_EIGHTHS = " ▏▎▍▌▋▊▉█"
# name, of the moment, full scale, unit
_BARS = (
    ("alertness", "alertness", 4.0, ""),
    ("blood pressure", "hypertension", 10.0, ""),
    ("blood alcohol", "intoxication", 0.2, " %"),
    ("stimulation", "stimulation", 4.0, ""),  # these two are HeartPole-v1's
    ("impairment", "impairment", 4.0, ""),
)


def describe(moment: Moment, choices: Sequence[Choice] = HEARTPOLE_V0) -> str:
    """The moment in five lines, in seven of HeartPole-v1, the last one ended.

    A bar is full at alertness, stimulation or impairment 4, hypertension 10, 0.2 % alcohol. `choices` are the actions.
    """
    day, hour, minute = moment.clock
    done = "woke up" if moment.action is None else f"chose {choices[moment.action].name}"
    attack = "  *** HEART ATTACK ***" if moment.heart_attack else ""
    lines = [f"day {day}, {hour:02}:{minute:02}  {done}, reward {moment.reward:+.4f}{attack}"]
    for name, field, full, unit in _BARS:
        value = getattr(moment, field)
        if value is not None:
            lines.append(f"  {name:<14} |{_bar(value / full)}| {value:.3f}{unit}")
    lines.append(
        f"  score {moment.score:+.4f}, {moment.num_steps} decisions, heart attacks {moment.num_heart_attacks}, "
        f"risk {moment.heart_attack_risk:.2%}"
    )
    return "\n".join(lines) + "\n"


def _bar(share: float) -> str:
    """A bar of `_WIDTH` characters, filled to `share`, which is clipped to [0, 1]; empty for NaN."""
    eighths = round(8 * _WIDTH * min(max(share, 0.0), 1.0)) if share == share else 0
    full, rest = divmod(eighths, 8)
    return (_EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")).ljust(_WIDTH)
