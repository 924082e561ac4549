"""The pieces of a self-contained HTML page: no script, and nothing that is loaded from elsewhere.

Every function returns HTML, and escapes the texts that it is given; what is called `html` is HTML already.
"""

import base64
import html as escaping
import os
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from heartpole_jax.drawing import style

_CSS = """
:root { color-scheme: light dark; --ink: #222; --quiet: #5b5b5b; --rule: #ddd; --card: #f5f7f9; --paper: #fff;
  --accent: #0065a0; --warn: #fdf0e7; --warn-edge: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --quiet: #a9adb2; --rule: #3a3f45; --card: #1f242a;
  --paper: #15181c; --accent: #6cbcec; --warn: #33241a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  Roboto, "DejaVu Sans", sans-serif; overflow-wrap: anywhere; }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 4px; font-weight: 600; }
h2 { font-size: 1.3rem; margin: 48px 0 8px; font-weight: 600; }
h3 { font-size: 1rem; margin: 24px 0 4px; font-weight: 600; }
p { margin: 8px 0; max-width: 72ch; }
a { color: var(--accent); }
.quiet, figcaption { color: var(--quiet); font-size: 0.9rem; }
.card > h2:first-child { margin-top: 0; }
.card { background: var(--card); border-radius: 10px; padding: 20px 24px; margin: 24px 0; }
.warning { background: var(--warn); border-left: 4px solid var(--warn-edge); padding: 10px 16px; margin: 16px 0; }
.headline { display: flex; flex-wrap: wrap; gap: 8px 40px; margin: 4px 0 12px; padding: 0; }
.headline div { min-width: 7rem; }
.headline dt { color: var(--quiet); font-size: 0.9rem; }
.headline dd { margin: 0; font-size: 1.45rem; font-weight: 600; line-height: 1.25; font-variant-numeric: tabular-nums; }
.headline small { display: block; font-size: 0.85rem; font-weight: 400; color: var(--quiet); }
.scroll { overflow-x: auto; margin: 12px 0; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.above { margin: 16px 0 -6px; }
th, td { padding: 5px 9px; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--rule); }
th { font-weight: 600; }
th:first-child, td:first-child { padding-left: 2px; text-align: left; }
table.left th, table.left td { text-align: left; white-space: normal; vertical-align: top; }
table.left td { overflow-wrap: anywhere; }
table.left th { font-weight: 400; color: var(--quiet); white-space: nowrap; }
tr.marked td, tr.marked th { color: var(--accent); font-weight: 600; }
pre { background: var(--paper); border: 1px solid var(--rule); border-radius: 6px; padding: 10px 14px; overflow-x: auto;
  font: 0.85rem/1.5 ui-monospace, "SF Mono", "DejaVu Sans Mono", monospace; margin: 8px 0; overflow-wrap: normal; }
figure { margin: 0; }
img { display: block; width: 100%; height: auto; background: #fff; border-radius: 6px; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(310px, 100%), 1fr)); gap: 16px;
  margin: 16px 0; }
.two { grid-template-columns: repeat(auto-fill, minmax(min(420px, 100%), 1fr)); }
.narrow { max-width: 560px; margin: 16px 0; }
.wide img { min-width: 760px; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 0; margin: 8px 0;
  font-size: 0.9rem; color: var(--quiet); }
.legend b { font-weight: 400; margin-right: 6px; }
"""

_QUIET, _MARKED = ' class="quiet"', ' class="marked"'


class Link(NamedTuple):
    """A cell or entry that leads to a file."""

    path: str  # from the page's folder
    text: str


def page(title: str, body: Iterable[str]) -> str:
    """The whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_CSS}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(body)
        + "\n</main>\n</body>\n</html>\n"
    )


def escape(text: object) -> str:
    """The text with <, >, & and quotes made harmless."""
    return escaping.escape(str(text), quote=True)


def heading(level: int, text: str) -> str:
    """A heading, 1 to 3."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, quiet: bool = False) -> str:
    """A paragraph."""
    return f"<p{_QUIET if quiet else ''}>{escape(text)}</p>"


