"""The tables of a sweep as Parquet and CSV files, and back from the Parquet files to trials.

results.parquet, .csv          one row a trial: a configuration and a seed
configurations.parquet, .csv   one row a configuration, best first
curves.parquet                 one row a trial, evaluation and name of a curve
manifest.json                  the checksums of these
"""

import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from agents.sweeps.results import CURVES, Configuration, Summary, TrialResult, rank
from heartpole_jax import arguments, disk, documents

try:
    import pyarrow as pa
    from pyarrow import csv, parquet
except ImportError as error:
    raise ImportError("the tables of a sweep need pyarrow: pip install '.[train]' in the clone") from error

MANIFEST = "manifest.json"  # the checksums of the tables
RESULTS, CONFIGURATIONS, CURVE_TABLE = "results", "configurations", "curves"
_SCHEMA_VERSION = 2
_BEFORE = ("configuration", "seed", "status", "env_steps")
_AFTER = ("mean_return", "standard_error", "regret", "certified", "diverged_at")
_KEY = b"heartpole_sweep"  # in the schema's metadata of results.parquet: what the columns do not hold


@arguments.typed()
def write(folder: Path | str, trials: Sequence[TrialResult], summary: Summary) -> None:
    """Writes the six files into the folder, each whole or not at all.

    Raises:
      ValueError: as `results.rank`, or where a swept name is that of another column.
      OSError: where they cannot be written.
    """
    folder, trials = Path(folder), sorted(trials, key=lambda trial: (trial.configuration, trial.seed))
    results = _results_table(trials, summary)
    configurations = _configurations_table(rank(trials), summary)
    curves = _curves_table(trials)
    contents = {f"{CURVE_TABLE}.parquet": _as_parquet(curves)}
    for name, table in ((RESULTS, results), (CONFIGURATIONS, configurations)):
        contents |= {f"{name}.csv": _as_csv(table), f"{name}.parquet": _as_parquet(table)}
    for name, content in contents.items():
        disk.write_atomic(folder / name, content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    sizes = {name: len(content) for name, content in contents.items()}
    documents.write(folder / MANIFEST, {"schema_version": _SCHEMA_VERSION, "size_of": sizes, "sha256_of": sums})


@arguments.typed()
def read(folder: Path | str) -> tuple[list[TrialResult], Summary]:
    """What `write` has written into the folder: the trials with their curves, and the summary.

    Raises:
      ValueError: where the files are missing or damaged.
    """
    folder = Path(folder)
    results, curves = (_read_table(folder, f"{name}.parquet") for name in (RESULTS, CURVE_TABLE))
    try:
        return _trials(results, curves), _summary(_metadata(results)["summary"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{folder / RESULTS}.parquet is not what a sweep has written, {type(error).__name__}: {error}; write it "
            "again by resuming the sweep"
        ) from error


def _results_table(trials: Sequence[TrialResult], summary: Summary) -> pa.Table:
    columns: dict[str, pa.Array] = {
        "configuration": pa.array([trial.configuration for trial in trials], pa.int64()),
        "seed": pa.array([trial.seed for trial in trials], pa.int64()),
        "status": pa.array([trial.status for trial in trials], pa.string()),
        "env_steps": pa.array([trial.env_steps for trial in trials], pa.int64()),
        **_value_columns([trial.values for trial in trials], summary.swept, (*_BEFORE, *_AFTER)),
        "mean_return": _floats([trial.mean_return for trial in trials]),
        "standard_error": _floats([trial.standard_error for trial in trials]),
        "regret": _floats([trial.regret for trial in trials]),
        "certified": pa.array([trial.certified for trial in trials], pa.bool_()),
        "diverged_at": pa.array([trial.diverged_at for trial in trials], pa.int64()),
    }
    lists = [name for name in summary.swept if any(_is_list(trial.values.get(name)) for trial in trials)]
    metadata = {
        "schema_version": _SCHEMA_VERSION,
        "summary": dataclasses.asdict(summary) | {"log_scaled": sorted(summary.log_scaled)},
        "lists": lists,
    }
    return pa.table(columns).replace_schema_metadata({_KEY: json.dumps(metadata).encode()})


def _configurations_table(ranked: Sequence[Configuration], summary: Summary) -> pa.Table:
    numbers: dict[str, pa.Array] = {}
    metric = ranked[0].metric.replace(" ", "_")
    for name in ("median", "interquartile_mean", "worst"):
        for part in ("value", "low", "high"):
            column = f"{name}_{metric}" if part == "value" else f"{name}_{metric}_{part}"
            numbers[column] = _floats([getattr(getattr(configuration, name), part) for configuration in ranked])
    counts = {
        f"num_{status}": [configuration.counts[status] for configuration in ranked] for status in ranked[0].counts
    }
    fixed = ("configuration", "status", "env_steps", "num_seeds", *counts, *numbers)
    return pa.table(
        {
            "configuration": pa.array([configuration.index for configuration in ranked], pa.int64()),
            "status": pa.array([configuration.status for configuration in ranked], pa.string()),
            "env_steps": pa.array([configuration.env_steps for configuration in ranked], pa.int64()),
            **_value_columns([configuration.values for configuration in ranked], summary.swept, fixed),
            "num_seeds": pa.array([configuration.num_seeds for configuration in ranked], pa.int64()),
            **{name: pa.array(column, pa.int64()) for name, column in counts.items()},
            **numbers,
        }
    )


def _curves_table(trials: Sequence[TrialResult]) -> pa.Table:
    """One row for each trial, evaluation and name, in this order: whole columns at once, there may be millions."""
    sizes = np.array([len(trial.curve["env_steps"]) for trial in trials], np.int64)
    steps = np.concatenate([np.asarray(trial.curve["env_steps"], np.float64) for trial in trials])
    values = np.stack(
        [np.concatenate([np.asarray(trial.curve[name], np.float64) for trial in trials]) for name in CURVES], axis=1
    ).reshape(-1)
    rows = np.repeat(np.arange(len(trials)), sizes * len(CURVES))
    return pa.table(
        {
            "configuration": pa.array(np.array([trial.configuration for trial in trials], np.int64)[rows]),
            "seed": pa.array(np.array([trial.seed for trial in trials], np.int64)[rows]),
            "env_steps": pa.array(np.repeat(steps, len(CURVES)).astype(np.int64)),
            "name": pa.DictionaryArray.from_arrays(
                np.tile(np.arange(len(CURVES), dtype=np.int32), int(sizes.sum())), list(CURVES)
            ),
            "value": pa.array(values, mask=np.isnan(values)),
        }
    )


def _value_columns(
    rows: Sequence[Mapping[str, Any]], swept: Sequence[str], taken: Sequence[str]
) -> dict[str, pa.Array]:
    """A column of its own type for each swept name."""
    columns = {}
    for name in swept:
        if name in taken:
            raise ValueError(f"a swept name must not be that of another column of the results, got {name!r}")
        values = [row.get(name) for row in rows]
        kinds = {type(value) for value in values if value is not None}
        if kinds == {int, float}:
            values = [None if value is None else float(value) for value in values]
        elif any(_is_list(value) for value in values):
            values = [None if value is None else json.dumps(value) for value in values]
        elif len(kinds) > 1:
            values = [None if value is None else str(value) for value in values]
        columns[name] = pa.array(values)
    return columns


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _floats(values: Sequence[float | None]) -> pa.Array:
    """A column of numbers, empty where there is none."""
    return pa.array([None if value is None or math.isnan(value) else float(value) for value in values], pa.float64())


def _as_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def _as_csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    csv.write_csv(table, sink, csv.WriteOptions(quoting_style="needed"))
    return sink.getvalue()


def _read_table(folder: Path, name: str) -> pa.Table:
    """The table, opened after its bytes have been compared with the manifest."""
    path = folder / name
    for file in (path, folder / MANIFEST):
        if not file.exists():
            raise ValueError(
                f"{file} is missing: the sweep is not finished; go on with `python -m agents resume {folder}`"
            )
    try:
        manifest = documents.read(folder / MANIFEST)
        content, checksum = disk.read_bytes(path, first=manifest["size_of"][name] + 1), manifest["sha256_of"][name]
    except OSError as error:
        raise ValueError(f"cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{error}; write it again by resuming the sweep") from error
    if hashlib.sha256(content).hexdigest() != checksum:
        raise ValueError(
            f"{path} is damaged: it is not what was saved, its checksum is another; write it again by resuming the "
            "sweep"
        )
    try:
        return parquet.read_table(io.BytesIO(content))
    except pa.ArrowException as error:
        raise ValueError(f"{path} is damaged: {error}; write it again by resuming the sweep") from error


def _metadata(table: pa.Table) -> dict[str, Any]:
    metadata = json.loads((table.schema.metadata or {})[_KEY])
    if metadata["schema_version"] != _SCHEMA_VERSION:
        raise ValueError(f"it has schema version {metadata['schema_version']!r}, and this code reads {_SCHEMA_VERSION}")
    return metadata


def _summary(metadata: Mapping[str, Any]) -> Summary:
    return Summary(
        **{
            **metadata,
            "seeds": tuple(metadata["seeds"]),
            "swept": tuple(metadata["swept"]),
            "log_scaled": frozenset(metadata["log_scaled"]),
        }
    )


def _trials(results: pa.Table, curves: pa.Table) -> list[TrialResult]:
    metadata = _metadata(results)
    swept, lists = metadata["summary"]["swept"], set(metadata["lists"])
    pieces = _curves(curves)
    trials = []
    for row in results.to_pylist():
        values = {
            name: json.loads(row[name]) if name in lists else row[name] for name in swept if row[name] is not None
        }
        numbers: dict[str, Any] = {
            name: math.nan if row[name] is None else row[name] for name in ("mean_return", "standard_error")
        }
        fixed: dict[str, Any] = {name: row[name] for name in (*_BEFORE, "regret", "certified", "diverged_at")}
        curve = pieces.get((row["configuration"], row["seed"]), {name: np.zeros(0) for name in ("env_steps", *CURVES)})
        trials.append(TrialResult(**fixed, **numbers, values=values, curve=curve))
    return _with_unknown_regrets(trials)


def _with_unknown_regrets(trials: list[TrialResult]) -> list[TrialResult]:
    """The regret of a trial without a return comes back as no number, where others have a regret.

    Where there is a return and no regret, the best return is unknown.
    """
    if all(trial.regret is None for trial in trials):
        return trials
    lost = [trial.regret is None and math.isnan(trial.mean_return) for trial in trials]
    return [dataclasses.replace(m, regret=math.nan) if gone else m for m, gone in zip(trials, lost, strict=True)]


def _curves(table: pa.Table) -> dict[tuple[int, int], dict[str, np.ndarray]]:
    """The curves by configuration and seed. Rows lie as `_curves_table` has put them."""
    configuration, seed, steps = (table[name].to_numpy() for name in ("configuration", "seed", "env_steps"))
    values = table["value"].to_numpy(zero_copy_only=False)
    names = table["name"].combine_chunks().dictionary.to_pylist() if len(table) else list(CURVES)
    if len(values) % len(names):
        raise ValueError("the curves have not as many rows as names")
    starts = np.flatnonzero(np.r_[True, (np.diff(configuration) != 0) | (np.diff(seed) != 0)])
    found = {}
    for start, end in zip(starts, [*starts[1:], len(values)], strict=True):
        own = values[start:end].reshape(-1, len(names))
        curve = {"env_steps": steps[start : end : len(names)].astype(np.float64)}
        curve |= {name: own[:, i].astype(np.float64) for i, name in enumerate(names)}
        found[int(configuration[start]), int(seed[start])] = curve
    return found
