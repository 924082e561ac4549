"""The docs site, in out/site-source/site.

It has the pages of docs/, README as the first, the API from docstrings, and the notebooks as they ran.

    python docs/site/build.py            # or `make docs`, which installs what it needs
    python docs/site/build.py --serve    # and serve it on 127.0.0.1

The pages are laid out in out/site-source, where links that leave docs/ get pages of their own: a linked source file is
shown as a page. Warnings are errors, and every link of the built site is followed.
"""

import argparse
import functools
import http.server
import re
import shutil
import subprocess
import sys
from pathlib import Path

import links
import notebooks

from heartpole_jax import playground

ROOT = Path(__file__).resolve().parent.parent.parent
HERE = Path(__file__).resolve().parent
OUT = ROOT / "out"
PAGES = OUT / "site-source" / "pages"
SITE = PAGES.parent / "site"
_SHOWN = (".md", ".png", ".webp")  # by the site itself; of other files a page is made
_LINK = re.compile(r"(\]\()(?!https?:|#|mailto:)([^)\s#]+)(#[^)\s]*)?(\))")


def lay_out() -> None:
    """Writes out/site-source: the settings, and every page and picture."""
    shutil.rmtree(PAGES.parent, ignore_errors=True)
    shutil.copytree(ROOT / "docs", PAGES, ignore=shutil.ignore_patterns("site", "*.md"))
    shutil.copy(HERE / "zensical.toml", PAGES.parent)
    sources: set[Path] = set()
    for page in sorted((ROOT / "docs").rglob("*.md")):
        if HERE not in page.parents:
            _write(page, _place_of(page), sources)
    for page in sorted(HERE.rglob("*.md")):
        _write(page, page.relative_to(HERE), sources)
    for name, place in PLACES.items():
        _write(ROOT / name, Path(place), sources)
    (PAGES / "play.html").write_text(playground.page(), "utf-8")
    with open(PAGES / "playground.md", "a", encoding="utf-8") as page:
        page.write("\n[Play it in this browser](play.html).\n")
    notebooks.write_pages(ROOT, PAGES / "notebooks", OUT / "notebooks")
    sources.add(ROOT / "examples" / "ppo.py")
    for source in sorted(sources):
        place = PAGES / _place_of(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        name = source.relative_to(ROOT)
        language = {".py": "python", ".toml": "toml"}.get(source.suffix, "yaml")
        place.write_text(f"# {name}\n\n````{language}\n{source.read_text('utf-8')}````\n", "utf-8")


PLACES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}


def _write(page: Path, place: Path, sources: set[Path]) -> None:
    """A page with its links as they must be on the site. Files it links to that are no pages are added to `sources`."""

    def replaced(match: re.Match[str]) -> str:
        target = (page.parent / match[2]).resolve()
        if target.is_file() and target.suffix not in _SHOWN and target.stem not in notebooks.NAMES:
            sources.add(target)
        return f"{match[1]}{_relative(place, _place_of(target))}{match[3] or ''}{match[4]}"

    (PAGES / place).parent.mkdir(parents=True, exist_ok=True)
    (PAGES / place).write_text(_LINK.sub(replaced, page.read_text("utf-8")), "utf-8")


def _place_of(target: Path) -> Path:
    """Where on the site a file of the repository is."""
    name = target.relative_to(ROOT)
    if str(name) in PLACES:
        return Path(PLACES[str(name)])
    if HERE in target.parents:
        return target.relative_to(HERE)
    if name.parts[0] == "docs" and target.suffix in _SHOWN:
        name = name.relative_to("docs")
        return name.with_name("index.md") if name.name == "README.md" else name
    if target.stem in notebooks.NAMES:
        return Path("notebooks", target.stem + ".md")
    return Path("source", *name.parts[:-1], name.name + ".md")


def _relative(page: Path, target: Path) -> str:
    return "../" * (len(page.parts) - 1) + target.as_posix()


def server_on(port: int) -> http.server.ThreadingHTTPServer:
    """A server of the site on a port of 127.0.0.1. Raises OSError or OverflowError where that cannot be had."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=SITE)
    return http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)


def serve(server: http.server.ThreadingHTTPServer) -> None:
    """Serves the built site until Ctrl-C."""
    with server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--serve", action="store_true", help="serve the site afterwards, on 127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    options = parser.parse_args()
    try:
        server = server_on(options.port) if options.serve else None
    except (OSError, OverflowError) as error:
        parser.error(f"cannot serve on port {options.port}: {error}; --port 0 takes a free one")
    lay_out()
    command = [str(Path(sys.executable).parent / "zensical"), "build", "--strict", "--clean"]
    built = subprocess.run(command, cwd=PAGES.parent)
    if built.returncode:
        return built.returncode
    broken = links.broken(SITE)
    print("\n".join(broken) or f"{len(list(SITE.rglob('*.html')))} pages in {SITE.relative_to(ROOT)}, no broken link")
    if broken:
        return 1
    if server:
        serve(server)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
