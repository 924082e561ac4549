"""What came of a slice: one file of arrays, see `array_files`.

slices/<task>.safetensors
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from agents.runs import array_files
from agents.sweeps.tasks import Trial

SCHEMA_VERSION = 1
CURVES = ("env_steps", "mean_return", "loss", "q_value", "grad_norm", "episode_return")


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """A slice's trials after a rung. Arrays of shape (num_trials, ...), `curves` (num_trials, num_chunks)."""

    trials: tuple[Trial, ...]
    objective: np.ndarray  # float64, the lower the better: regret, or what is known instead; infinite if diverged
    mean_return: np.ndarray  # of the kept policy
    standard_error: np.ndarray
    diverged_at: np.ndarray  # int64, decisions after which it was frozen; -1 if it was not
    weights: np.ndarray  # of the kept policy
    curves: Mapping[str, np.ndarray]  # float64, of this rung, see `CURVES`


def path_of(folder: Path, task: str) -> Path:
    """Where the result of `task` lies in a run folder."""
    return folder / "slices" / f"{task}.safetensors"


def write(folder: Path, task: str, study: str, result: Result) -> None:
    """Writes the result of `task` of the study with the digest `study`. Raises OSError where it cannot."""
    arrays = {
        "trials": np.asarray(result.trials, np.int64),
        **{name: getattr(result, name) for name in _ARRAYS},
        **{f"curves/{name}": result.curves[name] for name in CURVES},
    }
    path = path_of(folder, task)
    path.parent.mkdir(exist_ok=True)
    array_files.write(path, arrays, {"schema_version": SCHEMA_VERSION, "study": study, "task": task})


def read(folder: Path, task: str, study: str) -> Result:
    """The result of `task`.

    Raises:
      ValueError: if the file is damaged, or of another schema version, study or task.
      FileNotFoundError: if there is none.
    """
    path = path_of(folder, task)
    again = f"remove it and resume: the slice is trained again ({path})"
    try:
        description, arrays = array_files.read(path)
        trials = tuple(Trial(int(configuration), int(seed)) for configuration, seed in arrays["trials"])
        curves = {name: arrays[f"curves/{name}"] for name in CURVES}
        rest = {name: arrays[name] for name in _ARRAYS}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name} is no result of a slice, {error}; {again}") from error
    expected = {"schema_version": SCHEMA_VERSION, "study": study, "task": task}
    for name, value in expected.items():
        if description.get(name) != value:
            raise ValueError(f"{path} has {name} {description.get(name)!r}, expected {value!r}: it is of another run")
    return Result(trials=trials, curves=curves, **rest)


_ARRAYS = ("objective", "mean_return", "standard_error", "diverged_at", "weights")
