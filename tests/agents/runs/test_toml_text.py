"""TOML, written: `tomllib` reads back what was given."""

import tomllib

import pytest

from agents.runs import toml_text


def test_whatever_is_written_is_read_back_equal():
    content = {
        "text": 'quo"te \\ back\nline \t tab \x7f delete \x01 control é 漢 😀',
        "numbers": [1, -2, 0, 1.5, 1e-05, 1e16, -0.0, 3e38, 5e-324, 2**70],
        "truth": [True, False],
        "nothing": [],
        "inline": {"a": 1, "b c": [[1, 2], [3]]},
        "table": {"quoted key": 1, "é": 2, "range": {"log_uniform": [1e-4, 1e-2], "points": 3}, "": 5},
    }
    content = dict(sorted(content.items(), key=lambda item: item[0] == "table"))
    read = tomllib.loads(toml_text.document(content))
    assert read == content
    assert list(map(type, read["numbers"])) == list(map(type, content["numbers"]))
    assert list(read["table"]) == list(content["table"])


def test_an_empty_table_is_left_out():
    assert toml_text.document({"a": 1, "b": {}, "c": {"d": True}}) == "a = 1\n\n[c]\nd = true\n"


def test_what_toml_has_not_is_refused():
    with pytest.raises(ValueError, match=r"^a number in a TOML file must be finite, got nan$"):
        toml_text.document({"a": float("nan")})
    with pytest.raises(TypeError, match=r"^TOML has texts, numbers, true and false, lists and tables, got None$"):
        toml_text.document({"a": None})
