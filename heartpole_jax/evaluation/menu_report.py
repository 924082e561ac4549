"""A menu, examined: its table with sources and grades, a day after each action, and what looks like a free lunch.

`python -m heartpole_jax menu FILE` prints `report`, and with `--out day.png` draws the day. A developer has to weigh
only where what helps also costs; so an action is suspicious that is better than another in every respect, and so is a
routine without sleep that earns more than one with it.
"""

import dataclasses
import functools
import itertools
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs import heartpole_v1
from heartpole_jax.envs import menu as menus
from heartpole_jax.envs.heartpole_v0 import Noise
from heartpole_jax.envs.heartpole_v1 import EnvParams, effective_alertness
from heartpole_jax.envs.menu import CHANNELS, Menu, Row
from heartpole_jax.envs.registry import make
from heartpole_jax.policy import Policy
from heartpole_jax.rollout import rollout
from heartpole_jax.terminal import printable

HALF_HOURS_A_DAY = 48
NUM_EPISODES = 256  # for each routine that is tried; returns differ by tens where it matters
_HEADER = ("", "action", "break", *CHANNELS, "hazard", "wakes up", "grade")
_COSTS = ("hypertension", "intoxication", "impairment")
_BENEFITS = ("alertness", "stimulation")
# The alertness at which most work is done is 2.56; none of the loops that are tried stimulates beyond 2.
_WANTED_ALERTNESS = 2.0
_IDLING = Row(name="idling", half_hours=0, source="none", grade="assumed")
IDLING_ONLY = Menu((_IDLING,))  # to compare with


@dataclasses.dataclass(frozen=True)
class Day:
    """A day of 48 half-hours that begins with each action, and nothing after it, at mean doses and without the attack.

    Arrays of shape (num_actions, 49), at the half-hours 0 .. 48 after the action was chosen; NaN until it is over.
    """

    effective_alertness: np.ndarray
    stimulation: np.ndarray
    impairment: np.ndarray
    hypertension: np.ndarray
    intoxication: np.ndarray  # %
    work_done: np.ndarray  # productive half-hours so far
    heart_attacks: np.ndarray  # expected so far: the sum of the risks


class Loop(NamedTuple):
    """A routine without sleep: what is done, and the return of four weeks of it."""

    description: str
    expected_return: float
    standard_error: float


@arguments.typed()
def report(file: str | Path | None = None) -> str:
    """The text that the command prints for the menu in `file`, by default the shipped one.

    Raises: as `menu.as_menu`.
    """
    menu = menus.as_menu(file)
    lines = [*table(menu), "", "Sources", *sources(menu), "", "A day that begins with it", *effects(menu), ""]
    found = [*warnings(menu)]
    lines += ["Free lunches: none found"] if not found else [f"warning: {line}" for line in found]
    lines += [f"note: {line}" for line in vices(menu)]
    return printable("\n".join([*lines, "", "A toy: never dosing advice."]) + "\n")


@arguments.typed()
def table(menu: Menu) -> list[str]:
    """The menu's rows as aligned lines, a header and a rule first; doses are lowest .. highest."""
    return _aligned([_HEADER, *(_cells(number, row) for number, row in enumerate(menu.actions))], left=2)


@arguments.typed()
def sources(menu: Menu) -> list[str]:
    """Lines for each row: name, grade, source, and the note with what is assumed."""
    width = max(len(row.name) for row in menu.actions)
    lines = []
    for row in menu.actions:
        text = f"{row.name.ljust(width)}  [{row.grade}] {row.source}" + (f" ({row.note})" if row.note else "")
        lines += textwrap.wrap(text, 118, subsequent_indent=" " * (width + 2))
    return lines


@arguments.typed()
def effects(menu: Menu) -> list[str]:
    """Aligned lines: the work of a day that begins with each action, and its expected heart attacks."""
    day = simulate_day(menu)
    cells: list[tuple[str, ...]] = [("action", "work done", "heart attacks", "highest hypertension")]
    for i, row in enumerate(menu.actions):
        values = day.work_done[i, -1], day.heart_attacks[i, -1], np.nanmax(day.hypertension[i])
        texts = [f"{value:.{digits}f}" for value, digits in zip(values, (2, 4, 2), strict=True)]
        cells.append((row.name, *texts) if row.half_hours < HALF_HOURS_A_DAY else (row.name, "longer", "", ""))
    return _aligned(cells, left=1)


