"""A saved policy: the same numbers in NumPy as in JAX, and nothing but what was saved."""

import dataclasses
import functools
import hashlib
import json
import os
import pickle
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

import heartpole_jax as hp
from agents.common import networks
from agents.dqn.config import DQNConfig
from agents.runs.save_policy import save_policy
from heartpole_jax.envs import menu, registry
from heartpole_jax.policies import saved_policy

pytestmark = [pytest.mark.once, pytest.mark.extras]

ENV = hp.make("HeartPole-v0")
PROVENANCE = {"seed": 3, "num_steps": 64, "hyperparams": {"discount": 0.99}}
NETWORKS = {
    "raw": DQNConfig(hidden_sizes=(16, 8)),
    "linear": DQNConfig(hidden_sizes=(), transform="heartpole"),
    "days": DQNConfig(hidden_sizes=(64, 64), transform="heartpole-days"),
    "dueling": DQNConfig(hidden_sizes=(32,), transform="heartpole-days", dueling=True),
    "deep": DQNConfig(hidden_sizes=(4,) * 11, transform="heartpole"),  # Dense_10 comes before Dense_2
}


@functools.cache
def weights_of(config, seed=0):
    return jax.jit(lambda key: networks.init_weights(key, config, ENV))(jax.random.key(seed))


