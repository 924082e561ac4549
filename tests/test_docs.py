"""What the pages point to is there: files, headings, modules."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once

REPOSITORY = Path(__file__).parent.parent
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
TEXTS = {page: page.read_text("utf-8") for page in PAGES}


def named(pattern):
    """[(page, what `pattern` finds in it)], each once."""
    found = {(page, match) for page, text in TEXTS.items() for match in re.findall(pattern, text)}
    return [
        pytest.param(page, match, id=f"{page.relative_to(REPOSITORY)}-{match}") for page, match in sorted(found)
    ]  # fmt: skip


def anchors(text):
    """The anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "link"), named(r"\]\((?!https?:)([^)\s]+)\)"))
def test_a_link_points_to_a_file_and_to_a_heading_in_it(page, link):
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.exists()
    assert not anchor or anchor in anchors(TEXTS[target])


@pytest.mark.parametrize(
    ("page", "path"), named(r"`((?:heartpole_jax|agents|tests|benchmarks|examples|docs)/[\w./-]*)`")
)
def test_a_path_that_a_page_names_exists(page, path):
    assert (REPOSITORY / path).exists()


@pytest.mark.parametrize(("page", "name"), named(r"`((?:heartpole_jax|agents)(?:\.\w+)+)"))
def test_a_name_that_a_page_gives_can_be_imported(page, name):
    try:
        pkgutil.resolve_name(name)
    except AttributeError:
        with pytest.raises(ImportError, match="pip install") as missing:  # an extra
            importlib.import_module(name.rpartition(".")[0])
        pytest.skip(str(missing.value))


def test_there_are_pages_to_look_at():
    assert len(PAGES) > 14
