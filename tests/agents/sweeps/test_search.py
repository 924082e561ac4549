"""Grid and random search: every combination once; and values that depend on seed, name and index alone."""

import dataclasses
import sys

import numpy as np
import pytest
import scipy.stats

from agents.sweeps import listed_search, search, study_file
from agents.sweeps.space import Choices, LogUniform, Uniform

BASE = {"env": "HeartPole-v0", "num_steps": 1_000_000, "seeds": 2}
SPACE = {
    "learning_rate": {"log_uniform": [1e-5, 1e-1]},
    "reward_shift": {"uniform": [-2, 3]},
    "hidden_sizes": {"choices": [[32, 32], [64, 64], [16]]},
}


def _random(number=8, **changes):
    content = BASE | {"search": "random", "num_configurations": number, "space": SPACE} | changes
    return study_file.read(content, "test")


def test_a_grid_is_every_combination_the_last_name_fastest():
    space = {
        "discount": {"uniform": [0, 1], "points": 3}, "hidden_sizes": {"choices": [[8], [16, 16]]},
        "double": {"grid": [True, False]},
    }  # fmt: skip
    found = listed_search.configurations(study_file.read(BASE | {"space": space}, "test"))
    assert [tuple(values) for values in found] == [("discount", "hidden_sizes", "double")] * 12
    assert [tuple(values.values()) for values in found[:5]] == [
        (0.0, [8], True), (0.0, [8], False), (0.0, [16, 16], True), (0.0, [16, 16], False), (0.5, [8], True),
    ]  # fmt: skip
    assert len({str(values) for values in found}) == 12


def test_a_study_without_a_space_has_one_configuration_of_no_values():
    assert listed_search.configurations(study_file.read(BASE, "test")) == [{}]


@pytest.mark.parametrize("name", ["learning_rate", "reward_shift"])
def test_random_values_have_the_distribution_that_was_asked_for(name):
    """Kolmogorov-Smirnov on 4,000 values, p > 0.001: one search seed in a thousand would fail."""
    values = np.array([values[name] for values in listed_search.configurations(_random(4_000))])
    uniform = (np.log10(values) + 5) / 4 if name == "learning_rate" else (values + 2) / 5
    assert 0 <= uniform.min() < 0.002
    assert 0.998 < uniform.max() < 1
    assert scipy.stats.kstest(uniform, "uniform").pvalue > 1e-3


def test_choices_are_equally_likely_and_names_independent():
    """Chi-squared on 4,000 configurations, p > 0.001 each: one search seed in a thousand would fail."""
    found = listed_search.configurations(_random(4_000))
    sizes = np.array([SPACE["hidden_sizes"]["choices"].index(values["hidden_sizes"]) for values in found])
    assert scipy.stats.chisquare(np.bincount(sizes, minlength=3)).pvalue > 1e-3
    thirds = np.array([int(3 * (values["reward_shift"] + 2) / 5) for values in found])
    rates = np.array([int(3 * (np.log10(values["learning_rate"]) + 5) / 4) for values in found])
    for one, other in [(sizes, thirds), (sizes, rates), (thirds, rates), (rates[1:], rates[:-1])]:
        table = np.zeros((3, 3))
        np.add.at(table, (one, other), 1)
        assert scipy.stats.chi2_contingency(table).pvalue > 1e-3


def test_more_configurations_leave_the_first_as_they_are():
    assert listed_search.configurations(_random(20))[:8] == listed_search.configurations(_random(8))


def test_another_name_swept_leaves_the_others_as_they_are():
    more = listed_search.configurations(_random(space={"discount": {"uniform": [0, 1]}} | SPACE))
    assert [{name: values[name] for name in SPACE} for values in more] == listed_search.configurations(_random())


def test_another_search_seed_gives_others():
    one, other = listed_search.configurations(_random()), listed_search.configurations(_random(search_seed=1))
    assert all(
        a[name] != b[name] for a, b in zip(one, other, strict=True) for name in ("learning_rate", "reward_shift")
    )
    assert one == listed_search.configurations(_random(name="other", seeds=7))


def test_random_values_are_the_same_on_every_machine():
    """By hand: the SeedSequence's word over 2^64, since a later version must go on with the same configurations."""
    values = listed_search.configurations(_random(1))[0]
    word = np.random.SeedSequence((0, 0xC2D76019, 0)).generate_state(1, np.uint64)[0]  # CRC-32 of "reward_shift"
    assert values["reward_shift"] == pytest.approx(-2 + 5 * float(word) / 2**64, abs=1e-12)


def test_a_value_is_in_the_half_open_range_whatever_the_rounding():
    narrow = Uniform(1.0, float(np.nextafter(1.0, 2.0)))
    assert {listed_search._draw(narrow, u) for u in (0.0, 0.5, 1 - 2**-53)} == {1.0}
    assert listed_search._draw(LogUniform(1e-3, 1e-1), 1 - 2**-53) < 1e-1
    assert listed_search._draw(LogUniform(3e-4, 1e-1), 0.0) == 3e-4
    assert listed_search._draw(Choices((1, 2, 3)), 1 - 2**-53) == 3


def test_a_listed_search_gives_one_batch_however_often_it_is_opened(tmp_path):
    one = _random()
    with search.opened(one, tmp_path) as searcher:
        assert searcher.ask(0) == listed_search.configurations(one)
        searcher.tell(0, searcher.ask(0), [None] * 8)
        with pytest.raises(ValueError, match=r"^search = 'random' is one batch, number 0, got 1$"):
            searcher.ask(1)
    assert list(tmp_path.iterdir()) == []


def test_an_adaptive_search_has_no_list():
    with pytest.raises(ValueError, match=r"^search = 'optuna' has no configurations before the results of others"):
        listed_search.configurations(dataclasses.replace(_random(), search="optuna"))


def test_without_optuna_the_extra_to_install_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "agents.sweeps.optuna_search", raising=False)
    monkeypatch.delattr("agents.sweeps.optuna_search", raising=False)
    wanted = r"^search = 'optuna' needs Optuna: pip install '\.\[optuna\]' in the clone$"
    with pytest.raises(ImportError, match=wanted), search.opened(_random(search="optuna"), tmp_path):
        pass
