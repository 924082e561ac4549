"""Menus: what the shipped ones hold, and everything that the loader refuses, by file, row, key and value."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracle_v1
import pytest

from heartpole_jax.envs import heartpole_v1, menu

COLUMNS = ("alertness", "hypertension", "intoxication", "stimulation", "impairment")
GOOD = """
[[action]]
name = "tea"
half_hours = 0
stimulation = [0, 0.5]
source = "grandmother"
grade = "assumed"

[[action]]
name = "sleep"
half_hours = 16
wakes_up = true
source = "all of us"
grade = "trial"
note = "eight hours"
"""


def load(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return menu.load(path)


def test_the_shipped_menu_is_that_of_the_description():
    rows = menu.default().actions
    for row, (name, values) in zip(rows, oracle_v1.MENU.items(), strict=True):
        half_hours, *doses, hazard, wakes_up = values
        assert (row.name, row.half_hours, row.hazard, row.wakes_up) == (name, half_hours, hazard, wakes_up)
        assert [getattr(row, column) or (0, 0) for column in COLUMNS] == doses
    assert {row.name: row.grade for row in rows}["cannabis"] == "case-crossover"
    assert all("assumed" in row.note or row.grade == "assumed" for row in rows)


def test_the_tutorials_menu_has_its_doses():
    rows = {row.name: row for row in menu.find("heartpole_v0").actions}
    assert list(rows) == ["nothing", "coffee", "beer", "sleep"]
    assert (rows["coffee"].alertness, rows["coffee"].hypertension) == ((0.0, 1.0), (0.0, 0.3))
    assert (rows["beer"].alertness, rows["beer"].intoxication) == ((-0.5, 0.0), (0.01, 0.03))
    assert (rows["sleep"].half_hours, rows["sleep"].wakes_up) == (16, True)


def test_a_menu_that_extends_a_shipped_one_begins_with_its_rows(tmp_path):
    ours = load(tmp_path, 'extends = "heartpole_v1"\n' + GOOD.split("\n\n")[0]).actions
    assert ours[:-1] == menu.default().actions
    assert (ours[-1].name, ours[-1].stimulation) == ("tea", (0.0, 0.5))


def test_a_file_of_ones_own_becomes_numbers_and_defaults(tmp_path):
    tea, sleep = load(tmp_path, GOOD).actions
    assert (tea.stimulation, tea.hypertension, tea.hazard, tea.wakes_up, tea.note) == ((0.0, 0.5), None, 1.0, False, "")
    assert (sleep.half_hours, sleep.wakes_up, sleep.grade) == (16, True, "trial")
    assert menu.index(load(tmp_path, GOOD), "sleep") == 1
    params = heartpole_v1.EnvParams(menu=load(tmp_path, GOOD))
    assert float(heartpole_v1.step(heartpole_v1.initial_state(0.5), 0, jax.random.key(0), params)[0].stimulation) > 0


def changed(old, new):
    assert old in GOOD
    return GOOD.replace(old, new, 1)


ROW_1, ROW_2 = "row 1 ('tea')", "row 2 ('sleep')"
BAD = {
    "unknown key": (changed("stimulation", "stimulashun"), [ROW_1, "'stimulashun'", "did you mean 'stimulation'"]),
    "extending an unknown one": (
        'extends = "heartpole_v2"\n' + GOOD,
        ["extends: unknown menu", "'heartpole_v2'", "did you mean"],
    ),
    "extending a file": (
        'extends = "other.toml"\n' + GOOD,
        ["extends must be the name of a shipped menu, got 'other.toml'"],
    ),
    "a row of the extended one's name": (
        'extends = "heartpole_v1"\n' + GOOD,
        ["rows 4 and 10 are both called 'sleep'"],
    ),
    "unknown key beside the rows": ("title = 1\n" + GOOD, ["unknown key 'title'", "[[action]]"]),
    "lo > hi": (changed("[0, 0.5]", "[0.7, 0.5]"), [ROW_1, "stimulation", "0.7 and 0.5", "swap them"]),
    "nan": (changed("[0, 0.5]", "[0, nan]"), [ROW_1, "stimulation", "nan", "finite"]),
    "inf": (changed("[0, 0.5]", "[-inf, 0]"), [ROW_1, "stimulation", "-inf", "finite"]),
    "one number": (changed("[0, 0.5]", "0.5"), [ROW_1, "stimulation", "[lowest, highest]", "0.5"]),
    "three numbers": (changed("[0, 0.5]", "[0, 1, 2]"), [ROW_1, "stimulation", "(0.0, 1.0, 2.0)"]),
    "texts": (changed("[0, 0.5]", '["0", "1"]'), [ROW_1, "stimulation", "'0'"]),
    "true": (changed("[0, 0.5]", "[false, true]"), [ROW_1, "stimulation", "False"]),
    "duplicate": (changed('"sleep"', '"tea"'), ["rows 1 and 2", "'tea'", "rename one"]),
    "no source": (changed('source = "grandmother"\n', ""), [ROW_1, "source is missing"]),
    "empty source": (changed('"grandmother"', '" "'), [ROW_1, "source must be a text", "' '"]),
    "no grade": (changed('grade = "trial"\n', ""), [ROW_2, "grade is missing"]),
    "unknown grade": (changed('"trial"', '"rumour"'), [ROW_2, "grade must be one of", "'trial'", "'rumour'"]),
    "no name": (changed('name = "tea"\n', ""), ["row 1: name is missing"]),
    "a name of no text": (changed('"tea"', "7"), ["row 1 (7)", "name must be a text"]),
    "no half_hours": (changed("half_hours = 0\n", ""), [ROW_1, "half_hours is missing"]),
    "negative half_hours": (changed("half_hours = 16", "half_hours = -1"), [ROW_2, "half_hours must be", "-1"]),
    "broken half_hours": (changed("half_hours = 16", "half_hours = 16.5"), [ROW_2, "half_hours must be", "16.5"]),
    "endless half_hours": (changed("half_hours = 16", "half_hours = 337"), [ROW_2, "0 .. 336", "337"]),
    "wakes_up of no bool": (changed("wakes_up = true", "wakes_up = 1"), [ROW_2, "wakes_up must be true or false", "1"]),
    "alertness that would be lost": (
        changed("wakes_up = true", "wakes_up = true\nalertness = [0, 1]"), [ROW_2, "alertness must be left out"]
    ),
    "negative hazard": (changed("half_hours = 0", "half_hours = 0\nhazard = -2"), [ROW_1, "hazard must be", "-2.0"]),
    "endless hazard": (changed("half_hours = 0", "half_hours = 0\nhazard = inf"), [ROW_1, "hazard must be", "inf"]),
    "hazard past all floats": (
        changed("half_hours = 0", "half_hours = 0\nhazard = 1" + "0" * 400), [ROW_1, "hazard must be", "inf"]
    ),
    "hazard past float32": (
        changed("half_hours = 0", "half_hours = 0\nhazard = 1e300"),
        [ROW_1, "hazard must be", "finite in float32, got 1e+300"],
    ),
    "dose past float32": (changed("[0, 0.5]", "[0, 1e39]"), [ROW_1, "stimulation", "finite in float32, got 1e+39"]),
    "an infinite range of doses": (changed("[0, 0.5]", "[-3e38, 3e38]"), [ROW_1, "stimulation", "is infinite"]),
    "hazard of a text": (changed("half_hours = 0", "half_hours = 0\nhazard = 'x'"), [ROW_1, "hazard must be", "'x'"]),
    "no rows": ("", ["has no actions"]),
    "an empty list": ("action = []", ["has no actions"]),
    "one table": (changed("[[action]]", "[action]").split("[[action]]")[0], ["action must be a list of tables"]),
    "no TOML": ("name: tea", ["is not TOML"]),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_the_loader_refuses_and_says_where_and_why(fault, tmp_path):
    text, parts = BAD[fault]
    with pytest.raises(ValueError, match=r"mine\.toml") as raised:
        load(tmp_path, text)
    for part in parts:
        assert part in str(raised.value), str(raised.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"cannot read the menu .*nowhere\.toml: No such file"):
        menu.find(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b'name = "caf\xe9"')
    with pytest.raises(ValueError, match=r"latin\.toml is not TOML"):
        menu.load(tmp_path / "latin.toml")


@pytest.mark.parametrize("actions", [[menu.default().actions[0]], ({"name": "nothing"},)])
def test_actions_that_are_no_tuple_of_rows_are_refused(actions):
    with pytest.raises(TypeError, match=r"menu\.actions must be a tuple of Rows, got"):
        menu.check(menu.Menu(actions))


def test_an_action_that_is_not_on_the_menu_is_refused():
    with pytest.raises(ValueError, match=r"unknown action 'cofee'; did you mean 'coffee'"):
        menu.index(menu.default(), "cofee")
    with pytest.raises(ValueError, match=r"unknown action 'tea'; known: 'nothing', 'coffee'"):
        menu.change(menu.default(), "tea", hazard=2.0)


def test_a_menu_is_a_tree_of_its_doses_and_hazards():
    leaves, treedef = jax.tree.flatten(menu.default())
    assert len(leaves) == 8 + 2 * 12
    assert jax.tree.unflatten(treedef, leaves) == menu.default()
    assert hash(menu.default()) == hash(menu.find("heartpole_v1"))
    assert hash(treedef) == hash(jax.tree.structure(menu.find("heartpole_v1")))


def test_a_changed_menu_is_checked_and_may_be_traced():
    coffee = menu.change(menu.default(), "coffee", hazard=2.0).actions[1]
    assert coffee == dataclasses.replace(menu.default().actions[1], hazard=2.0)
    with pytest.raises(ValueError, match=r"row 2 \('coffee'\): hazard must be .* got array"):
        menu.change(menu.default(), "coffee", hazard=np.array([1.0, -1.0]))
    with pytest.raises(TypeError, match="caffeine"):
        menu.change(menu.default(), "coffee", caffeine=2.0)
    traced = jax.jit(lambda x: menu.change(menu.default(), "coffee", stimulation=(1.0, x)).actions[1].stimulation[1])
    assert float(traced(jnp.float32(0.5))) == 0.5
