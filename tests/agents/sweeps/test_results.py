"""What came of a sweep: numbers over seeds by hand, the ranking, and files that give back what went into them."""

import csv
import dataclasses
import math

import numpy as np
import pytest
import synthetic_sweep
from pyarrow import parquet
from synthetic_sweep import SUMMARY, trial

from agents.sweeps import result_files, result_text, results, statistics
from heartpole_jax import documents

ONE_NAME = dataclasses.replace(SUMMARY, swept=("hyperparams.learning_rate",))


def test_the_interquartile_mean_of_eight_seeds_is_that_of_the_middle_four():
    (numbers,) = statistics.over_seeds(np.array([[80.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]]))
    assert numbers.interquartile_mean.value == pytest.approx((3 + 4 + 5 + 6) / 4)
    assert (numbers.median.value, numbers.worst.value) == (4.5, 80.0)
    assert numbers.worst.high == 80.0  # no resample is worse than the worst
    assert numbers.interquartile_mean.low < 4.5 < numbers.interquartile_mean.high


@pytest.mark.parametrize(("num_seeds", "name"), [(1, "mean"), (3, "mean"), (4, "interquartile mean")])
def test_what_leaves_out_no_seed_is_called_the_mean(num_seeds, name):
    assert statistics.mean_name(num_seeds) == name


def test_of_fewer_than_four_seeds_the_interquartile_mean_is_the_mean():
    (numbers,) = statistics.over_seeds(np.array([[1.0, 2.0, 6.0]]))
    assert numbers.interquartile_mean.value == pytest.approx(3.0)


def test_the_bootstrap_of_two_seeds_is_the_exact_one():
    # Half of the resamples of (0, 1) have mean 1/2, a quarter each 0 and 1: so the 95 % interval is all of it.
    (numbers,) = statistics.over_seeds(np.array([[1.0, 0.0]]))
    assert numbers.interquartile_mean == (0.5, 0.0, 1.0)


def test_the_bootstrap_is_that_of_resamples_drawn_one_by_one():
    losses = np.random.default_rng(1).exponential(size=(3, 8))
    drawn = np.random.default_rng(2).integers(8, size=(20_000, 8))
    for numbers, own in zip(statistics.over_seeds(losses), losses, strict=True):
        resampled = np.sort(own[drawn], axis=1)[:, 2:6].mean(axis=1)
        low, high = np.quantile(resampled, [0.025, 0.975])
        assert numbers.interquartile_mean[1:] == pytest.approx((low, high), rel=0.05)


def test_one_seed_has_no_interval():
    (numbers,) = statistics.over_seeds(np.array([[3.0]]))
    assert numbers.median.value == numbers.worst.value == 3.0
    assert all(math.isnan(bound) for number in numbers for bound in number[1:])


def test_a_seed_that_diverged_makes_the_worst_infinite_and_no_number_undefined():
    (numbers,) = statistics.over_seeds(np.array([[1.0, 2.0, 3.0, np.inf]]))
    assert (numbers.worst.value, numbers.worst.high) == (np.inf, np.inf)
    assert numbers.interquartile_mean.value == pytest.approx(2.5)  # one in four is left out at either end
    assert numbers.interquartile_mean.high == np.inf
    assert not any(math.isnan(bound) for number in numbers for bound in number)


def test_losses_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match=r"^losses must be numbers of shape \(configurations, seeds\), got"):
        statistics.over_seeds(np.array([[1.0, np.nan]]))


def _curve(num_evaluations):
    return {name: np.arange(1.0, num_evaluations + 1) for name in ("env_steps", *results.CURVES)}