@functools.cache
def observed(num=400):
    """Observations that a developer at random comes to have."""
    policy = hp.policies.uniformly_random()
    result = hp.rollout(policy, jax.random.key(1), num_envs=4, num_steps=num // 4, record=lambda t: t.obs)
    return np.asarray(result.records).reshape(-1, 6)


@pytest.fixture
def folder(tmp_path):
    save_policy(tmp_path, weights_of(NETWORKS["days"]), NETWORKS["days"], "HeartPole-v0", PROVENANCE)
    return tmp_path


@pytest.mark.parametrize("config", NETWORKS.values(), ids=NETWORKS)
def test_numpy_agrees_with_jax(config, tmp_path):
    weights, obs = weights_of(config), observed()
    save_policy(tmp_path, weights, config, "HeartPole-v0", PROVENANCE)
    policy = saved_policy.load(tmp_path)
    expected = np.asarray(jax.jit(lambda weights, obs: networks.q_values(weights, obs, config, ENV))(weights, obs))
    np.testing.assert_allclose(policy.q_values(obs), expected, rtol=1e-5, atol=1e-5)
    chosen = policy.act(obs)
    gap = np.sort(expected, axis=1)[:, -1] - np.take_along_axis(expected, chosen[:, None], axis=1)[:, 0]
    assert np.all(gap < 2e-5)


@pytest.mark.parametrize("config", [NETWORKS["dueling"], NETWORKS["deep"]], ids=["dueling", "deep"])
def test_as_a_policy_it_has_the_same_episodes(config, tmp_path):
    weights = weights_of(config)
    save_policy(tmp_path, weights, config, "HeartPole-v0", PROVENANCE)
    results = [
        hp.rollout(policy, jax.random.key(0), num_envs=4, num_steps=50, record=lambda t: t.action)
        for policy in (networks.greedy(weights, config, ENV), hp.load_policy(tmp_path))
    ]
    np.testing.assert_array_equal(results[0].records, results[1].records)
    np.testing.assert_array_equal(results[0].totals, results[1].totals)


def test_a_policy_of_another_menu_is_no_policy_of_this_one(tmp_path):
    """Saved by an environment of the same name with v0's four actions, where the menu of today has eight."""
    config = DQNConfig(hidden_sizes=(4,))
    shorter = hp.make("HeartPole-v1", menu="heartpole_v0")
    weights = networks.init_weights(jax.random.key(0), config, shorter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "make", lambda name: shorter)
        save_policy(tmp_path, weights, config, "HeartPole-v1", PROVENANCE)
    policy = saved_policy.load(tmp_path)
    assert policy.num_actions == 4
    with pytest.raises(ValueError, match="this policy was trained with 4 actions, and HeartPole-v1 has 8"):
        policy.as_policy()


def test_a_policy_of_a_menu_that_was_edited_since_is_none_of_the_menu_now(tmp_path):
    rows = (menu.FOLDER / "heartpole_v0.toml").read_text()
    file, config = tmp_path / "mine.toml", DQNConfig(hidden_sizes=(4,))
    name = f"HeartPole-v1:{file}"
    file.write_text(rows)
    weights = networks.init_weights(jax.random.key(0), config, registry.make(name))
    save_policy(tmp_path, weights, config, name, PROVENANCE)
    policy = saved_policy.load(tmp_path)
    assert policy.menu == registry.digest(name)
    file.write_text(rows.replace("hypertension = [0.0, 0.3]", "hypertension = [0.0, 0.2]"))
    policy.as_policy()  # this process goes on under the menu that it has read
    registry._MADE.clear()
    assert saved_policy.load(tmp_path).act(np.zeros(8)) in range(4)
    with pytest.raises(ValueError, match=r"the menu .*mine\.toml has changed since this policy was trained; put"):
        policy.as_policy()
    dataclasses.replace(policy, menu=None).as_policy()  # as from before menus were remembered
    file.write_text(rows + "# the same\n")
    registry._MADE.clear()
    policy.as_policy()


def test_a_policy_without_a_menu_file_says_nothing_of_one(folder):
    assert "menu" not in json.loads((folder / "policy.json").read_text())
    assert saved_policy.load(folder).menu is None


def test_a_value_by_hand(tmp_path):
    config = DQNConfig(hidden_sizes=(2,))
    weights = np.arange(1.0, 2 + 12 + 4 + 8 + 1, dtype=np.float32)  # bias, kernel, bias, kernel: as a tree is ordered
    save_policy(tmp_path, weights, config, "HeartPole-v0", PROVENANCE)
    # Of obs (1, 0, ...) the hidden layer makes (1 + 3, 2 + 4) = (4, 6), of (-9, 0, ...) zeros.
    policy = saved_policy.load(tmp_path)
    by_hand = [15 + 4 * 19 + 6 * 23, 16 + 4 * 20 + 6 * 24, 17 + 4 * 21 + 6 * 25, 18 + 4 * 22 + 6 * 26]
    np.testing.assert_array_equal(policy.q_values([1, 0, 0, 0, 0, 0]), by_hand)
    np.testing.assert_array_equal(policy.q_values([-9, 0, 0, 0, 0, 0]), [15, 16, 17, 18])
    assert policy.act([1, 0, 0, 0, 0, 0]) == 3


def test_observations_may_come_alone_or_in_batches_of_any_shape(folder):
    policy, obs = saved_policy.load(folder), observed(24)
    whole = policy.q_values(obs)
    assert whole.shape == (24, 4)
    np.testing.assert_allclose(policy.q_values(obs.reshape(2, 3, 4, 6)).reshape(24, 4), whole, rtol=1e-5)
    np.testing.assert_allclose(policy.q_values(obs[5]), whole[5], rtol=1e-5)
    assert policy.act(obs[5]).shape == ()
    assert policy.act(obs.reshape(2, 12, 6)).shape == (2, 12)


@pytest.mark.parametrize("shape", [(5,), (7,), (3, 5), ()])
def test_observations_of_another_shape_are_refused(folder, shape):
    with pytest.raises(ValueError, match=r"^obs must have the shape \(\.\.\., 6\), got \("):
        saved_policy.load(folder).act(np.zeros(shape))


def test_the_description_of_a_policy_comes_back(folder):
    policy = saved_policy.load(folder)
    assert (policy.env, policy.obs_shape, policy.num_actions) == ("HeartPole-v0", (6,), 4)
    assert (policy.hidden_sizes, policy.transform, policy.dueling) == ((64, 64), "heartpole-days", False)
    assert policy.provenance == PROVENANCE
    assert sorted(path.name for path in folder.iterdir()) == ["policy.json", "policy.safetensors"]


def test_every_altered_byte_of_the_weights_is_refused(folder):
    path = folder / "policy.safetensors"
    content = path.read_bytes()
    for position in range(0, len(content), 97):
        altered = bytearray(content)
        altered[position] ^= 1 << position % 8
        path.write_bytes(altered)
        with pytest.raises(ValueError, match=r"policy\.safetensors is not what was saved"):
            saved_policy.load(folder)


def test_every_altered_byte_of_the_description_is_refused_or_was_layout(folder):
    path = folder / "policy.json"
    content = path.read_bytes()
    described = json.loads(content)
    for position in range(len(content)):
        altered = bytearray(content)
        altered[position] ^= 1
        path.write_bytes(altered)
        try:
            saved_policy.load(folder)
        except ValueError as error:
            assert "policy.json" in str(error)  # noqa: PT017
        else:
            assert json.loads(bytes(altered)) == described


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(folder, name, share):
    path = folder / name
    content = path.read_bytes()
    path.write_bytes(content[: int(share * (len(content) - 1))])
    with pytest.raises(ValueError, match=f"{name} is (not what was saved|no JSON)"):
        saved_policy.load(folder)


@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(ValueError, match=f"^no saved policy in .*: {name} is missing; name a folder that"):
        saved_policy.load(folder)
    with pytest.raises(ValueError, match=r"^no saved policy in .*nowhere: policy\.json is missing"):
        saved_policy.load(folder / "nowhere")


def rewrite(folder, arrays=None, content=None, **changes):
    """Both files as someone would forge them, with checksums that hold."""
    path = folder / "policy.json"
    description = json.loads(path.read_text()) | changes
    if arrays is not None:
        content = safetensors.numpy.save(arrays)
    if content is not None:
        (folder / "policy.safetensors").write_bytes(content)
        description["weights_sha256"] = hashlib.sha256(content).hexdigest()
    del description["description_sha256"]
    encoded = json.dumps(description, sort_keys=True).encode()
    path.write_text(json.dumps(description | {"description_sha256": hashlib.sha256(encoded).hexdigest()}))


def arrays_of(folder):
    return safetensors.numpy.load((folder / "policy.safetensors").read_bytes())


def test_another_schema_version_is_refused(folder):
    rewrite(folder, schema_version=2)
    with pytest.raises(ValueError, match=r"policy\.json has schema version 2, and this code reads 1; load it with"):
        saved_policy.load(folder)


def test_a_description_that_lacks_something_is_refused(folder):
    description = json.loads((folder / "policy.json").read_text())
    del description["dueling"], description["env"]
    (folder / "policy.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=r"policy\.json lacks env, dueling; "):
        saved_policy.load(folder)
    (folder / "policy.json").write_text("[1]")
    with pytest.raises(ValueError, match="schema version None"):
        saved_policy.load(folder)


def test_an_unknown_transform_is_refused(folder):
    rewrite(folder, transform="heartpole-years")
    with pytest.raises(ValueError, match=r"unknown transform 'heartpole-years'; known: 'raw', 'heartpole'"):
        saved_policy.load(folder)


def test_shapes_other_than_the_networks_are_refused(folder):
    rewrite(folder, hidden_sizes=[64, 32])
    message = r"policy\.json: the shapes: params/Dense_1/bias should have the shape \(32,\), got \(64,\)"
    with pytest.raises(ValueError, match=message):
        saved_policy.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"env": None}, "env must be a name, got None"),
        ({"obs_shape": [2**40] * 3}, "obs_shape must be a list of sizes up to"),
        ({"obs_shape": [3]}, "takes observations of 6 numbers, got obs_shape"),
        ({"obs_shape": 6}, "obs_shape must be a list"),
        ({"num_actions": True}, "num_actions must be a number of actions"),
        ({"num_actions": 2**70}, "num_actions must be a number of actions"),
        ({"hidden_sizes": [[]]}, "hidden_sizes must be a list"),
        ({"hidden_sizes": [2**20, 2**20]}, "the shapes: params/Dense_0/bias should have the shape"),
        ({"transform": []}, r"unknown transform \[\]"),
        ({"dueling": "x"}, "dueling must be true or false"),
        ({"shapes": {"a": "b"}}, "shapes must be lists of sizes by name"),
        ({"weights_sha256": 1}, "weights_sha256 must be a checksum"),
        ({"provenance": []}, "provenance must be a table"),
        ({"provenance": {"params": {"max_steps": "x"}}}, "params must be numbers by name"),
        ({"provenance": {"num_steps": 1e39}}, "num_steps must be a whole number"),
        ({"menu": 7}, "menu must be a checksum"),
    ],
)
def test_wrong_contents_with_right_checksums_are_refused_before_anything_is_allocated(changes, message, folder):
    rewrite(folder, **changes)
    with pytest.raises(ValueError, match=message):
        saved_policy.load(folder)


