"""The keys of `gymnasium.utils.play`: which there are, and that they play."""

import gymnasium
import matplotlib
import pytest

from heartpole_jax.envs.display import ActionInfo
from heartpole_jax.interop.gymnasium.keys import keys_to_action


def keys_of(*names, sleep=None):
    choices = [ActionInfo(name, wakes_up=name == sleep) for name in names]
    return {chr(key): action for (key,), action in keys_to_action(choices).items()}


def test_a_key_is_the_first_free_letter_of_the_name():
    env = gymnasium.make("heartpole_jax:HeartPole-v0")
    assert env.get_keys_to_action() == {(ord("n"),): 0, (ord("c"),): 1, (ord("b"),): 2, (ord("s"),): 3, (ord("z"),): 3}
    env = gymnasium.make("heartpole_jax:HeartPole-v1")
    rows = ("nothing", "coffee", "beer", "sleep", "nap", "exercise", "energy_drink", "cannabis")
    assert keys_of(*rows, sleep="sleep") == {chr(key): action for (key,), action in env.get_keys_to_action().items()}
    assert "".join(keys_of(*rows, sleep="sleep")) == "ncbsaeriz"


@pytest.mark.parametrize(
    ("names", "keys"),
    [
        (("Tea", "tea", "TEA", "eat"), "tea0"),  # a digit where all letters are taken
        (("éclair", "-_ ", "7up"), "c07"),
        (("1", "2", "0", "-"), "1203"),
        (("a",) * 40, "a0123456789bcdefghijklmnopqrstuvwxyz"),  # no more keys than there are
    ],
)
def test_every_action_of_any_menu_has_a_key_of_its_own_while_there_are_some(names, keys):
    found = keys_of(*names)
    assert "".join(found) == keys
    assert list(found.values()) == list(range(len(keys)))


def test_z_is_sleep_where_it_is_free():
    assert keys_of("nap", "zzz", "siesta", sleep="siesta") == {"n": 0, "z": 1, "s": 2}
    assert keys_of("nap", "siesta", sleep="siesta") == {"n": 0, "s": 1, "z": 1}


@pytest.mark.parametrize(("name", "key", "action"), [("HeartPole-v0", "z", 3), ("HeartPole-v1", "r", 6)])
def test_gymnasiums_play_takes_them(monkeypatch, name, key, action):
    """A key that is held acts in every step; none, and one of no action, is action 0."""
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.setattr(matplotlib, "use", lambda *_: None)  # it asks for a backend with windows when it is imported
    pygame = pytest.importorskip("pygame")
    from gymnasium.utils.play import play

    happens = {1: (pygame.KEYDOWN, key), 3: (pygame.KEYUP, key), 4: (pygame.KEYDOWN, "q"), 5: (pygame.QUIT, "q")}
    chosen = []

    def callback(obs, next_obs, taken, reward, terminated, truncated, info):
        chosen.append(taken)
        if len(chosen) in happens:
            kind, pressed = happens[len(chosen)]
            pygame.event.post(pygame.event.Event(kind, key=ord(pressed)))

    play(gymnasium.make(f"heartpole_jax:{name}", render_mode="rgb_array"), callback=callback, fps=1000, seed=0)
    assert chosen == [0, action, action, 0, 0]
