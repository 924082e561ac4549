"""A moment as a text: what was done, the clock, and a small bar for each number that matters."""

from heartpole_jax.drawing.frames.moment import Moment
from heartpole_jax.envs.environment import Environment
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0

_WIDTH = 20
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def describe(moment: Moment, env: Environment = HEARTPOLE_V0) -> str:
    """The moment in a line for what was done, one for each gauge of its environment, and one for the episode so far."""
    day, hour, minute = moment.clock
    done = "woke up" if moment.action is None else f"chose {env.action_names[moment.action]}"
    attack = "  *** HEART ATTACK ***" if moment.heart_attack else ""
    lines = [f"day {day}, {hour:02}:{minute:02}  {done}, reward {moment.reward:+.4f}{attack}"]
    for gauge in env.gauges:
        value = moment.values[gauge.field]
        lines.append(f"  {gauge.name:<14} |{_bar(value / gauge.full)}| {value:.3f}{gauge.unit}")
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
