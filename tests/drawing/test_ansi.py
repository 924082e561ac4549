"""The text of a moment."""

import dataclasses

import numpy as np

from heartpole_jax import make
from heartpole_jax.drawing.frames.ansi import describe
from heartpole_jax.drawing.frames.moment import Moment

VALUES = {"alertness": 1.0, "hypertension": 0.5, "intoxication": 0.02, "time_since_slept": 3, "time_elapsed": 3,
          "work_done": 2.0}  # fmt: skip
AWAKE = Moment(
    values=VALUES, num_steps=3, action=0, reward=0.01, heart_attack=False, heart_attack_risk=0.002, num_heart_attacks=0,
)  # fmt: skip


def with_(values=(), **fields):
    return dataclasses.replace(AWAKE, values=VALUES | dict(values), **fields)


def test_a_text_has_all_of_it():
    tense = {"alertness": 2.0, "hypertension": 12.0}
    moment = with_(tense, action=1, heart_attack=True, num_heart_attacks=2, reward=-99.5)
    assert describe(moment) == (
        "day 1, 09:30  chose coffee, reward -99.5000  *** HEART ATTACK ***\n"
        "  alertness      |██████████          | 2.000\n"
        "  blood pressure |████████████████████| 12.000\n"
        "  blood alcohol  |██                  | 0.020 %\n"
        "  score +0.6667, 3 decisions, heart attacks 2, risk 0.20%\n"
    )


def test_a_text_of_version_1_has_its_menu_and_two_bars_more():
    moment = with_({"stimulation": 1.0, "impairment": -0.5}, action=6)
    assert describe(moment, make("HeartPole-v1")).splitlines() == [
        "day 1, 09:30  chose energy_drink, reward +0.0100",
        "  alertness      |█████               | 1.000",
        "  stimulation    |█████               | 1.000",
        "  impairment     |                    | -0.500",
        "  blood pressure |█                   | 0.500",
        "  blood alcohol  |██                  | 0.020 %",
        "  score +0.6667, 3 decisions, heart attacks 0, risk 0.20%",
    ]


def test_a_texts_bars_keep_their_width():
    for value in (-5.0, 0.0, 0.013, 3.99, 1e9, np.nan, np.inf):
        assert describe(with_({"alertness": value})).splitlines()[1].rindex("|") == 38
    assert "woke up" in describe(with_(action=None))