def test_configurations_are_ranked_finished_first_then_stopped_then_diverged():
    trials = [
        *(trial(0, seed, 0.5) for seed in range(4)),
        *(trial(1, seed, 0.2) for seed in range(4)),
        *(trial(2, seed, 0.1, "stopped", env_steps=50) for seed in range(4)),
        *(trial(3, seed, 0.3, "stopped", curve=_curve(3)) for seed in range(4)),
        *(trial(4, seed, 0.01, "diverged" if seed == 3 else "finished") for seed in range(4)),
    ]
    ranked = results.rank(trials)
    assert [configuration.index for configuration in ranked] == [1, 0, 3, 2, 4]
    assert [configuration.status for configuration in ranked] == [
        "finished", "finished", "stopped", "stopped", "diverged",
    ]  # fmt: skip
    assert ranked[-1].counts == {"finished": 3, "stopped": 0, "diverged": 1}
    assert ranked[-1].worst.value == math.inf  # though its policy before that had 0.01
    assert results.best(trials) == 1


def test_where_no_best_return_is_known_a_higher_mean_return_ranks_first():
    trials = [trial(i, seed, None, mean_return=value + seed) for i, value in enumerate((10.0, 30.0)) for seed in (0, 1)]
    first, second = results.rank(trials)
    assert (first.index, first.metric) == (1, "return")
    assert first.interquartile_mean == (30.5, 30.0, 31.0)
    assert (first.median.value, first.worst.value) == (30.5, 30.0)
    assert second.worst.value == 10.0


def test_what_is_behind_a_best_known_return_that_may_not_be_the_best_keeps_its_sign():
    trials = [trial(0, 0, 0.5, certified=False), trial(1, 0, 0.2, certified=False), trial(2, 0, -0.1, certified=False)]
    ranked = results.rank(trials)
    assert [configuration.metric for configuration in ranked] == 3 * ["behind best known"]
    assert [(c.index, c.worst.value) for c in ranked] == [(2, -0.1), (1, 0.2), (0, 0.5)]


def test_regrets_and_returns_are_never_compared():
    """Two trials whose best return is known, two whose is not: all are reported and ranked by their mean returns."""
    trials = [
        trial(0, 0, 0.5, mean_return=-123.5),
        trial(1, 0, None, mean_return=-90.0),
        trial(2, 0, 0.25, mean_return=-150.0),
        trial(3, 0, None, mean_return=-130.0),
    ]
    assert results.metric_of(trials) == "return"
    assert [results.loss(one, "return") for one in trials] == [123.5, 90.0, 150.0, 130.0]
    assert [results.loss(one, "regret") for one in trials] == [0.5, math.inf, 0.25, math.inf]
    ranked = results.rank(trials)
    assert [(one.index, one.metric, one.median.value) for one in ranked] == [
        (1, "return", -90.0), (0, "return", -123.5), (3, "return", -130.0), (2, "return", -150.0),
    ]  # fmt: skip
    assert "4 configurations, return over seeds" in result_text.as_text(trials, ONE_NAME)


def test_a_trial_that_diverged_changes_no_metric():
    trials = [trial(0, 0, 0.5), trial(1, 0, None, "diverged", mean_return=-200.0)]
    assert results.metric_of(trials) == "regret"
    assert [one.worst.value for one in results.rank(trials)] == [0.5, math.inf]
    trials = [trial(0, 0, None, mean_return=-120.0), trial(1, 0, 0.5, "diverged")]
    assert [(one.metric, one.worst.value) for one in results.rank(trials)] == [
        ("return", -120.0), ("return", -math.inf),
    ]  # fmt: skip


def test_there_is_no_best_where_all_were_stopped_or_diverged():
    trials = [trial(0, 0, 1.0, "stopped"), trial(1, 0, 1.0, "diverged")]
    with pytest.raises(ValueError, match="of 2 trials, 0 finished, 1 stopped early by halving, 1 diverged; narrow"):
        results.best(trials)


def test_a_trial_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match=r"^configuration 3 with seed 1 must be there once, got 2 such trials$"):
        results.rank([trial(3, 1, 1.0), trial(3, 1, 2.0)])
    with pytest.raises(ValueError, match=r"^results need at least one trial, got none$"):
        results.rank([])
    with pytest.raises(ValueError, match="must be one of finished, stopped, diverged, got 'done'"):
        results.rank([trial(0, 0, 1.0, "done")])


