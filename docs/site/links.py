"""The links of a built site that lead nowhere."""

from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """What a page points to, and the anchors that it has."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.anchors |= {value for name in ("id", "name") if (value := found.get(name))}
        self.targets += [value for name in ("href", "src") if (value := found.get(name))]
        fetched = found.get("href") if tag == "link" and found.get("rel") == "stylesheet" else found.get("src")
        self.fetched += [fetched] if fetched and fetched.startswith(("http:", "https:", "//")) else []


def broken(site: Path) -> list[str]:
    """One line for each link, picture, script and style of the site's pages that is not there, or that is fetched from
    elsewhere to show the page; links that a reader may follow to other sites are left alone."""
    pages = {}
    for path in sorted(site.rglob("*.html")):
        pages[path] = _Page()
        pages[path].feed(path.read_text("utf-8"))
    found = []
    for path, page in pages.items():
        found += [f"{path.relative_to(site)}: {target} is fetched from elsewhere" for target in page.fetched]
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            goal = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            goal = goal / "index.html" if goal.is_dir() else goal
            if not goal.is_file():
                found.append(f"{path.relative_to(site)}: {target} is not there")
            elif parts.fragment and goal in pages and unquote(parts.fragment) not in pages[goal].anchors:
                found.append(f"{path.relative_to(site)}: {target} has no such heading")
    return found
