"""What else must be installed, checked before a run begins: half of it is only imported at the end."""

import importlib.util

_TRAIN = {"matplotlib": "matplotlib"}
_SWEEP = {"pyarrow": "pyarrow"}


def check_train() -> None:
    """Raises ImportError where something is missing that training needs."""
    _check(_TRAIN, "training", "train")


def check_sweep(search: str) -> None:
    """Raises ImportError where something is missing that a sweep with such a `search` needs."""
    _check(_SWEEP, "a sweep", "train")
    if search == "optuna":
        _check({"optuna": "Optuna"}, "search = 'optuna'", "optuna")


def _check(packages: dict[str, str], what: str, extra: str) -> None:
    for module, name in packages.items():
        if importlib.util.find_spec(module) is None:
            raise ImportError(f"{what} needs {name}: pip install '.[{extra}]' in the clone")
