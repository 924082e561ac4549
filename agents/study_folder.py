"""The folder of a sweep: which study it is of, and how it was begun. See `sweep` for what else is in it.

study.json   the study, its digest and its menu's, the size of slices, versions, the command
study.toml   the study as a file that needs no recipe
"""

import datetime
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents import cluster, environments, files, runs
from agents import study as studies
from agents.study import Study

SCHEMA_VERSION = 1
STUDY = "study.json"
_SAME = ("jax", "jaxlib", "platform", "float")  # what results depend on to the bit


class Kept(NamedTuple):
    """How a sweep was begun."""

    study: Study
    slice_lanes: int
    checkpoint_every: int | None  # chunks; None: by the time that saving takes
    versions: Mapping[str, str]
    command: str
    begun: str  # date and time


def is_sweep(folder: Path) -> bool:
    """Whether the folder is a sweep's."""
    return (folder / STUDY).is_file()


def prepare(folder: Path, study: Study, command: str, slice_lanes: int, checkpoint_every: int | None) -> Kept:
    """How the sweep in `folder` was begun: now, where the folder was empty.

    Raises:
      ValueError: for a folder of something else, of another study or menu, or begun with another version of JAX.
    """
    if cluster.is_first() and not is_sweep(folder):
        found = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
        others = sorted(found - {"study.toml"})  # which is there alone where a beginning was interrupted
        if others:
            raise ValueError(
                f"{folder} is there already, and is no sweep's ({', '.join(others[:3])}); name another with --out"
            )
        content = {
            "schema_version": SCHEMA_VERSION,
            "digest": studies.digest(study),
            "study": studies.as_dict(study),
            "slice_lanes": slice_lanes,
            "checkpoint_every": checkpoint_every,
            "versions": _versions(),
            "command": command,
            "begun": datetime.datetime.now().isoformat(timespec="seconds"),
        }
        if (menu := environments.menu_digest(study.env)) is not None:
            content["menu"] = menu
        write(folder / "study.toml", studies.as_toml(study))
        write(folder / STUDY, json.dumps(content | {"sha256": _checksum(content)}, indent=2) + "\n")
    cluster.gather(0)
    kept = read(folder)
    if studies.digest(kept.study) != studies.digest(study):
        raise ValueError(
            f"{folder} is of another study: {_difference(kept.study, study)}; name another folder with --out"
        )
    return kept


def read(folder: Path) -> Kept:
    """How the sweep in `folder` was begun.

    Raises:
      ValueError: where that is missing or damaged, or was with another version of JAX, on another kind of device,
        with another type of floats, or under another menu.
    """
    path = folder / STUDY
    files.wait_for(path)  # process 0 has written it
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        intact = content.pop("sha256") == _checksum(content) and content["schema_version"] == SCHEMA_VERSION
    except OSError as error:
        seen = "; the processes must share one file system" if jax.process_count() > 1 else ""
        raise ValueError(f"cannot read {path}: {error.strerror}{seen}") from error
    except (ValueError, KeyError, AttributeError) as error:
        raise ValueError(f"{path} is damaged, {type(error).__name__}: {error}; restore it from a backup") from error
    if not intact:
        raise ValueError(f"{path} is not what was written, or of another version; restore it from a backup")
    for name, now in _versions().items():
        if name in _SAME and content["versions"].get(name) != now:
            raise ValueError(
                f"{folder} was begun with {name} {content['versions'].get(name)}, and this is {now}: results would not "
                "be the same to the bit; go on with that version, or begin again in another folder"
            )
    study = studies.from_dict(content["study"])
    environments.check_menu(study.env, content.get("menu"), f"the sweep in {folder} was begun")
    return Kept(
        study=study,
        slice_lanes=content["slice_lanes"],
        checkpoint_every=content["checkpoint_every"],
        versions=content["versions"],
        command=content["command"],
        begun=content["begun"],
    )


def write(path: Path, text: str) -> None:
    """Writes the text, whole or not at all. Raises OSError where that cannot be."""
    files.write_whole(path, text.encode())


def _versions() -> dict[str, str]:
    return runs.versions() | {"platform": jax.default_backend(), "float": jnp.result_type(float).name}


def _difference(kept: Study, study: Study) -> str:
    """The first entries that differ."""
    there, here = studies.as_dict(kept), studies.as_dict(study)
    differ = [name for name in {**there, **here} if there.get(name) != here.get(name) and name != "name"]
    return "; ".join(f"{name} is {there.get(name)!r} there, and {here.get(name)!r} here" for name in differ[:3])


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
