"""Adaptive search: the same whatever interrupts it, learning from results, shown in a database."""

import contextlib
import itertools
import math
import sqlite3

import pytest

from agents.sweeps import search, study_file

pytestmark = [pytest.mark.once, pytest.mark.extras]

optuna = pytest.importorskip("optuna")
optuna_search = pytest.importorskip("agents.sweeps.optuna_search")

SPACE = {
    "learning_rate": {"log_uniform": [1e-5, 1e-1]},
    "hidden_sizes": {"choices": [[32, 32], [64, 64]]},
    "double": {"choices": [True, False]},
    "transform": {"grid": ["raw", "heartpole"]},
    "coffee_alertness_high": {"uniform": [0.5, 1.5]},
}
CONTENT = {
    "env": "HeartPole-v0", "num_steps": 1_000_000, "search": "optuna", "num_configurations": 11,
    "batch_configurations": 4, "space": SPACE,
}  # fmt: skip


@pytest.fixture
def adaptive():
    return study_file.read(CONTENT, "test")


def _objective(values):
    """Least at a learning rate of 1e-3 and hidden sizes of 64; too great a learning rate diverges."""
    rate = math.log10(values["learning_rate"])
    return None if rate > -1.5 else abs(rate + 3) + (values["hidden_sizes"] == [32, 32])


def _go_on(adaptive, folder, stored, until=None):
    """A whole search with what `stored` holds by batch, or up to (batch, event); True if it got to the end."""
    with search.opened(adaptive, folder) as searcher:
        for batch in range(3):
            if batch not in stored:
                asked = searcher.ask(batch)
                if until == (batch, "asked"):
                    return False
                stored[batch] = asked
            if until == (batch, "stored"):
                return False
            searcher.tell(batch, stored[batch], [_objective(values) for values in stored[batch]])
            if until == (batch, "reported"):
                return False
    return True