@arguments.typed()
def simulate_day(menu: Menu, params: EnvParams | None = None, hypertension: float = 0.0) -> Day:
    """The day after each action, chosen by a rested patient of this hypertension, at mean doses. A longer break leaves
    nothing to see."""
    params = dataclasses.replace(EnvParams() if params is None else params, menu=_with_idling(menu))
    mean = Noise(**dict.fromkeys(("alertness", "hypertension", "intoxication"), 0.5), heart_attack=1.0)

    @jax.jit
    @jax.vmap
    def days(action):
        def decide(state, action):
            state, *_, info = heartpole_v1.transition_info(state, action, mean, params)
            return state, (state, info.heart_attack_risk)

        start = heartpole_v1.initial_state(0.5, params)
        start = dataclasses.replace(start, hypertension=jnp.full_like(start.hypertension, hypertension))
        actions = jnp.full(HALF_HOURS_A_DAY, len(menu.actions)).at[0].set(action)
        return start, *jax.lax.scan(decide, start, actions)[1]

    start, states, risks = jax.device_get(days(jnp.arange(len(menu.actions))))
    alertness = [effective_alertness(s.alertness, s.stimulation, s.impairment) for s in (start, states)]

    def over_time(first, later):
        values = np.full((len(menu.actions), HALF_HOURS_A_DAY + 1), np.nan)
        for i, times in enumerate(states.time_elapsed):
            values[i, times[times <= HALF_HOURS_A_DAY]] = later[i, times <= HALF_HOURS_A_DAY]
        values[:, 0] = first
        return values

    return Day(
        effective_alertness=over_time(*alertness),
        heart_attacks=over_time(0.0, np.cumsum(risks, axis=1)),
        **{
            name: over_time(getattr(start, name), getattr(states, name))
            for name in ("stimulation", "impairment", "hypertension", "intoxication", "work_done")
        },
    )


@arguments.typed()
def warnings(menu: Menu) -> list[str]:
    """What looks like a free lunch, a line each: actions that dominate another, loops that beat sleeping."""
    harmful = {row.name for row in menu.actions if _is_vice(row)}
    lines = []
    for other in menu.actions:
        # What is worse than nothing is dominated by nearly everything, and that is nobody's free lunch.
        better = [row.name for row in menu.actions if other.name not in harmful and dominates(row, other)]
        if better:
            lines.append(f"{' and '.join(map(repr, better))}: better than {other.name!r} in every respect, at no cost")
    sober = best_sleeper(menu)
    for loop in loops(menu):
        if sober is None or loop.expected_return - 3 * loop.standard_error > sober.expected_return:
            than = "and this menu has no sleep" if sober is None else f"{sober.description} {sober.expected_return:.0f}"
            lines.append(f"{loop.description}, never sleeping, earns {loop.expected_return:.0f} in four weeks; {than}")
            if sober is None:
                break
    return lines


@arguments.typed()
def vices(menu: Menu) -> list[str]:
    """A line for each action that is worse than doing nothing in every respect that is counted."""
    lines = []
    for row in menu.actions:
        if _is_vice(row):
            but = ", but for the Ballmer peak" if row.intoxication is not None else ""
            lines.append(f"{row.name!r} helps in nothing{but}: the best policy will leave it alone")
    return lines


def dominates(row: Row, other: Row) -> bool:
    """Whether `row` is at least as good as `other` in every respect, and better in one.

    Good are alertness, stimulation and waking up; bad are the break, hypertension, intoxication, impairment and the
    hazard. A range is at least as good as another if both its ends are. (Alcohol's Ballmer peak is not counted, nor
    that stimulation costs the next night's sleep.)
    """
    gains = [*np.subtract(_merits(row), _merits(other))]
    return min(gains) >= 0 and max(gains) > 0


@arguments.typed()
def best_sleeper(menu: Menu, num_episodes: int = NUM_EPISODES) -> Loop | None:
    """What sleep alone earns: the best of a few days' lengths, with nothing but the menu's action that wakes up.

    None where no action wakes up.
    """
    routines, idle = {}, len(menu.actions)
    for number, row in enumerate(menu.actions):
        for bedtime in (16.0, 24.0, 32.0) if row.wakes_up else ():
            name = f"{row.name!r} after {bedtime / 2:.0f} hours awake, and nothing else, earns"
            routines[name] = _Routine(first=idle, second=idle, below=jnp.inf, sleep=number, bedtime=bedtime)
    return max(_simulate(menu, routines, num_episodes), key=lambda loop: loop.expected_return, default=None)


