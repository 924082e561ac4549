"""Prints the lowest versions that pyproject.toml allows, as constraints for pip: jax==0.8, one a line."""

import re
import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def floors(pyproject: dict) -> list[str]:
    """Of the dependencies and of every extra; what has no lower bound is left free."""
    project = pyproject["project"]
    requirements = sum(project["optional-dependencies"].values(), project["dependencies"])
    bounded = [re.match(r"([\w.-]+)>=([\w.]+)", requirement) for requirement in requirements]
    return sorted({f"{match[1]}=={match[2]}" for match in bounded if match})


if __name__ == "__main__":
    print("\n".join(floors(tomllib.loads(PYPROJECT.read_text()))))
