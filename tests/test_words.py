"""The code and its pages speak the field's language: words that once were ours alone do not come back."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

REPOSITORY = Path(__file__).parent.parent
# In their place: random numbers or noise (dice, luck), noise sequence (tape), environment (lane), episode (lives),
# evaluate (judge), report or return (told), value (worth), a caller who (whoever), policies (contestants).
GONE = """
    dice luck tape tapes lane lanes lives lived judge judges judged judgement told worth whoever everybody contestants
    average_tau average_params huber_width slice_lanes looks_at witness without_luck hearsay
""".split()  # noqa: SIM905
SUFFIXES = {".py", ".md", ".toml", ".html"}
FILES = sorted(
    path
    for name in ("heartpole_jax", "agents", "docs", "README.md", "CONTRIBUTING.md")
    for path in ([REPOSITORY / name] if name.endswith(".md") else (REPOSITORY / name).rglob("*"))
    if path.suffix in SUFFIXES
)


def test_words_of_our_own_are_gone():
    pattern = re.compile(rf"(?<![\w-])({'|'.join(GONE)})(?![\w-])", re.IGNORECASE)
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}: {match[0]}"
        for path in FILES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in pattern.finditer(line)
    ]
    assert len(FILES) > 150
    assert not found