def test_weights_larger_than_described_or_of_another_type_are_refused(folder):
    rewrite(folder, {name: array.astype(np.float16) for name, array in arrays_of(folder).items()})
    with pytest.raises(ValueError, match="the weights must be all float32 or all float64"):
        saved_policy.load(folder)
    with (folder / "policy.safetensors").open("ab") as file:
        file.truncate(2**33)  # of nothing: it takes no room on the disk
    with pytest.raises(ValueError, match=r"has 8,589,934,592 bytes, and a policy like this has at most "):
        saved_policy.load(folder)
    (folder / "policy.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match="is nested too deeply"):
        saved_policy.load(folder)


def test_weights_of_other_shapes_than_described_are_refused(folder):
    arrays = arrays_of(folder)
    rewrite(folder, arrays | {"params/Dense_2/bias": np.zeros(5, np.float32)})
    message = r"policy\.safetensors: params/Dense_2/bias should have the shape \(4,\), got \(5,\)"
    with pytest.raises(ValueError, match=message):
        saved_policy.load(folder)
    rewrite(folder, {name: array for name, array in arrays.items() if "Dense_2" not in name})
    with pytest.raises(ValueError, match=r"params/Dense_2/bias should have the shape \(4,\), got nothing"):
        saved_policy.load(folder)
    rewrite(folder, arrays | {"more": np.zeros(2, np.float32)})
    with pytest.raises(ValueError, match=r"more should have the shape of nothing, got \(2,\)"):
        saved_policy.load(folder)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(folder, bad):
    arrays = arrays_of(folder)
    arrays["params/Dense_1/kernel"][3, :2] = bad
    rewrite(folder, arrays)
    with pytest.raises(ValueError, match=r"params/Dense_1/kernel holds 2 numbers that are not finite"):
        saved_policy.load(folder)


def test_weights_that_are_not_finite_are_not_saved(folder):
    before = (folder / "policy.safetensors").read_bytes()
    weights = weights_of(NETWORKS["days"]).at[0].set(jnp.nan)
    with pytest.raises(ValueError, match=r"weights: params/Dense_0/bias holds 1 numbers that are not finite"):
        save_policy(folder, weights, NETWORKS["days"], "HeartPole-v0", PROVENANCE)
    assert (folder / "policy.safetensors").read_bytes() == before


def test_a_pickle_is_never_opened(folder):
    class Trap:
        def __reduce__(self):
            return pytest.fail, ("unpickled",)

    rewrite(folder, content=pickle.dumps(Trap()))
    with pytest.raises(ValueError, match=r"policy\.safetensors is no safetensors file: "):
        saved_policy.load(folder)


def test_a_write_that_fails_leaves_the_policy_of_before(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def refuse(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(OSError, match="no space left"):
        save_policy(folder, weights_of(NETWORKS["days"], 1), NETWORKS["days"], "HeartPole-v0", PROVENANCE)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_policy_runs_in_numpy_on_no_device_and_needs_neither_agents_nor_flax(folder):
    """On a platform that does not exist JAX could compute nothing."""
    code = f"""
import sys
import numpy as np
from heartpole_jax.policies import saved_policy
policy = saved_policy.load({str(folder)!r})
print(policy.act(np.zeros((2, 6))).shape, policy.q_values(np.zeros(6)).shape)
assert not {{"agents", "flax"}} & set(sys.modules), sorted(sys.modules)
"""
    environment = os.environ | {"JAX_PLATFORMS": "nowhere"}
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "(2,) (4,)\n"