def _trials(folder, name="test"):
    """Configuration, state, value and parameters of all trials in the database, in its order."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.db'}")
    found = optuna.load_study(study_name=name, storage=storage)
    trials = [
        (trial.user_attrs["batch"], trial.user_attrs["configuration"], trial.state.name, trial.value, trial.params)
        for trial in found.get_trials()
    ]
    storage.remove_session()
    storage.engine.dispose()
    return trials


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder, stored = tmp_path_factory.mktemp("undisturbed"), {}
    assert _go_on(study_file.read(CONTENT, "test"), folder, stored)
    return stored, _trials(folder)


def test_batches_are_of_the_size_asked_for_and_their_values_of_the_ranges(undisturbed):
    stored, trials = undisturbed
    assert [len(stored[batch]) for batch in range(3)] == [4, 4, 3]
    for values in (values for batch in stored.values() for values in batch):
        assert list(values) == list(SPACE)
        assert 1e-5 <= values["learning_rate"] <= 1e-1
        assert values["hidden_sizes"] in SPACE["hidden_sizes"]["choices"]
        assert values["double"] in (True, False)
        assert type(values["double"]) is bool
        assert values["transform"] in ("raw", "heartpole")
    assert [(batch, configuration) for batch, configuration, *_ in trials] == [(i // 4, i) for i in range(11)]


def test_the_database_has_what_came_of_every_configuration(undisturbed):
    stored, trials = undisturbed
    values = [values for batch in range(3) for values in stored[batch]]
    expected = [_objective(one) for one in values]
    assert [value for *_, value, _ in trials] == expected
    assert [state for _, _, state, *_ in trials] == ["FAIL" if value is None else "COMPLETE" for value in expected]
    assert 0 < expected.count(None) < 6
    assert [params["hidden_sizes"] for *_, params in trials] == [str(one["hidden_sizes"]) for one in values]


def test_a_search_that_was_killed_after_every_event_goes_on_as_if_it_was_not(adaptive, tmp_path, undisturbed):
    stored = {}
    for until in itertools.product(range(3), ("asked", "stored", "reported")):
        assert not _go_on(adaptive, tmp_path, stored, until)
    assert _go_on(adaptive, tmp_path, stored)
    assert (stored, _trials(tmp_path)) == undisturbed


@pytest.mark.parametrize("killed_at", [2, 6, 10])
def test_a_search_that_was_killed_while_it_wrote_a_batch_goes_on_as_if_it_was_not(
    adaptive, tmp_path, undisturbed, monkeypatch, killed_at
):
    add_trial, added = optuna.Study.add_trial, []

    def killed(self, trial):
        if "configuration" in trial.user_attrs and self.study_name == "test":
            added.append(trial)
            if len(added) == killed_at:
                raise KeyboardInterrupt
        add_trial(self, trial)

    stored = {}
    monkeypatch.setattr(optuna.Study, "add_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        _go_on(adaptive, tmp_path, stored)
    assert len(_trials(tmp_path)) == killed_at - 1
    monkeypatch.setattr(optuna.Study, "add_trial", add_trial)
    assert _go_on(adaptive, tmp_path, stored)
    assert (stored, _trials(tmp_path)) == undisturbed


def test_a_batch_being_trained_is_shown_as_such(adaptive, tmp_path):
    _go_on(adaptive, tmp_path, {}, until=(1, "stored"))
    states = [state for _, _, state, *_ in _trials(tmp_path)]
    assert states[4:] == ["RUNNING"] * 4
    assert "RUNNING" not in states[:4]


def test_a_database_that_is_lost_is_written_anew(adaptive, tmp_path, undisturbed):
    stored = {}
    _go_on(adaptive, tmp_path, stored, until=(1, "reported"))
    (tmp_path / "optuna.db").unlink()
    assert _go_on(adaptive, tmp_path, stored)
    assert (stored, _trials(tmp_path)) == undisturbed


@pytest.mark.parametrize("damage", ["cut", "overwritten", "text", "two heads", "a state"])
def test_a_damaged_database_is_moved_aside_and_written_anew(adaptive, tmp_path, undisturbed, capsys, damage):
    stored, path = {}, tmp_path / "optuna.db"
    _go_on(adaptive, tmp_path, stored, until=(1, "reported"))
    content = path.read_bytes()
    middle = content[: len(content) // 2] + b"\xff" * 8192 + content[len(content) // 2 + 8192 :]
    damaged = {"cut": content[: len(content) // 2], "overwritten": middle, "text": b"not a database " * 100}.get(damage)
    if damaged is None:  # SQLite finds nothing wrong with these
        said = {"two heads": "INSERT INTO alembic_version VALUES ('x')", "a state": "UPDATE trials SET state = 'x'"}
        with contextlib.closing(sqlite3.connect(path)) as database, database:
            database.execute(said[damage])
        damaged = path.read_bytes()
    path.write_bytes(damaged)
    assert _go_on(adaptive, tmp_path, stored)
    assert (stored, _trials(tmp_path)) == undisturbed
    assert (tmp_path / "damaged-optuna.db").read_bytes() == damaged
    message = f"{path} is damaged: moved to damaged-optuna.db, and written anew from the batches\n"
    assert capsys.readouterr().err == message


def test_what_it_is_reported_decides_what_it_asks_next(adaptive, tmp_path, undisturbed):
    stored, _ = undisturbed
    with search.opened(adaptive, tmp_path) as searcher:
        assert searcher.ask(0) == stored[0]
        searcher.tell(0, stored[0], [-1.0 if value is None else -value for value in map(_objective, stored[0])])
        assert searcher.ask(1) != stored[1]


def unshown(content, name="test"):
    """A search with its database in memory."""
    return optuna_search.Searcher(study_file.read(content, name), optuna.create_study())


def test_it_finds_the_best_sooner_than_chance():
    """Of three search seeds together: the last 16 of 64 configurations, by their median."""
    found, chance = [], []
    for seed in range(3):
        content = CONTENT | {
            "num_configurations": 64,
            "batch_configurations": 16,
            "search_seed": seed,
        }
        searcher = unshown(content)
        for batch in range(4):
            asked = searcher.ask(batch)
            values = [_objective(values) for values in asked]
            searcher.tell(batch, asked, values)
            (chance if batch == 0 else found if batch == 3 else []).extend(
                math.inf if value is None else value for value in values
            )
    assert sorted(found)[24] < 0.6 * sorted(chance)[24]
    assert found.count(math.inf) < chance.count(math.inf)


def test_it_learns_to_keep_away_from_what_diverges():
    """Half of a first batch diverges. Three search seeds together; a sampler that does not see them suggests more."""
    space = {"learning_rate": {"log_uniform": [1e-5, 1e-1]}, "discount": {"uniform": [0.9, 1]}}
    diverged = [0, 0]
    for seed in range(3):
        content = CONTENT | {"num_configurations": 64, "batch_configurations": 32, "search_seed": seed, "space": space}
        searcher = unshown(content)
        for batch in range(2):
            asked = searcher.ask(batch)
            values = [1 - one["discount"] if one["learning_rate"] < 1e-3 else None for one in asked]
            searcher.tell(batch, asked, values)
            diverged[batch] += values.count(None)
    assert 36 < diverged[0] < 60
    assert diverged[1] < diverged[0] / 2


def test_telling_twice_changes_nothing_and_telling_otherwise_is_refused(adaptive, tmp_path):
    with search.opened(adaptive, tmp_path) as searcher:
        asked = searcher.ask(0)
        values = [_objective(values) for values in asked]
        searcher.tell(0, asked, values)
        before = searcher.ask(1)
        searcher.tell(0, asked, [math.nan if value is None else value for value in values])
        assert searcher.ask(1) == before
        with pytest.raises(ValueError, match=r"^batch 0 was reported before, and otherwise; begin the search again$"):
            searcher.tell(0, asked, [1.0] * 4)


def test_batches_come_in_order(adaptive, tmp_path):
    with search.opened(adaptive, tmp_path) as searcher:
        with pytest.raises(ValueError, match=r"^batch 1 comes after batch 0 is reported; report all batches in order$"):
            searcher.ask(1)
        with pytest.raises(ValueError, match=r"^there is no batch 3 of 4 among 11 configurations$"):
            searcher.ask(3)
        with pytest.raises(ValueError, match=r"^4 configurations need as many objectives, got 1$"):
            searcher.tell(0, searcher.ask(0), [1.0])


def test_a_database_of_another_study_is_refused(adaptive, tmp_path):
    _go_on(adaptive, tmp_path, {}, until=(0, "reported"))
    other = study_file.read(CONTENT | {"search_seed": 1}, "test")
    with (
        pytest.raises(ValueError, match=r"optuna\.db is of another study of this name; move it away, or take a new fo"),
        search.opened(other, tmp_path),
    ):
        pass


def test_a_database_that_describes_other_values_is_refused(adaptive, tmp_path):
    stored = {}
    _go_on(adaptive, tmp_path, stored, until=(0, "reported"))
    connection = sqlite3.connect(tmp_path / "optuna.db")
    connection.execute("UPDATE trial_values SET value = value + 1")
    connection.commit()
    connection.close()
    with pytest.raises(
        ValueError, match=r"^optuna\.db has another trial \d than this study; move the file away, and it"
    ):
        _go_on(adaptive, tmp_path, stored)


def test_a_database_that_cannot_be_written_is_an_error_of_the_system(adaptive, tmp_path):
    (tmp_path / "optuna.db").mkdir()
    with pytest.raises(OSError, match=r"optuna\.db: unable to open database file$"), search.opened(adaptive, tmp_path):
        pass
    with pytest.raises(OSError, match="unable to open database file"), search.opened(adaptive, tmp_path / "nowhere"):
        pass


def test_without_a_known_best_the_mean_return_is_maximized(tmp_path):
    pytest.importorskip("gymnax", exc_type=ImportError)
    content = CONTENT | {"env": "gymnax:CartPole-v1", "space": {"discount": {"uniform": [0.9, 1]}}}
    adaptive = study_file.read(content, "cartpole")
    with search.opened(adaptive, tmp_path) as searcher:
        searcher.tell(0, searcher.ask(0), [-500.0 + i for i in range(4)])
    assert [value for *_, value, _ in _trials(tmp_path, "cartpole")] == [500.0 - i for i in range(4)]
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'optuna.db'}")
    assert optuna.load_study(study_name="cartpole", storage=storage).best_value == 500.0
    storage.remove_session()
    storage.engine.dispose()
