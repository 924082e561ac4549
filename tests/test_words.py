"""The code and its pages speak the field's language: words that once were ours alone do not come back."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

REPOSITORY = Path(__file__).parent.parent
# In their place: random numbers or noise (dice, luck), noise sequence (tape), environment or row (lane), episode
# (life), evaluate (judge), report or return (told), value (worth), trial (member), a caller who (whoever), policies
# (contestants).
GONE = """
    dice luck tape tapes lane lanes life lives lived judge judges judged judging judgement told worth whoever everybody
    contestants member members average_tau average_params huber_width slice_lanes looks_at witness without_luck hearsay
""".split()  # noqa: SIM905
SETTINGS = REPOSITORY / "docs" / "site" / "zensical.toml"  # has the names that another program gives them
SUFFIXES = {".py", ".md", ".toml", ".html"}
FILES = sorted(
    path
    for name in ("heartpole_jax", "agents", "tests", "benchmarks", "examples", "docs", "README.md", "CONTRIBUTING.md")
    for path in ([REPOSITORY / name] if name.endswith(".md") else (REPOSITORY / name).rglob("*"))
    if path.suffix in SUFFIXES and path not in (Path(__file__), SETTINGS)
)


def test_words_of_our_own_are_gone():
    # Whole words, and the words of a name: both `lane` and `num_lanes`.
    pattern = re.compile(rf"(?<![A-Za-z0-9-])({'|'.join(GONE)})(?![A-Za-z0-9-])", re.IGNORECASE)
    found = [
        f"{path.relative_to(REPOSITORY)}:{number}: {match[0]}"
        for path in FILES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        for match in pattern.finditer(line)
    ]
    assert len(FILES) > 350
    assert not found
