"""Annotations as checks of arguments: what fits, and that public functions refuse what does not, by name."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heartpole_jax as hp
from agents import dqn
from agents.commands import report
from agents.common import networks, observations
from agents.dqn import DQNConfig, Hyperparams
from agents.runs import recipes, run_folder, scoring
from agents.sweeps import listed_search, objectives, result_files, results, space, study, study_file, tasks
from heartpole_jax import annotations, arguments, evaluation, gradients, identification
from heartpole_jax.envs import heartpole_v1, physiology
from heartpole_jax.envs import params as env_params
from heartpole_jax.evaluation import menu_report, tables
from heartpole_jax.gradients import sensitivity
from heartpole_jax.optimum.heartpole_v1 import solve
from heartpole_jax.policy import as_policy

CONFIG = DQNConfig(hidden_sizes=(4,), buffer_size=64, num_envs=2, batch_size=4)
V0 = hp.make("HeartPole-v0")


@pytest.mark.parametrize(
    ("annotation", "right", "wrong", "words"),
    [
        (int, [3, np.int64(3)], [True, 3.0, "3", None], "a whole number"),
        (float, [3, 3.5, np.float32(3)], [True, "3", 1j], "a number"),
        (bool, [True, np.bool_(False)], [0, None], "a bool"),
        (str | Path, ["x", Path()], [b"x", 3, None], "a str or a Path"),
        (Path | None, [None, Path()], ["x"], "a Path or None"),
        (Sequence[str], [["x"], (), ("x", "y")], ["x", [3], {"x"}], "a Sequence of str"),
        (tuple[int, ...], [(1, 2)], [[1], ("x",)], "a tuple of numbers"),
        (Mapping[str, Any], [{}, {"x": object()}], [{3: 4}, [], None], "a Mapping"),
        (hp.EnvParams, [hp.EnvParams()], [heartpole_v1.EnvParams(), hp.EnvParams], "an EnvParams"),
        (jax.Array, ["x", np.zeros(3)], [], None),
        (Any, ["x", None], [], None),
        (jax.Array | int, ["x"], [], None),
    ],
)
def test_an_annotation_that_names_classes_is_a_check(annotation, right, wrong, words):
    assert all(annotations.fits(value, annotation) for value in right)
    assert not any(annotations.fits(value, annotation) for value in wrong)
    assert words is None or annotations.wanted(annotation) == words


@arguments.typed(share=float)
def example(names: Sequence[str], share: Any = 0.5, *, folder: Path | None = None):
    return names


def test_a_typed_function_checks_every_argument():
    assert example(["x"], folder=None) == ["x"]
    for given, message in [
        ({"names": "x"}, "names must be a Sequence of str, got 'x'"),
        ({"names": [], "share": 1}, "share must be a float, got 1"),
        ({"names": [], "folder": "x"}, "folder must be a Path or None, got 'x'"),
    ]:
        with pytest.raises(TypeError, match=f"^{message}$"):
            example(**given)


TYPED = {
    "as_toml": (recipes.as_toml, {"recipe": {}}),
    "params of a recipe": (recipes.read_params, {"content": "x", "env": "HeartPole-v0"}),
    "merge": (study_file.merge, {"overrides": [], "content": {}}),
    "resolve": (study.resolve, {"study": {}, "values": {}}),
    "digest": (study_file.digest, {"study": None}),
    "a range": (space.grid, {"swept": "uniform", "name": "x"}),
    "ranges": (space.grid_size, {"ranges": 3}),
    "trials to rank": (results.rank, {"trials": "x"}),
    "trials": (results.best, {"trials": [3]}),
    "a folder of results": (result_files.read, {"folder": 3}),
    "init_weights": (networks.init_weights, {"config": {}, "key": jax.random.key(0)}),
    "one observation": (networks.q_values, {"obs": np.zeros(6), "weights": np.zeros(48), "config": CONFIG}),
    "q_values": (networks.q_values, {"weights": 3, "obs": np.zeros(6), "config": CONFIG}),
    "env": (networks.num_weights, {"env": "HeartPole-v0", "config": CONFIG}),
    "regret": (scoring.regret, {"env": "HeartPole-v0", "mean_return": 1.0}),
    "configurations": (listed_search.configurations, {"study": 3}),
    "lock": (run_folder.lock, {"folder": 3}),
    "metrics": (run_folder.read_metrics, {"folder": None}),
    "report": (report.write, {"folder": "x"}),
    "changes": (env_params.replaced, {"changes": None, "env": V0}),
    "train_population": (dqn.train_population, {"keys": 3}),
    "one key": (dqn.train_population, {"keys": jax.random.key(0)}),
    "trials at a time": (
        dqn.train_population,
        {"slice_size": 0.5, "keys": jax.random.split(jax.random.key(0))},
    ),
    "rows": (tables.Leaderboard, {"rows": "x", "env": V0, "params": hp.EnvParams()}),
    "no rows": (tables.Leaderboard, {"rows": (), "env": V0, "params": hp.EnvParams()}),
    "a board": (tables.provenance, {"board": [], "seed": 0}),
    "states_of": (identification.traces.states_of, {"trace": "x"}),
    "params of a table": (tables.Leaderboard, {"params": {}, "rows": (), "env": V0}),
    "found": (sensitivity.as_text, {"found": 3, "name": "x"}),
    "a menu": (menu_report.simulate_day, {"menu": {}}),
    "texts": (evaluation.interquartile_mean, {"values": np.array("x")}),
    "keys": (evaluation.interquartile_mean, {"values": jax.random.split(jax.random.key(0))}),
    "one number": (evaluation.interquartile_mean, {"values": np.float64(1.0)}),
    "no numbers": (evaluation.interquartile_mean, {"values": np.zeros((2, 0))}),
    "an estimate": (evaluation.format_estimate, {"value": (1.0, 2.0, 3.0)}),
    "num_actions": (gradients.SoftPolicy(logits=print).policy, {"num_actions": "x"}),
    "config of observations": (observations.check_size, {"config": {}, "env": V0}),
    "env of observations": (observations.check, {"env": "x", "config": CONFIG}),
    "a swept name": (space.is_param, {"name": []}),
    "params of a loss": (objectives.loss, {"params": 3, "mean_return": 1.0, "metric": "regret", "env": V0}),
    "metric": (objectives.metric, {"study": {}}),
    "objectives of no trial": (
        tasks.survivors,
        {"objectives": {}, "parents": {"a": [tasks.Trial(0, 0)]}, "keep_one_in": 2},
    ),
    "objectives": (tasks.score, {"objectives": np.ones((2, 2))}),
    "solve": (solve, {"drunk": "yes"}),
    "v1's state": (heartpole_v1.observe, {"state": hp.EnvParams()}),
}


@pytest.mark.parametrize("case", TYPED)
def test_public_functions_refuse_what_does_not_fit_by_name(case):
    function, bad = TYPED[case]
    good = {} if function is not dqn.train_population else {"hyperparams": Hyperparams(), "config": CONFIG}
    good |= {"num_chunks": 1, "iterations_per_chunk": 1} if good else {}
    with pytest.raises((TypeError, ValueError), match=rf"^{next(iter(bad))} must "):
        function(**good, **bad)


@pytest.mark.parametrize("value", ["x", None, [1.0], 1j, 2**40, np.array("x"), np.array([object()]), jax.random.key(0)])
def test_what_is_no_number_is_refused_by_name(value):
    with pytest.raises(
        TypeError, match=r"^hypertension must be a number or an array of numbers that JAX can hold, got "
    ):
        physiology.heart_attack_risk(value)


@pytest.fixture(scope="module")
def start():
    state, _ = hp.reset(jax.random.key(0))
    return state, hp.sample_noise(jax.random.key(0))


@pytest.mark.parametrize(("part", "field"), [("state", "alertness"), ("state", "num_steps"), ("noise", "heart_attack")])
def test_a_leaf_that_is_no_number_is_refused_by_name(part, field, start):
    state, noise = start
    parts = {"state": state, "noise": noise}
    parts[part] = dataclasses.replace(parts[part], **{field: "x"})
    with pytest.raises(TypeError, match=rf"^{part}\.{field} must be a number or an array of numbers .*, got 'x'"):
        hp.transition(parts["state"], 0, parts["noise"])


def _act(params, carry, obs, draw):
    return jnp.int32(0), carry


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"logits": 3}, "logits must be a Callable, got 3"),
        ({"carry": "x"}, "carry of a policy must be arrays and numbers"),
    ],
)
def test_a_soft_policy_of_the_wrong_parts_is_refused(fields, message):
    policy = gradients.SoftPolicy(**{"logits": _act} | fields)
    with pytest.raises(TypeError, match=f"^{message}"):
        gradients.estimate("return", jax.random.key(0), policy=policy, wrt="fatigue_width", num_episodes=4, num_steps=1)


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (hp.Policy(act=3), "act must be a Callable, got 3"),
        (hp.Policy(act=_act, sample=None), "sample must be a Callable, got None"),
        (hp.Policy(act=_act, params=2**70), "params of a policy must be arrays and numbers that JAX can hold"),
        (hp.Policy(act=_act, carry="x"), "carry of a policy must be arrays and numbers that JAX can hold, got 'x'"),
    ],
)
def test_a_policy_of_the_wrong_parts_is_refused(policy, message):
    with pytest.raises(TypeError, match=f"^{message}"):
        as_policy(policy)


ENVS = {"state": (), "carry": (), "running": np.ones(2, bool), "index": np.arange(2), "time": np.zeros(2, int)}


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"time": 3}, "start.time must be of one integer an environment, got 3"),
        ({"time": np.int32(3)}, "start.time must be of one integer an environment, got an array of int32"),
        ({"index": np.zeros(2)}, "start.index must be of one integer an environment, got an array of float64 of shape"),
        ({"running": "x"}, "start.running must be arrays and numbers that JAX can hold, got 'x'"),
        ({"time": np.zeros(3, int)}, "start must hold num_envs environments, got 3 and num_envs 2"),
    ],
)
def test_environments_of_the_wrong_parts_are_refused(bad, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        hp.rollout(hp.Policy(act=_act), jax.random.key(0), num_envs=2, num_steps=1, start=hp.Envs(**ENVS | bad))


FIELDS = {
    "num_steps of a recipe": lambda: dataclasses.replace(recipes.named("heartpole-v0"), num_steps=1e39),
    "values of a grid": lambda: space.Grid(values=[1]),
    "low of a range": lambda: space.Uniform(low="x", high=1.0),
    "step of an objective": lambda: gradients.estimate(
        gradients.Objective(step=3),
        jax.random.key(0),
        policy=hp.policies.reference(),
        wrt="fatigue_width",
        num_episodes=4,
    ),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_record_refuses_a_field_of_another_type(case):
    with pytest.raises(TypeError, match=rf"^{case.split()[0]} must be "):
        FIELDS[case]()


@pytest.mark.parametrize("content", [{"discount": {"grid": ["x" * 10_000]}}, {"discount": {"grid": [hp.EnvParams()]}}])
def test_a_message_repeats_what_came_in_a_few_words(content):
    with pytest.raises(ValueError, match="each value of discount must be ") as raised:
        space.read(content, V0, dqn.ALGORITHM)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("seed", [-1, 2**32, 2**70, 1.5, True, "x"])
def test_a_seed_that_is_none_is_refused(seed):
    with pytest.raises(ValueError, match=r"^seed must be a whole number in 0 \.\. 2\^32 - 1, got "):
        scoring.evaluate(hp.policies.reference(), V0, num_episodes=4, seed=seed, name="x")
