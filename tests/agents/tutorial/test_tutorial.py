"""The tutorial's experiment: its settings, what it prints and writes, what it measures, what it refuses."""

import contextlib
import dataclasses
import io
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import heartpole_jax as hp
from agents import __main__, dqn
from agents.common import networks
from agents.tutorial import tutorial
from agents.tutorial.tutorial import Tutorial
from heartpole_jax import evaluation
from heartpole_jax.policies import heartpole_v0 as scripted_v0

pytestmark = pytest.mark.once

STABLE_BASELINES3 = {
    "learning_rate": 1e-4, "final_learning_rate": 1.0, "learning_rate_steps": 1, "adam_b1": 0.9, "adam_b2": 0.999,
    "adam_epsilon": 1e-8, "max_grad_norm": 10.0, "huber_delta": 1.0, "discount": 0.99, "epsilon_start": 1.0,
    "epsilon_end": 0.05, "epsilon_steps": 50_000, "learning_starts": 100, "target_period": 10_000, "target_tau": 1.0,
    "ema_rate": 1.0, "reset_rate": 0.0, "reward_shift": 0.0, "reward_scale": 1.0, "expected_penalty": 0.0,
}  # fmt: skip
CONFIG = {
    "hidden_sizes": (16, 16), "transform": "raw", "dueling": False, "double": False, "n_step": 1, "batch_size": 32,
    "buffer_size": 1_000_000, "num_envs": 1, "steps_per_iteration": 4, "updates_per_iteration": 1,
    "time_limit_is_terminal": True, "scaled_errors": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A short run: (options, the trained network's weights, what it printed, what it wrote)."""
    options = Tutorial(seed=3, num_steps=20_000, num_episodes=64, out=tmp_path_factory.mktemp("out") / "new")
    trained, train, printed = [], tutorial.train, io.StringIO()
    scripted = {name: scripted_v0.SCRIPTED[name] for name in ("sleep", "nothing", "coffee")}
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(scripted_v0, "SCRIPTED", scripted)
        patch.setattr(tutorial, "train", lambda *arguments: trained.append(train(*arguments)) or trained[-1])
        assert tutorial.main(options) == 0
    return options, trained[0].weights, printed.getvalue(), json.loads((options.out / "tutorial.json").read_text())


def test_the_settings_are_the_numbers_of_stable_baselines3():
    config, hyperparams = tutorial.settings(Tutorial())
    assert dataclasses.asdict(config) == CONFIG
    assert vars(hyperparams) == STABLE_BASELINES3
    assert (Tutorial().num_steps, tutorial.EPISODE_STEPS) == (500_000, hp.EnvParams().max_steps)
    assert tutorial.settings(Tutorial(learning_starts=50_000))[1].learning_starts == 50_000


def test_a_short_run_prints_a_table_for_every_ten_episodes(run):
    printed = run[2]
    column = lambda name: re.findall(rf"\|    {name} +\| (\S+) +\|", printed)
    assert column("episodes") == ["10", "20"]
    assert column("total_timesteps") == ["10000", "20000"]
    assert column("n_updates") == ["2475", "4975"]  # (10,000 - 100) / 4
    assert column("exploration_rate") == ["0.05", "0.05"]
    assert column("ep_len_mean") == ["1e+03", "1e+03"]
    assert len(re.findall(r"^half-hour \d+: ", printed, re.MULTILINE)) == 10
    assert re.search(r"^Reward per episode -?\d+\.\d\d±\d+\.\d\d$", printed, re.MULTILINE)


def test_the_numbers_written_are_those_of_evaluate(run):
    options, weights, printed, written = run
    policy = networks.greedy(weights, tutorial.settings(options)[0])
    keys = jax.random.split(jax.random.key(options.seed), 4)
    value = evaluation.evaluate(policy, keys[3], num_episodes=64)
    record = next(record for record in written["policies"] if record["policy"] == "this agent")
    for name in ("expected_return", "regret", "heart_attacks", "drinks_a_day", "share_asleep"):
        expected = getattr(value, name)
        assert record[name] == pytest.approx(expected.mean, rel=1e-5, abs=1e-6)
        assert record[f"{name}_standard_error"] == pytest.approx(expected.standard_error, rel=1e-3, abs=1e-6)
    few = np.asarray(hp.rollout(policy, keys[1], num_envs=5).totals)
    np.testing.assert_allclose(written["few_episodes"], few, rtol=1e-5)
    assert f"Reward per episode {np.mean(few):.2f}±{np.std(few):.2f}" in printed
    assert written["verdict"] in printed.splitlines()
    assert (written["run"]["seed"], written["hyperparams"]["epsilon_steps"]) == (3, 2_000)


def test_the_mean_reward_is_over_the_last_hundred_episodes(monkeypatch, capsys):
    def chunk(state, hyperparams, config, num_iterations):
        state = state.replace(iteration=state.iteration + num_iterations)
        fields = dict.fromkeys((field.name for field in dataclasses.fields(dqn.Metrics)), jnp.zeros(()))
        return state, dqn.Metrics(**fields | {"episode_return": state.iteration / num_iterations})

    monkeypatch.setattr(dqn, "train_chunk", chunk)
    tutorial.train(Tutorial(num_steps=120_000), jax.random.key(0))
    means = [float(mean) for mean in re.findall(r"ep_rew_mean +\| (\S+)", capsys.readouterr().out)]
    assert means[:10] == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0, 5.5]
    assert means[10:] == [6.5, 7.5]


def test_a_network_that_always_sleeps_is_seen_to_sleep_and_its_promise_is_compared_with_what_comes():
    config, _ = tutorial.settings(Tutorial())
    tree = jax.tree.map(jnp.zeros_like, networks.weights_as_tree(jnp.zeros(networks.num_weights(config)), config))
    tree["params"]["Dense_2"]["bias"] = jnp.array([0.0, 1.0, 2.0, 5.0])
    key = jax.random.key(0)
    behaviour = tutorial.behaviour_of(ravel_pytree(tree)[0], config, key, num_episodes=8)
    np.testing.assert_array_equal(behaviour.shares, [[0, 0, 0, 1]] * 4)
    assert behaviour.promise == pytest.approx(5.0)
    reward = lambda transition: transition.reward
    rewards = np.asarray(hp.rollout(hp.policies.make("sleep"), key, num_envs=8, record=reward).records, np.float64)
    to_go = np.zeros_like(rewards)
    for step in reversed(range(1000)):
        to_go[step] = rewards[step] + (0.99 * to_go[step + 1] if step < 999 else 0.0)
    assert behaviour.value == pytest.approx(to_go.mean(), rel=1e-4)
    assert behaviour.return_deviation == pytest.approx(rewards.sum(axis=0).std(ddof=1), rel=1e-4)
    assert 0.65 < behaviour.alertness_at_the_end < 1.3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_steps": 12_345}, "num_steps must be a multiple of 10,000"),
        ({"num_steps": 0}, "num_steps must be at least 10,000"),
        ({"num_steps": 10_000, "learning_starts": 10_000}, "learning_starts must be at least 0 and below 10,000"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"num_episodes": 3}, "num_episodes must be at least 4"),
    ],
)
def test_options_that_cannot_be_are_refused_before_training(options, message, monkeypatch):
    monkeypatch.setattr(tutorial, "train", None)
    with pytest.raises(ValueError, match=message):
        tutorial.main(Tutorial(**options))


def test_nothing_is_overwritten_and_the_exit_status_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tutorial, "train", None)
    (tmp_path / "tutorial.json").write_text("mine")
    assert __main__.main(["tutorial", "--out", str(tmp_path)]) == 2
    assert "is there already and is not overwritten" in capsys.readouterr().err
    assert (tmp_path / "tutorial.json").read_text() == "mine"
    assert __main__.main(["tutorial", "--out", str(tmp_path / "tutorial.json")]) == 2
    assert "out must be a folder" in capsys.readouterr().err
