"""What the pages point to is there: files, headings, modules."""

import importlib
import importlib.util
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


API = "".join(page.read_text("utf-8") for page in (REPOSITORY / "docs" / "site" / "api").glob("*.md"))
SHOWN = set(re.findall(r"^::: (\S+)$", API, re.MULTILINE))
PACKAGES = ("heartpole_jax", *(f"heartpole_jax.{name}" for name in (
    "evaluation", "gradients", "identification", "optimum", "optimum.heartpole_v1", "optimum.heartpole_v1.bound",
    "policies",
)), "agents.dqn", "agents.pqn")  # fmt: skip


def public_names():
    """[(package, a function or class that it exports)]."""
    for package in PACKAGES:
        module = importlib.import_module(package)
        for name in module.__all__:
            if callable(getattr(module, name)) and getattr(module, name).__module__.startswith(
                ("heartpole_jax", "agents")
            ):
                yield pytest.param(package, name, id=f"{package}.{name}")


@pytest.mark.parametrize(("package", "name"), [*public_names()])
def test_the_api_pages_show_every_public_name(package, name):
    thing = getattr(importlib.import_module(package), name)
    is_module_too = importlib.util.find_spec(f"{package}.{name}") is not None  # then the site shows the module
    if type(thing).__name__ == "Algorithm":
        pytest.skip("a record")
    elsewhere = {thing.__module__, f"{thing.__module__}.{getattr(thing, '__qualname__', name)}"}
    assert elsewhere & SHOWN or (package in SHOWN and not is_module_too)


def test_a_broken_link_of_the_site_is_found(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "docs" / "site")
    links = importlib.import_module("links")
    (tmp_path / "there.html").write_text('<h1 id="top">x</h1><a href="#top">up</a>')
    page = '<a href="there.html#top">a</a><a href="there.html#no">b</a><img src="no.png"><a href="https://x.org/">c</a>'
    (tmp_path / "index.html").write_text(page)
    assert links.broken(tmp_path) == [
        "index.html: there.html#no has no such heading", "index.html: no.png is not there"
    ]  # fmt: skip
    (tmp_path / "index.html").write_text('<script src="https://x.org/a.js"></script>')
    assert links.broken(tmp_path) == ["index.html: https://x.org/a.js is fetched from elsewhere"]
