"""Which key of a keyboard chooses which action, for `gymnasium.utils.play`."""

import string
from collections.abc import Iterable, Sequence

from heartpole_jax.drawing.frames.moment import Choice

_LETTERS, _DIGITS = string.ascii_lowercase, string.digits


def keys_to_action(choices: Sequence[Choice]) -> dict[tuple[int, ...], int]:
    """{(code of a key,): action}, in the order of the actions.

    An action's key is the first letter or digit of its name that no action before it has, then any free digit, then any
    free letter; of more than 36 actions the last have none. A free z is sleep as well.
    """
    keys: dict[str, int] = {}

    def give(action: int, candidates: Iterable[str]) -> None:
        free = (key for key in candidates if key in _LETTERS + _DIGITS and key not in keys)
        keys.update(dict.fromkeys(list(free)[:1], action))

    for action, choice in enumerate(choices):
        give(action, choice.name.lower() + _DIGITS + _LETTERS)
    for action in [action for action, choice in enumerate(choices) if choice.wakes_up][:1]:
        give(action, "z")
    return {(ord(key),): action for key, action in keys.items()}