def warning(text: str) -> str:
    """A paragraph that stands out."""
    return f'<p class="warning">{escape(text)}</p>'


def card(html: Iterable[str]) -> str:
    """What matters most, on a ground of its own."""
    return '<section class="card">\n' + "\n".join(html) + "\n</section>"


def headline(numbers: Sequence[tuple[str, str, str]]) -> str:
    """Large numbers: (name, number, what is said below it)."""
    entries = (
        f"<div><dt>{escape(name)}</dt><dd>{escape(number)}<small>{escape(below)}</small></dd></div>"
        for name, number, below in numbers
    )
    return f'<dl class="headline">{"".join(entries)}</dl>'


def commands(lines: Iterable[str], label: str) -> str:
    """Commands to copy; long ones scroll."""
    text = "\n".join(map(escape, lines))
    return f'<pre tabindex="0" role="region" aria-label="{escape(label)}"><code>{text}</code></pre>'


def table(caption: str, header: Sequence[str], rows: Sequence[Sequence[object]], marked: int | None = None) -> str:
    """A table that scrolls in its own box; the row `marked` stands out."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "\n".join(
        f"<tr{_MARKED if i == marked else ''}>"
        + "".join(
            f'<th scope="row">{escape(cell)}</th>' if j == 0 else f"<td>{escape(cell)}</td>"
            for j, cell in enumerate(row)
        )
        + "</tr>"
        for i, row in enumerate(rows)
    )
    return (
        f'{_above(caption)}<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">\n<table>\n'
        f"<caption>{escape(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def entries(caption: str, facts: Mapping[str, object]) -> str:
    """A table of names and what they are; a `Link` becomes one."""
    body = "\n".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{_linked(value)}</td></tr>' for name, value in facts.items()
    )
    return (
        f'{_above(caption)}<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">\n'
        f'<table class="left">\n'
        f"<caption>{escape(caption)}</caption>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _above(caption: str) -> str:
    """The caption as it is seen: outside of the box, whose own would scroll away and is for screen readers."""
    return f'<p class="quiet above" aria-hidden="true">{escape(caption)}</p>\n'


def _linked(value: object) -> str:
    if not isinstance(value, Link):
        return escape(value)
    # A path, quoted, with ./ before it: "javascript:" at the beginning of a folder's name would be a kind of address.
    address = f"./{urllib.parse.quote(os.fsencode(value.path))}"
    return f'<a href="{escape(address)}">{escape(value.text)}</a>'


def legend(marks: Sequence[tuple[str, str, str]]) -> str:
    """What the marks of figures mean: (character, colour, meaning)."""
    items = (
        f'<li><b aria-hidden="true" style="color:{escape(colour)}">{escape(character)}</b>{escape(text)}</li>'
        for character, colour, text in marks
    )
    return f'<ul class="legend">{"".join(items)}</ul>'


def figure(drawing: style.Figure, alternative: str, caption: str = "") -> str:
    """The figure, drawn into the page as SVG."""
    encoded = base64.b64encode(style.as_svg(drawing)).decode()
    told = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f'<figure><img src="data:image/svg+xml;base64,{encoded}" alt="{escape(alternative)}">{told}</figure>'


def grid(html: Iterable[str]) -> str:
    """Figures side by side, as many as there is room for."""
    figures = list(html)
    columns = " two" if len(figures) in (1, 2, 4) else ""
    return f'<div class="grid{columns}">\n' + "\n".join(figures) + "\n</div>"


def narrow(html: str) -> str:
    """No wider than a column."""
    return f'<div class="narrow">{html}</div>'


def wide(html: str, label: str) -> str:
    """A figure that scrolls where there is no room for it."""
    return f'<div class="scroll wide" tabindex="0" role="region" aria-label="{escape(label)}">{html}</div>'
