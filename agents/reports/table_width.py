"""How wide a table will be, from its texts: one wider than its place is shown as cards, and no number is cut."""

from collections.abc import Iterable, Sequence

# rem, of the place; a table belongs to the first that holds it. The style sheet has a rule for each.
BREAKPOINTS = (20, 26, 32, 38, 44, 50, 56, 62, 67)
_CHARACTER, _PADDING = 0.545, 1.15  # rem, of a digit at the tables' size and of a cell's two sides; bold is wider
_BOLD = 1.13


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
