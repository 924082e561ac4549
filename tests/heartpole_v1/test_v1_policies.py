"""The scripted policies of HeartPole-v1: their decisions by hand, and what they reach in the model's description."""

import functools
import pickle

import jax
import numpy as np
import pytest
from compiling import OPTIMISED

import heartpole_jax as hp
from heartpole_jax import make, policies
from heartpole_jax.envs import heartpole_v1, menu
from heartpole_jax.policies import heartpole_v1 as policies_v1

pytestmark = pytest.mark.once

ENV = make("HeartPole-v1")
NUM_EPISODES = 2048
# From an independent NumPy sketch of 4000 episodes: expected return and its error, work done, heart attacks.
PUBLISHED = {
    "coffee and exercise": (648.4, 0.3, 883.9, 2.35),
    "coffee": (613.8, 0.4, 1034.0, 4.20),
    "energy drinks": (586.5, 0.3, 951.1, 3.65),
    "no drinks": (273.1, 0.2, 438.9, 1.66),
    "always sleep": (-101.7, 0.05, 64.8, 1.66),
    "always nothing": (-155.1, 0.05, 11.0, 1.66),
    "always coffee": (-2918.5, 5.0, 34.1, 29.5),
    "always cannabis": (-1849.3, 2.0, 2.1, 18.5),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_policy_survives_pickling(name):
    policy = policies.make(name, env=ENV)
    twin = pickle.loads(pickle.dumps(policy))
    assert (jax.tree.structure(twin), jax.tree.leaves(twin)) == (jax.tree.structure(policy), jax.tree.leaves(policy))


def parts(transition):
    info = transition.info
    return {"return": transition.reward, "work": info.productivity, "attacks": info.heart_attack_risk}


@functools.partial(jax.jit, compiler_options=OPTIMISED)
def live(policy, key):
    """(who has not come to the end, totals of each episode)."""
    result = hp.rollout(policy, key, heartpole_v1.EnvParams(expected_penalty=1.0), env=ENV, num_envs=NUM_EPISODES,
                        num_steps=1344, total=parts)  # fmt: skip
    return result.envs.running, result.totals


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_policy_reaches_what_is_published_of_it(name):
    """Return, work and attacks, penalties summed as risks, within three of the two standard errors together."""
    running, totals = live(policies.make(name, env=ENV), jax.random.key(0))
    assert not running.any()
    totals = {part: np.asarray(values, float) for part, values in totals.items()}
    mean = {part: values.mean() for part, values in totals.items()}
    error = {part: values.std(ddof=1) / np.sqrt(NUM_EPISODES) for part, values in totals.items()}
    expected, expected_error, work, attacks = PUBLISHED[name]
    assert mean["return"] == pytest.approx(expected, abs=3 * np.hypot(expected_error, error["return"]))
    # Theirs had 4000 episodes, and was rounded to the last digit printed.
    both = np.sqrt(1 + NUM_EPISODES / 4000)
    assert mean["work"] == pytest.approx(work, abs=3 * both * error["work"] + 0.05)
    assert mean["attacks"] == pytest.approx(attacks, abs=3 * both * error["attacks"] + 0.05 * 10 ** -(attacks < 10))


def decision(policy, alertness=1.0, hypertension=0.0, awake=10, stimulation=0.0, impairment=0.0):
    obs = np.array([alertness, hypertension, 0.0, awake, 100, 50.0, stimulation, impairment])
    return menu.default().actions[int(policy.act(policy.params, policy.carry, obs, None)[0])].name


@pytest.mark.parametrize(
    ("name", "patient", "action"),
    [
        ("no drinks", {"alertness": 0.39, "stimulation": 5.0}, "sleep"),
        ("no drinks", {"alertness": 0.41}, "nothing"),
        ("coffee", {"awake": 24, "alertness": 5.0}, "sleep"),
        ("coffee", {"awake": 23}, "nothing"),
        ("coffee", {"awake": 18}, "nothing"),
        ("coffee", {"awake": 17, "stimulation": 0.9}, "coffee"),
        ("coffee", {"awake": 17, "stimulation": 1.1}, "nothing"),
        ("coffee", {"awake": 17, "stimulation": 1.1, "impairment": 0.2}, "coffee"),
        ("energy drinks", {"awake": 17, "stimulation": 0.4}, "energy_drink"),
        ("energy drinks", {"awake": 17, "stimulation": 0.6}, "nothing"),
        ("coffee and exercise", {"hypertension": 0.6}, "exercise"),
        ("coffee and exercise", {"hypertension": 0.6, "awake": 20}, "exercise"),
        ("coffee and exercise", {"hypertension": 0.6, "stimulation": 1.1}, "nothing"),
        ("coffee and exercise", {"hypertension": 0.4}, "coffee"),
        ("coffee and exercise", {"hypertension": 0.4, "awake": 20}, "nothing"),
        ("coffee and exercise", {"hypertension": 0.6, "awake": 24}, "sleep"),
        ("always cannabis", {}, "cannabis"),
    ],
    ids=str,
)
def test_a_policy_decides_by_what_a_patient_shows(name, patient, action):
    assert decision(policies.make(name, env=ENV), **patient) == action


def test_policies_find_their_actions_by_name_on_another_menu():
    rows = menu.default().actions[::-1]
    backwards = menu.Menu(rows)
    assert int(policies_v1.always("cannabis", backwards).params) == 0
    small = menu.find("heartpole_v0")
    with_small = make("HeartPole-v1", menu=small)
    with pytest.raises(ValueError, match="unknown action 'cannabis'"):
        policies.make("always cannabis", env=with_small)
    with pytest.raises(ValueError, match="unknown policy 'espresso'"):
        policies.make("espresso", env=ENV)


def test_the_default_policies_are_those_that_the_menu_allows(monkeypatch):
    monkeypatch.setattr(policies_v1, "SCRIPTED", {n: f for n, f in policies_v1.SCRIPTED.items() if n != "optimal"})
    with_small = make("HeartPole-v1", menu=menu.find("heartpole_v0"))
    assert list(policies.default_policies(env=with_small)) == [
        "coffee", "no drinks", "always sleep", "always nothing", "always coffee",
    ]  # fmt: skip
    backwards = make("HeartPole-v1", menu=menu.Menu(menu.default().actions[::-1]))
    assert list(policies.default_policies(env=backwards)) == list(policies_v1.SCRIPTED) == list(PUBLISHED)
