"""The docs site as built by `make docs`: every page at two widths, without an error, and nothing from elsewhere."""

import mimetypes
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent / "out" / "site-source" / "site"
PAGES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.html"))
HOST = "http://site.test/"  # answered from ROOT: no server, no port

pytestmark = pytest.mark.skipif(not PAGES, reason="no site in out/site-source/site: make docs builds it")


@pytest.fixture
def site(chromium):
    """site(width=1280, scheme="light"): a page on which HOST is the site. It must log no error and ask for no other."""
    contexts, problems = [], []

    def site(width=1280, scheme="light"):
        context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)

        def answer(route):
            path = ROOT / route.request.url.partition("?")[0].removeprefix(HOST)
            if route.request.url.startswith(HOST) and path.is_file():
                kind = mimetypes.guess_type(path.name)[0]
                route.fulfill(body=path.read_bytes(), content_type=kind or "application/octet-stream")
            else:
                problems.append(f"asked for {route.request.url}")
                route.abort()

        context.route("**/*", answer)
        page = context.new_page()
        page.on("console", lambda message: message.type == "error" and problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        return page

    yield site
    for context in contexts:
        context.close()
    assert not problems, problems


@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_scrolls_sideways_or_asks_for_anything(site, width):
    assert len(PAGES) > 40
    page = site(width)
    for path in PAGES:
        page.goto(f"{HOST}{path}", wait_until="domcontentloaded")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.title(), path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["index.html", "model.html", "api/gradients.html", "notebooks/first_agent.html"])
def test_a_page_has_one_title_and_its_pictures_load(site, path, scheme):
    page = site(scheme=scheme)
    page.goto(f"{HOST}{path}")
    broken = "[...document.images].filter((each) => !(each.complete && each.naturalWidth)).map((each) => each.src)"
    assert not page.evaluate(broken)
    assert page.locator("h1").count() == 1


def test_the_search_finds_a_page(site):
    page = site()
    page.goto(f"{HOST}index.html")
    page.wait_for_load_state("networkidle")
    page.keyboard.press("Control+k")
    page.keyboard.type("ballmer_function", delay=20)
    page.get_by_text("ballmer_function(intoxication").first.wait_for(timeout=10_000)
