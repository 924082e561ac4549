"""What the tutorial's experiment says, word for word, of numbers made up by hand."""

import dataclasses

import jax
import numpy as np
import pytest

import heartpole_jax as hp
from agents.tutorial import text as tutorial_text
from agents.tutorial.text import Behaviour, Progress
from heartpole_jax.envs.heartpole_v0 import HEARTPOLE_V0
from heartpole_jax.evaluation import Estimate, Leaderboard, Row
from heartpole_jax.evaluation.heartpole_v0 import Evaluation

FIRST_TABLE = """\
----------------------------------
| rollout/            |          |
|    ep_len_mean      | 1e+03    |
|    ep_rew_mean      | -228     |
|    exploration_rate | 0.81     |
| time/               |          |
|    episodes         | 10       |
|    fps              | 250000   |
|    time_elapsed     | 0        |
|    total_timesteps  | 10000    |
| train/              |          |
|    learning_rate    | 0.0001   |
|    loss             | 4.53     |
|    n_updates        | 2475     |
----------------------------------"""
FLOOR = 1.23631


def test_the_table_is_the_box_of_stable_baselines3():
    progress = Progress(10_000, 10, 2_475, 0.04, -228.123, 0.81, 1e-4, 4.5312)
    assert tutorial_text.table(progress) == FIRST_TABLE
    assert "train/" not in tutorial_text.table(progress._replace(num_updates=0))


def test_rendering_shows_what_was_done_and_when():
    params = hp.EnvParams(heart_attack_proclivity=1.0, heart_attack_threshold=-1000.0)  # at every step
    records = hp.rollout(
        hp.policies.reference(), jax.random.key(0), params, num_envs=1, num_steps=33, record=hp.everything
    ).records
    lines = tutorial_text.render(records).splitlines()
    assert lines[0].startswith("half-hour 1: drank a coffee, worked, HEART ATTACK; alertness ")
    assert lines[31].startswith("half-hour 32: did nothing, worked, ")
    assert lines[32].startswith("half-hour 49: slept, worked, ")
    assert "hypertension 0.000, intoxication 0.0000, awake for 1, work done" in lines[32]


def made_up(name="agent", score=0.0476, attacks=FLOOR, drinks=0.0, asleep=0.5, returns=(0.0, 0.0, 0.0, 0.0)):
    exactly = lambda mean: Estimate(mean, 0.0)
    value = score - 100.0 * attacks
    return Evaluation(
        name=name, num_episodes=4, expected_return=exactly(value), regret=exactly(-123.304 - value),
        certified=True,
        score=exactly(score), heart_attacks=exactly(attacks), excess_heart_attacks=exactly(attacks - FLOOR),
        drinks_a_day=exactly(drinks), share_asleep=exactly(asleep), returns=np.asarray(returns),
    )  # fmt: skip


def behaving(coffee=0.0, beer=0.0, alertness=1.0, deviation=111.12):
    shares = np.tile([1.0 - coffee - beer, coffee, beer, 0.0], (4, 1))
    return Behaviour(shares, alertness, deviation, promise=300.0, value=-12.0)


@pytest.mark.parametrize(
    ("agent", "behaviour", "sentence"),
    [
        (made_up(asleep=0.941), behaving(),
         "It almost always sleeps, never drinks, and gets 0.048 half-hours of work done in one, where 0.327 are "
         "possible."),
        (made_up(score=0.32), behaving(), "It sleeps 50% of the time, never drinks, and is within 0.05 of the best."),
        (made_up(score=-424.0, asleep=0.0), behaving(alertness=-957.8),
         "It never sleeps, never drinks, and works on until its alertness is -958."),
        (made_up(score=-193.5, attacks=21.9, drinks=48.0, asleep=0.0), behaving(coffee=0.98, beer=0.02),
         "It never sleeps, drinks 47.0 coffees a day, and has 21.90 heart attacks an episode, where 1.24 cannot be "
         "avoided."),
        (made_up(attacks=5.0, drinks=2.0, asleep=0.01), behaving(coffee=0.3, beer=0.1),
         "It hardly ever sleeps, drinks 1.5 coffees and 0.5 beers a day, and has 5.00 heart attacks an episode, where "
         "1.24 cannot be avoided."),
        (made_up(attacks=1.3, drinks=0.05, asleep=0.93), behaving(beer=0.01),
         "It almost always sleeps, hardly ever drinks, and has 1.30 heart attacks an episode, where 1.24 cannot be "
         "avoided."),
    ],
)  # fmt: skip
def test_the_verdict_is_a_sentence_of_sleep_drink_and_cost(agent, behaviour, sentence):
    assert tutorial_text.verdict(agent, behaviour) == sentence


def test_the_account_counts_the_episodes_that_distinguish_an_agent_from_sleep():
    """Variances of 12,348 each, ten apart: 24,696 / 100."""
    sleep = made_up("sleep", returns=[-123.5, -123.6, -123.5, -123.6])
    agent = made_up("agent", attacks=1.33631, returns=sleep.returns - 10.0)
    rows = (Row(sleep, Estimate(0.0, 0.0)), Row(agent, Estimate(10.0, 0.0)))
    board = Leaderboard(HEARTPOLE_V0, hp.EnvParams(), rows)
    text = tutorial_text.account(board, "agent", behaving(), np.full(5, -133.58))
    assert "returns takes 247 episodes of each." in text
    assert "To know it to one standard error of 1 takes 12,348 of them." in text
    assert "a standard error of 49.7" in text
    assert "Of the regret of 10.28, 0.28 is work not done and 10.00 is heart attacks" in text
    alike = rows[1]._replace(evaluation=dataclasses.replace(agent, returns=sleep.returns))
    same = dataclasses.replace(board, rows=(rows[0], alike))
    assert "No number of episodes would distinguish it" in tutorial_text.account(same, "agent", behaving(), np.zeros(5))
