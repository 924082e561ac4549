"""What the API shows of a class's fields: one list, from the comments behind them."""

import re
from typing import Any

import griffe

_COMMENT = re.compile(r"\s{2}# (?!fmt:|type:|noqa)(.+)$")


class FieldsFromComments(griffe.Extension):
    """Adds to a class's docstring its public fields: type, default, and the comment at the end of the line, where this
    project has shapes, units and meaning."""

    def on_class(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        fields = [
            f"    {name} ({attribute.annotation}): {described}"
            for name, attribute in cls.attributes.items()
            if not name.startswith("_") and attribute.annotation
            if (described := _described(attribute))
        ]
        if fields:
            text = cls.docstring.value if cls.docstring else ""
            cls.docstring = griffe.Docstring("\n".join([text, "", "Attributes:", *fields]), parent=cls, parser="google")


def _described(attribute: Any) -> str:
    """The default and the comment of a field, as "0.5: risk per step"; empty where it has neither."""
    lines = attribute.lines_collection[attribute.filepath]
    comment = _COMMENT.search(lines[(attribute.endlineno or attribute.lineno) - 1])
    value = "" if attribute.value is None else str(attribute.value)
    default = f"`{value}`" if value and len(value) < 30 and "field(" not in value else ""
    return "; ".join(filter(None, (default, comment[1] if comment else "")))