@arguments.typed()
def loops(menu: Menu, num_episodes: int = NUM_EPISODES) -> list[Loop]:
    """Routines without sleep, best first: every action that does not wake up, and every two of them in turn, always and
    whenever effective alertness is below 2."""
    routines, awake = {}, [number for number, row in enumerate(menu.actions) if not row.wakes_up]
    for first, second in itertools.combinations_with_replacement(awake, 2):
        names = " and ".join(dict.fromkeys(repr(menu.actions[number].name) for number in (first, second)))
        for below, when in ((jnp.inf, "always"), (_WANTED_ALERTNESS, "when tired")):
            routines[f"{names} {when}"] = _Routine(
                first=first, second=second, below=below, sleep=first, bedtime=jnp.inf
            )
    return sorted(_simulate(menu, routines, num_episodes), key=lambda loop: -loop.expected_return)


class _Routine(NamedTuple):
    """What is done: two actions in turn where effective alertness is `below`, `sleep` after `bedtime` half-hours."""

    first: int
    second: int
    below: float
    sleep: int
    bedtime: float


def _simulate(menu: Menu, routines: Mapping[str, _Routine], num_episodes: int) -> list[Loop]:
    """The return of each routine, all on the same noise and in one program."""
    if not routines:
        return []
    env = make("HeartPole-v1", menu=_with_idling(menu))
    params = dataclasses.replace(env.default_params, expected_penalty=1.0)
    policy = Policy(act=functools.partial(_act, idle=len(menu.actions)), carry=jnp.zeros((), jnp.int32))

    @jax.jit
    @jax.vmap
    def returns(routine):
        varied = dataclasses.replace(policy, params=routine)
        key = jax.random.key(0)  # of a report that should say the same twice
        return rollout(varied, key, params, env=env, num_envs=num_episodes, num_steps=params.max_half_hours).totals

    values = np.asarray(returns(jax.tree.map(lambda *x: jnp.array(x), *routines.values())), float)
    errors = values.std(axis=1, ddof=1) / np.sqrt(num_episodes)
    return [Loop(*loop) for loop in zip(routines, values.mean(axis=1).tolist(), errors.tolist(), strict=True)]


def _act(routine: _Routine, turn, obs, draw, idle: int):
    patient = dict(zip(heartpole_v1.OBS_NAMES, obs, strict=True))
    alertness = effective_alertness(patient["alertness"], patient["stimulation"], patient["impairment"])
    tired, sleeps = alertness < routine.below, patient["time_since_slept"] >= routine.bedtime
    action = jnp.where(tired, jnp.where(turn == 0, routine.first, routine.second), idle)
    return jnp.where(sleeps, routine.sleep, action), jnp.where(tired & ~sleeps, 1 - turn, turn)


def _with_idling(menu: Menu) -> Menu:
    """`menu` and one more row without effects, the last: a menu need not have one."""
    return Menu((*menu.actions, dataclasses.replace(_IDLING, name="".join(row.name for row in menu.actions) + "'")))


def _merits(row: Row) -> list[float]:
    """What there is to say for a row as numbers, each the better the larger."""
    doses = {channel: getattr(row, channel) or (0.0, 0.0) for channel in CHANNELS}
    merits = [float(value) for channel in _BENEFITS for value in doses[channel]]
    merits += [-float(value) for channel in _COSTS for value in doses[channel]]
    return [*merits, -float(row.half_hours), float(row.wakes_up), -float(row.hazard)]


def _is_vice(row: Row) -> bool:
    return dominates(_IDLING, row)


def _cells(number: int, row: Row) -> tuple[str, ...]:
    doses = [getattr(row, channel) for channel in CHANNELS]
    texts = ["" if dose is None else f"{dose[0]:g} .. {dose[1]:g}" for dose in doses]
    pause = f"{row.half_hours / 2:g} h" if row.half_hours else ""
    hazard = f"x {row.hazard:g}" if row.hazard != 1 else ""
    return str(number), row.name, pause, *texts, hazard, "yes" if row.wakes_up else "", row.grade


def _aligned(cells: Sequence[Sequence[str]], left: int) -> list[str]:
    """Lines of aligned columns, the first `left` to the left, with a rule under the first line."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for line in cells:
        padded = [
            text.ljust(w) if i < left else text.rjust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return [lines[0], "  ".join("-" * width for width in widths), *lines[1:]]
