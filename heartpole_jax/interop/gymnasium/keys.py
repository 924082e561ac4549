"""Which key of a keyboard chooses which action, for `gymnasium.utils.play`."""

import string
from collections.abc import Iterable, Sequence

from heartpole_jax.envs.display import ActionInfo

_LETTERS, _DIGITS = string.ascii_lowercase, string.digits


def keys_to_action(actions: Sequence[ActionInfo]) -> dict[tuple[int, ...], int]:
    """{(code of a key,): action}, in the order of the actions.

    An action's key is the first letter or digit of its name that no action before it has, then any free digit, then any
    free letter; of more than 36 actions the last have none. A free z is sleep as well.
    """
    keys: dict[str, int] = {}

    def give(action: int, candidates: Iterable[str]) -> None:
        free = (key for key in candidates if key in _LETTERS + _DIGITS and key not in keys)
        keys.update(dict.fromkeys(list(free)[:1], action))

    for number, action in enumerate(actions):
        give(number, action.name.lower() + _DIGITS + _LETTERS)
    for number in [number for number, action in enumerate(actions) if action.wakes_up][:1]:
        give(number, "z")
    return {(ord(key),): action for key, action in keys.items()}
