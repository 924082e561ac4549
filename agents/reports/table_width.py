"""How wide a table will be, from its texts: one wider than its place is shown as cards, and no number is cut."""

import math
from collections.abc import Iterable, Sequence

# rem, of the place; a table belongs to the first that holds it. The style sheet has a rule for each.
BREAKPOINTS = (20, 26, 32, 38, 44, 50, 56, 62, 67, 72, 77)
MOST_CELLS = 4  # of a card's grid that one number spans
_CHARACTER, _PADDING = 0.545, 1.15  # rem, of a digit at the tables' size and of a cell's two sides
_BOLD = 1.13  # wider
_CELL_PIXELS, _CHARACTER_PIXELS = 84, 7.6  # of a cell of a card's grid with its gap, of a digit in it


def breakpoint_of(header: Sequence[object], rows: Iterable[Sequence[object]]) -> int | None:
    """The smallest of `BREAKPOINTS` that holds the table with no cell broken, None where none of them does."""
    widths = [_BOLD * len(str(name)) for name in header]
    for row in rows:
        widths = [
            max(width, (_BOLD if column == 0 else 1.0) * len(str(cell)))
            for column, (width, cell) in enumerate(zip(widths, row, strict=True))
        ]
    needed = sum(_CHARACTER * width + _PADDING for width in widths)
    return next((place for place in BREAKPOINTS if needed <= place), None)


def spans(header: Sequence[object], rows: Iterable[Sequence[object]]) -> list[int]:
    """For each column the cells of a card's grid that its values need, 1 to `MOST_CELLS`: in every card the same."""
    longest = [0.0] * len(header)
    for row in rows:
        longest = [max(longest[i], len(str(cell))) for i, cell in enumerate(row)]
    words = [max((len(word) for word in str(name).split()), default=0) for name in header]
    longest = [max(value, word * 0.85) for value, word in zip(longest, words, strict=True)]  # names are smaller
    return [min(MOST_CELLS, max(1, math.ceil((number * _CHARACTER_PIXELS + 10) / _CELL_PIXELS))) for number in longest]
