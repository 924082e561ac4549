"""What is compared, and what is kept of it: contenders, cells, and a file for each finished cell.

A cell is one contender with one kind of rewards and one number of decisions, trained on a few seeds. Its file has a
checksum, and states which cell it is of: a damaged one and another's are refused.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from heartpole_jax import documents

REWARDS = {"expected": 1.0, "raw": 0.0}  # by name, `expected_penalty`
LENGTHS = SHORT, MIDDLE, LONG = 100_000, 500_000, 5_000_000  # decisions
FIRST_SEED = 80_000  # seeds from here on, which no tuning has seen


@dataclasses.dataclass(frozen=True)
class Contender:
    """One algorithm of one library with one set of settings."""

    title: str
    library: str  # algorithms_{library}.py trains it
    algorithm: str  # its name there
    observations: str  # what its network gets
    seeds: Mapping[int, int]  # how many, by the number of decisions
    rate: float  # decisions a second on one core, roughly: for the estimate alone
    tuned: bool = False  # on this environment
    seeds_a_cell: int = 16
    seeds_together: int = 8  # in one vectorised program; the fastest on a CPU of a few that were tried
    only_by_name: bool = False  # left out unless it is named: it takes too long

    def __post_init__(self) -> None:
        assert self.seeds_a_cell % self.seeds_together == 0


_RAW, _FEATURES = "six numbers", "features"  # the transforms raw, and heartpole or heartpole-days
_ALL, _SLOWER = {SHORT: 32, MIDDLE: 32, LONG: 16}, {SHORT: 32, MIDDLE: 32, LONG: 4}
_MEDIUM, _SLOW = {SHORT: 32, MIDDLE: 32}, {SHORT: 8}
_TUNED = {"library": "ours", "observations": _FEATURES, "tuned": True}
_OURS = {"library": "ours", "observations": _RAW}
_REJAX = {"library": "rejax", "observations": _RAW}
_STABLE_BASELINES3 = {
    "library": "stable_baselines3", "observations": _RAW, "seeds": {SHORT: 8}, "seeds_a_cell": 2, "seeds_together": 1,
}  # fmt: skip
_ALONE = {"seeds_together": 1}  # large buffers: no faster together
CONTENDERS = {
    "dqn-recipe": Contender("DQN, our recipe", algorithm="dqn-recipe", seeds=_ALL, rate=600_000, **_TUNED),
    "pqn-recipe": Contender("PQN, our recipe", algorithm="pqn-recipe", seeds=_ALL, rate=850_000, **_TUNED),
    "ppo-example": Contender("PPO, our example", algorithm="ppo-example", seeds=_SLOWER, rate=160_000, **_TUNED),
    "dqn": Contender("DQN, our defaults", algorithm="dqn", seeds=_SLOWER, rate=110_000, **_OURS, **_ALONE),
    "pqn": Contender("PQN, our defaults", algorithm="pqn", seeds=_ALL, rate=500_000, **_OURS),
    "rejax-ppo": Contender("PPO, rejax", algorithm="ppo", seeds=_MEDIUM, rate=85_000, **_REJAX),
    "rejax-pqn": Contender("PQN, rejax", algorithm="pqn", seeds=_ALL, rate=600_000, **_REJAX),
    "rejax-dqn": Contender("DQN, rejax", algorithm="dqn", seeds=_SLOW, rate=4_500, **_REJAX),
    "rejax-iqn": Contender(
        "IQN, rejax", algorithm="iqn", seeds={SHORT: 2}, rate=80, seeds_a_cell=1, **_ALONE, only_by_name=True, **_REJAX
    ),
    "sb3-dqn": Contender("DQN, Stable-Baselines3", algorithm="DQN", rate=1_700, **_STABLE_BASELINES3),
    "sb3-ppo": Contender("PPO, Stable-Baselines3", algorithm="PPO", rate=1_050, **_STABLE_BASELINES3),
    "sb3-a2c": Contender("A2C, Stable-Baselines3", algorithm="A2C", rate=1_150, **_STABLE_BASELINES3),
}
for _name in ("dqn", "pqn"):  # with all other settings as they are
    CONTENDERS[f"{_name}-features"] = dataclasses.replace(
        CONTENDERS[_name], title=f"{CONTENDERS[_name].title} on features", algorithm=f"{_name}-features",
        observations=_FEATURES, seeds={SHORT: 32, MIDDLE: 16},
    )  # fmt: skip


class Cell(NamedTuple):
    """What one process trains and evaluates."""

    contender: str
    rewards: str
    decisions: int
    first_seed: int
    num_seeds: int

    def path(self, folder: Path) -> Path:
        """Its file."""
        seeds = f"{self.first_seed}x{self.num_seeds}"
        return folder / f"{self.contender}-{self.rewards}-{self.decisions}-{seeds}.json"


def all_cells(names: Iterable[str], decisions: Iterable[int], max_seeds: int | None = None) -> list[Cell]:
    """The cells of these contenders, in the order in which they are measured.

    The shortest first, and of them the first seeds of every contender: a run that is ended early has all contenders.
    """
    found = []
    for name in names:
        contender = CONTENDERS[name]
        for length in decisions:
            num_seeds = min(contender.seeds.get(length, 0), max_seeds or 2**31)
            for start in range(0, num_seeds, contender.seeds_a_cell):
                size = min(contender.seeds_a_cell, num_seeds - start)
                found += [Cell(name, rewards, length, FIRST_SEED + start, size) for rewards in REWARDS]
    return sorted(found, key=lambda cell: (cell.decisions, cell.first_seed))


def write(cell: Cell, folder: Path, measured: Mapping[str, Any]) -> None:
    """Writes the cell's file, whole or not at all. `measured` is as `check` expects it."""
    content = {"cell": cell._asdict(), **measured}
    check(cell, content)
    folder.mkdir(parents=True, exist_ok=True)
    documents.write(cell.path(folder), content)


def read(cell: Cell, folder: Path) -> dict[str, Any] | None:
    """What was measured, None where the cell is not finished.

    Raises:
      ValueError: where its file is damaged or another cell's, with what to do.
    """
    path = cell.path(folder)
    if not path.exists():
        return None
    try:
        content = documents.read(path)
        check(cell, content)
    except ValueError as error:
        raise ValueError(f"{error}; remove {path}, and the next run measures it again") from error
    return content


_LISTS = ("regret", "standard_error", "drinks_a_day")  # one number a seed
_NUMBERS = ("seconds", "decisions", "wall_seconds")


def check(cell: Cell, content: Mapping[str, Any]) -> None:
    """Raises ValueError where `content` is not what is measured in this cell."""
    if content.get("cell") != cell._asdict():
        raise ValueError(f"the file is not of {cell}, but of {content.get('cell')}")
    for name in _LISTS:
        values = content.get(name)
        if not isinstance(values, list) or len(values) != cell.num_seeds or not _are_numbers(values):
            raise ValueError(f"{name} must be {cell.num_seeds} numbers, got {values!r}")
    if not _are_numbers([content.get(name) for name in _NUMBERS]):
        raise ValueError(f"{', '.join(_NUMBERS)} must be numbers")


def _are_numbers(values: Sequence[Any]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)
