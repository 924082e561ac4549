"""Pages in headless Chromium. These tests need requirements.txt, in an environment of their own: `make test-browser`.

A test asks for `open_page`: it opens a file or a page's HTML at a width, in light or dark, without any network. After
the test the page must have logged no error, asked for nothing but itself, and refused nothing by its own policy.
"""

import importlib.util
import shutil

import pytest

HAS_PLAYWRIGHT = importlib.util.find_spec("playwright") is not None
collect_ignore_glob = [] if HAS_PLAYWRIGHT else ["test_*.py"]
WIDTHS = {1280: 900, 390: 844}  # a desktop, a phone: width and height in px
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="session")
def chromium():
    """Headless Chromium, one for all tests of a process."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no chromium on the path; as root: apt-get install chromium fonts-dejavu-core")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium, tmp_path):
    """open_page(file or HTML, width=1280, scheme="light", fragment="", **options of the context): a Playwright page."""
    contexts, problems = [], []

    def open_page(page, width=1280, scheme="light", fragment="", **options):
        path = page
        if isinstance(page, str):
            path = tmp_path / f"page-{len(contexts)}.html"
            path.write_text(page, encoding="utf-8")
        viewport = {"width": width, "height": WIDTHS.get(width, 900)}
        context = chromium.new_context(viewport=viewport, color_scheme=scheme, **options)
        contexts.append(context)
        opened = context.new_page()
        opened.set_default_timeout(10_000)
        opened.problems = problems  # what went wrong so far; a test that expects something clears it

        def route(request):
            if request.request.url.startswith(("file:", "data:", "blob:")):
                request.continue_()
            else:
                problems.append(f"asked for {request.request.url}")
                request.abort()

        context.route("**/*", route)
        opened.on("console", lambda message: message.type in ("error", "warning") and problems.append(message.text))
        opened.on("pageerror", lambda error: problems.append(str(error)))
        opened.goto(f"{path.as_uri()}{fragment}")
        return opened

    yield open_page
    for context in contexts:
        context.close()
    assert not problems, problems


@pytest.fixture
def accessible():
    """accessible(page): asserts that axe-core finds no violation: contrast, names, roles, focus and more."""
    from axe_playwright_python.sync_playwright import Axe

    def accessible(page):
        options = {"runOnly": {"type": "tag", "values": _TAGS}}
        # Colours that are still changing have no contrast of their own.
        page.wait_for_function("() => document.getAnimations().every((each) => each.playState !== 'running')")
        found = Axe().run(page, options=options).response
        violations = [
            f"{each['id']}: {node['html'][:160]} ({node['failureSummary']})"
            for each in found["violations"]
            for node in each["nodes"]
        ]
        assert len(found["passes"]) >= 15  # it has looked
        assert not violations, "\n".join(violations)

    return accessible


@pytest.fixture
def fits():
    """fits(page): asserts that the page does not scroll sideways, and that no button cuts its text off."""

    def fits(page):
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        cut = page.evaluate("""() => [...document.querySelectorAll("button, th, td, dd b, dt")]
            .filter((each) => each.checkVisibility() && each.scrollWidth > each.clientWidth + 1)
            .filter((each) => getComputedStyle(each).display !== "inline")
            .map((each) => each.outerHTML.slice(0, 120))""")
        assert not cut, cut

    return fits


@pytest.fixture(scope="session")
def playground_html():
    from heartpole_jax import playground

    return playground.page()


@pytest.fixture
def play(open_page, playground_html):
    """play(fragment, ...): the playground, once the optimum is there to play against."""

    def play(fragment="", wait=True, **options):
        page = open_page(playground_html, fragment=fragment, **options)
        if wait:
            page.wait_for_function("() => !document.getElementById('board').textContent.includes('…')")
        return page

    return play