@pytest.mark.parametrize("regret", [True, False])
def test_what_is_read_is_what_was_written(tmp_path, regret):
    trials = synthetic_sweep.trials(8, num_seeds=3, regret=regret)
    result_files.write(tmp_path, trials[::-1], SUMMARY)
    found, summary = result_files.read(tmp_path)
    assert summary == SUMMARY
    for expected, one in zip(trials, found, strict=True):
        fields = dataclasses.asdict(expected)
        curve = fields.pop("curve")
        own = dataclasses.asdict(one)
        own_curve = own.pop("curve")
        assert own == fields
        assert own_curve.keys() == curve.keys()
        for name in curve:
            np.testing.assert_array_equal(own_curve[name], curve[name])


def test_a_trial_that_diverged_before_any_policy_comes_back_without_a_return(tmp_path):
    empty = {name: np.zeros(0) for name in ("env_steps", *results.CURVES)}
    lost = trial(1, 0, math.nan, "diverged", mean_return=math.nan, standard_error=math.nan, curve=empty, diverged_at=0)
    result_files.write(tmp_path, [trial(0, 0, 1.0), lost], ONE_NAME)
    (_, found), _ = result_files.read(tmp_path)
    assert math.isnan(found.mean_return)
    assert math.isnan(found.regret)
    assert found.diverged_at == 0
    assert found.curve["loss"].shape == (0,)
    with (tmp_path / "results.csv").open() as file:
        (_, row) = csv.DictReader(file)
    assert (row["mean_return"], row["regret"], row["status"]) == ("", "", "diverged")


def test_a_regret_that_is_unknown_comes_back_unknown(tmp_path):
    trials = [trial(0, 0, 0.5), trial(1, 0, None, mean_return=-90.0), trial(2, 0, None, mean_return=-95.0)]
    result_files.write(tmp_path, trials, ONE_NAME)
    found, summary = result_files.read(tmp_path)
    assert [one.regret for one in found] == [0.5, None, None]
    assert "diverged" not in result_text.as_text(found, summary).replace("0 diverged", "")


def test_columns_have_their_own_types_and_lists_are_text(tmp_path):
    result_files.write(tmp_path, synthetic_sweep.trials(4, num_seeds=2), SUMMARY)
    schema = parquet.read_schema(tmp_path / "results.parquet")
    kinds = {name: str(schema.field(name).type) for name in schema.names}
    assert kinds == {
        "configuration": "int64", "seed": "int64", "status": "string", "env_steps": "int64",
        "hyperparams.learning_rate": "double", "hyperparams.discount": "double", "config.hidden_sizes": "string",
        "config.double_q": "bool", "mean_return": "double", "standard_error": "double", "regret": "double",
        "certified": "bool",
        "diverged_at": "int64",
    }  # fmt: skip
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 8
    assert rows[0]["config.hidden_sizes"] in ("[16, 16]", "[64, 64]", "[256]")
    curves = parquet.read_table(tmp_path / "curves.parquet")
    assert curves.column_names == ["configuration", "seed", "env_steps", "name", "value"]


def test_configurations_are_a_row_each_best_first_with_a_diverged_worst_of_infinity(tmp_path):
    trials = [
        *(trial(0, s, 0.4) for s in range(2)),
        *(trial(1, s, 0.2) for s in range(2)),
        trial(2, 0, 1.0, "diverged"),
    ]
    result_files.write(tmp_path, trials, ONE_NAME)
    rows = parquet.read_table(tmp_path / "configurations.parquet").to_pylist()
    assert [row["configuration"] for row in rows] == [1, 0, 2]
    assert rows[0]["interquartile_mean_regret"] == pytest.approx(0.2)
    assert rows[0]["interquartile_mean_regret_low"] == pytest.approx(0.2)
    assert rows[2]["interquartile_mean_regret_low"] is None  # one seed
    assert (rows[2]["worst_regret"], rows[2]["num_diverged"]) == (math.inf, 1)
    with (tmp_path / "configurations.csv").open() as file:
        assert [row["worst_regret"] for row in csv.DictReader(file)] == ["0.2", "0.4", "inf"]


