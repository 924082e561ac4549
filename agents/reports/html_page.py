"""A self-contained HTML page from a template: no script, and nothing that is loaded from elsewhere.

Every text that a template is given is escaped; nothing is marked as safe.
"""

import base64
import os
import shlex
import urllib.parse
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from agents.reports import table_width
from agents.reports.sweep_axes import short_steps
from agents.sweeps import result_text
from heartpole_jax.drawing.charts import style

TEMPLATES = Path(__file__).parent / "templates"


class Link(NamedTuple):
    """An entry that leads to a file."""

    address: str
    text: str


def render(template: str, **content: object) -> str:
    """The page that the template of that name makes of the content."""
    return _ENVIRONMENT.get_template(template).render(content)


def links(folder: Path, beside: Path, texts: Mapping[str, str]) -> dict[str, Link]:
    """Of the files called so in `folder` those that are there, as addresses from the folder `beside`."""
    return {
        name: Link(_address(os.path.relpath(folder / name, beside)), text)
        for name, text in texts.items()
        if (folder / name).exists()
    }


def flattened(info: Mapping[str, Any], before: str = "") -> dict[str, object]:
    """The entries for people; those of mappings within it by both names, empty ones left out."""
    found: dict[str, object] = {}
    for name, value in info.items():
        label = f"{before}{name.replace('_', ' ')}"
        if isinstance(value, Mapping):
            found |= flattened(value, "" if name == "versions" else f"{label} ")
        elif isinstance(value, float) and name.endswith("seconds"):
            found[label] = f"{value:,.1f}"
        elif isinstance(value, int) and not isinstance(value, bool) and name != "seed":
            found[label] = f"{value:,}"
        elif value is not None and value != "":
            found[label] = result_text.value_text(value)
    return found


def _address(path: str) -> str:
    """A path, quoted, with ./ before it: "javascript:" at the beginning of a name would be a kind of address."""
    return f"./{urllib.parse.quote(os.fsencode(path))}"


def _svg(figure: style.Figure) -> str:
    """The address of a picture that the page itself holds."""
    return f"data:image/svg+xml;base64,{base64.b64encode(style.as_svg(figure)).decode()}"


def _csv(content: str) -> str:
    """The address of a CSV file that the page itself holds."""
    return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(content.encode()).decode()}"


def _counted(number: int, what: str, several: str | None = None) -> str:
    return f"{number:,} {what if number == 1 else several or what + 's'}"


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(TEMPLATES),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_ENVIRONMENT.filters |= {
    "commas": "{:,}".format,
    "counted": _counted,
    "csv": _csv,
    "interval": result_text.interval_text,
    "number": result_text.number_text,
    "shell": shlex.join,
    "steps": short_steps,
    "svg": _svg,
    "value": result_text.value_text,
}
_ENVIRONMENT.globals |= {
    "breakpoint_of": table_width.breakpoint_of,
    "breakpoints": table_width.BREAKPOINTS,
    "spans_of": table_width.spans,
}
_ENVIRONMENT.tests["link"] = lambda value: isinstance(value, Link)
