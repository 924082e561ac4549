"""How wide tables are taken to be: wider with every column and character, and as cards past the last breakpoint."""

from agents.reports import table_width

HEADER = ["policy", "expected return", "regret"]
ROWS = [["optimal", "-123.30430 ± 0.00003", "0.00002 ± 0.00003"], ["coffee after waking", "-2383.13 ± 0.34", "1 ± 1"]]


def test_the_breakpoint_holds_the_texts_of_all_columns():
    # 19, 20 and 17 characters, each of 0.545 rem at least, and 1.15 rem of padding a column: 34 rem at least.
    assert table_width.breakpoint_of(HEADER, ROWS) == 38
    assert table_width.breakpoint_of(["a", "b"], [["1", "2"]]) == table_width.BREAKPOINTS[0]


def test_a_table_that_no_page_holds_is_always_cards():
    assert table_width.breakpoint_of(HEADER * 4, [row * 4 for row in ROWS]) is None


def test_a_cards_cells_are_as_wide_as_their_longest_value_in_any_row():
    assert table_width.spans(HEADER, ROWS) == [2, 2, 2]
    assert table_width.spans(["n", "discount", "sizes"], [["1", "0.99", "[64, 64]"], ["2", "0.9", str([64] * 20)]]) == [
        1, 1, table_width.MOST_CELLS,
    ]  # fmt: skip


def test_a_long_name_widens_its_cells_by_its_longest_word():
    assert table_width.spans(["learning_rate_steps", "heart attacks"], [["1", "2"]]) == [2, 1]