def test_a_swept_name_that_is_a_columns_is_refused_and_nothing_written(tmp_path):
    trials = [trial(0, 0, 1.0, values={"seed": 3})]
    message = r"^a swept name must not be that of another column of the results, got 'seed'$"
    with pytest.raises(ValueError, match=message):
        result_files.write(tmp_path, trials, dataclasses.replace(SUMMARY, swept=("seed",)))
    assert not list(tmp_path.iterdir())


def test_results_that_are_missing_or_damaged_are_named(tmp_path):
    with pytest.raises(
        ValueError, match=r"results.parquet is missing: the sweep is not finished; go on with `python -m agents"
    ):
        result_files.read(tmp_path)
    result_files.write(tmp_path, [trial(0, 0, 1.0)], ONE_NAME)
    (tmp_path / "results.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"results.parquet is damaged: .*; write it again by resuming the sweep"):
        result_files.read(tmp_path)
    (tmp_path / "results.parquet").write_bytes((tmp_path / "configurations.parquet").read_bytes())
    with pytest.raises(ValueError, match=r"results.parquet is damaged: it is not what was saved, its checksum is"):
        result_files.read(tmp_path)
    manifest = documents.read(tmp_path / "manifest.json")
    for table in (manifest["sha256_of"], manifest["size_of"]):
        table["results.parquet"] = table["configurations.parquet"]
    documents.write(tmp_path / "manifest.json", manifest)
    with pytest.raises(ValueError, match=r"results.parquet is not what a sweep has written"):
        result_files.read(tmp_path)


def test_the_table_shows_the_ten_best_in_120_columns_and_counts_all():
    text = result_text.as_text(synthetic_sweep.trials(), SUMMARY)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    assert lines[0] == "HeartPole-v0: 64 configurations, regret over seeds, the best 10 of them"
    assert [line.split()[0] for line in lines[4:14]] == [str(rank) for rank in range(1, 11)]
    assert lines[-1] == "512 trials: 32 finished, 463 stopped early by halving, 17 diverged."


def test_columns_without_room_are_left_out_and_named():
    swept = tuple(f"hyperparams.a_rather_long_name_{i}" for i in range(6))
    one = trial(0, 0, 0.01234, values=dict.fromkeys(swept, 0.5))
    text = result_text.as_text([one], dataclasses.replace(SUMMARY, swept=swept))
    assert max(map(len, text.splitlines())) <= 120
    assert (
        "(no room for a_rather_long_name_3, a_rather_long_name_4, a_rather_long_name_5: see configurations.csv)" in text
    )
    assert "0.0123" in text


def test_numbers_are_reported_to_their_precision():
    texts = [
        result_text.number_text(value) for value in (0.00312, 0.1234, 1.234, 12.34, 123.4, 12345.6, math.inf, math.nan)
    ]
    assert texts == ["0.0031", "0.123", "1.23", "12.3", "123", "12,346", "diverged", ""]
    assert result_text.number_text(-123.308, "return") == "-123.31"
    assert result_text.value_text([64, 64]) == "[64, 64]"
    assert result_text.value_text(True) == "true"
    texts = [result_text.value_text(value) for value in (0.00154112, 0.9999, 0.95, 0.98882, 1.0, 2_000_000.0, None)]
    assert texts == ["0.001541", "0.9999", "0.95", "0.9888", "1", "2,000,000", ""]


def test_tables_of_a_thousand_configurations_come_whole(tmp_path):
    trials = [trial(i, seed, 1.0 + i) for i in range(1000) for seed in range(8)]
    result_files.write(tmp_path, trials, ONE_NAME)
    assert parquet.read_metadata(tmp_path / "results.parquet").num_rows == 8000
    assert parquet.read_metadata(tmp_path / "configurations.parquet").num_rows == 1000
    curves = result_files.CURVE_TABLE
    assert parquet.read_metadata(tmp_path / f"{curves}.parquet").num_rows == 8000 * 2 * 6
