"""The folder of a sweep: which study it is of, and how it was begun. See `sweep` for what else is in it.

study.json   the study, its digest and its menu's, the size of slices, versions, the command
study.toml   the study as a file that needs no recipe
"""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.runs import checkpoints, files, run_folder
from agents.sweeps import study_file
from agents.sweeps.study import Study
from heartpole_jax import disk, documents, validation
from heartpole_jax.envs import registry

SCHEMA_VERSION = 1
STUDY, TOML = "study.json", "study.toml"
# All that a sweep writes, as patterns of the shell: what killed processes left of it may be removed.
FILES = (
    STUDY, TOML, "best.toml", "manifest.json", "report.html", "results.csv", "results.parquet", "configurations.csv",
    "configurations.parquet", "curves.parquet", "policy.json", "policy.safetensors", "[0-9][0-9][0-9][0-9].json",
    "batch-[0-9]*-program-[0-9]*-rung-[0-9]*-slice-[0-9]*.safetensors", checkpoints.FILES,
)  # fmt: skip
_FOLDERS = ("batches", "slices", "best")
SAME = ("jax", "jaxlib", "platform", "float")  # what results depend on to the bit


class SweepRecord(NamedTuple):
    """How a sweep was begun."""

    study: Study
    slice_size: int
    checkpoint_every: int | None  # chunks; None: by the time that saving takes
    versions: Mapping[str, str]
    command: str
    begun: str  # date and time


def is_sweep(folder: Path) -> bool:
    """Whether the folder is a sweep's."""
    return (folder / STUDY).is_file()


def prepare(folder: Path, study: Study, command: str, slice_size: int, checkpoint_every: int | None) -> SweepRecord:
    """How the sweep in `folder` was begun: now, where the folder was empty.

    Raises:
      ValueError: for a folder of something else, of another study or menu, or begun with another version of JAX.
    """
    if not is_sweep(folder):
        others = sorted(
            path.name
            for path in folder.iterdir()
            if path.name != run_folder.LOCK and not files.is_leftover(path, FILES)
        )
        if others:
            raise ValueError(
                f"{folder} is there already, and is no sweep's ({', '.join(others[:3])}); name another with --out"
            )
        content = {
            "schema_version": SCHEMA_VERSION,
            "digest": study_file.digest(study),
            "study": study_file.as_dict(study),
            "slice_size": slice_size,
            "checkpoint_every": checkpoint_every,
            "versions": versions(),
            "command": command,
            "begun": datetime.datetime.now().isoformat(timespec="seconds"),
        }
        if (menu := registry.digest(study.env)) is not None:
            content["menu"] = menu
        documents.write(folder / STUDY, content)
    record = read(folder)
    if study_file.digest(record.study) != study_file.digest(study):
        raise ValueError(
            f"{folder} is of another study: {_difference(record.study, study)}; name another folder with --out"
        )
    return record


def read(folder: Path, *, to_go_on: bool = True) -> SweepRecord:
    """How the sweep in `folder` was begun.

    Args:
      to_go_on: whether it must be one that can go on here: begun with these versions, devices and floats.

    Raises:
      ValueError: where that is missing or damaged, or was with another version of JAX, on another kind of device,
        with another type of floats, or under another menu.
    """
    path = folder / STUDY
    try:
        content = documents.read(path)
    except OSError as error:
        raise ValueError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{error}; restore it from a backup") from error
    if content.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"{path} is of another version of this project, and this reads {SCHEMA_VERSION}")
    try:
        return _record(content, folder, to_go_on)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} has not what a study has, {type(error).__name__}: {error}") from error


def _record(content: Mapping[str, Any], folder: Path, to_go_on: bool) -> SweepRecord:
    for name, now in versions().items() if to_go_on else ():
        if name in SAME and content["versions"].get(name) != now:
            raise ValueError(
                f"{folder} was begun with {name} {content['versions'].get(name)}, and this is {now}: results would not "
                "be the same to the bit; go on with that version, or begin again in another folder"
            )
    validation.check_size("slice_size", content["slice_size"])
    if content["checkpoint_every"] is not None:
        validation.check_size("checkpoint_every", content["checkpoint_every"])
    study = study_file.from_dict(content["study"])
    registry.check_digest(study.env, content.get("menu"), f"the sweep in {folder} was begun")
    return SweepRecord(
        study=study,
        slice_size=content["slice_size"],
        checkpoint_every=content["checkpoint_every"],
        versions=content["versions"],
        command=content["command"],
        begun=content["begun"],
    )


def tidy(folder: Path, study: Study) -> None:
    """Removes what killed processes left, and writes study.toml where one was killed before that.

    Raises:
      ValueError: where a file is in the place of a folder that the sweep writes into.
      OSError: where it cannot be written.
    """
    for path in (folder / name for name in _FOLDERS):
        if path.exists() and not path.is_dir():
            raise ValueError(f"{path} is no folder, and a sweep writes into it: move it away, and resume")
    files.remove_leftovers(folder, FILES)
    if not (folder / TOML).exists():
        disk.write_atomic(folder / TOML, study_file.as_toml(study).encode())


def versions() -> dict[str, str]:
    """Of what results depend on, and of Python."""
    return run_folder.versions() | {"platform": jax.default_backend(), "float": jnp.result_type(float).name}


def _difference(record: Study, study: Study) -> str:
    """The first entries that differ."""
    there, here = study_file.as_dict(record), study_file.as_dict(study)
    differ = [name for name in {**there, **here} if there.get(name) != here.get(name) and name != "name"]
    return "; ".join(f"{name} is {there.get(name)!r} there, and {here.get(name)!r} here" for name in differ[:3])
