"""The page's JavaScript is held to the Python: the golden traces, the noise, the agents, the optimum."""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import node
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax import policies, threefry
from heartpole_jax.optimum import sober_optimum
from heartpole_jax.playground import contents
from heartpole_jax.policies import q_network
from heartpole_jax.rollout import everything, rollout

DATA = pathlib.Path(__file__).parent.parent / "data"
pytestmark = [pytest.mark.once, node.NEEDED]

# An episode of given actions and noise, as rows of the observation's numbers, returns and attacks.
REPLAY = """
const env = given.env;
return given.episodes.map(({ wake_up, actions, noise }) => {
  const at = (t) => ({ alertness: noise[t][0], hypertension: noise[t][1], intoxication: noise[t][2],
                       heartAttack: noise[t][3] });
  const episode = game.beginEpisode(env, env.params, { wakeUp: wake_up, at });
  actions.forEach((action) => game.advance(episode, action));
  const { penalty } = given;
  return {
    states: episode.states.map((state) => game.observation(env, state)),
    rewards: episode.events.map(({ gain, attack }) => gain - 100 * attack),
    attacks: episode.events.map(({ attack }) => attack),
    risks: episode.events.map(({ risk }) => risk),
  };
});
"""


@pytest.fixture(scope="session")
def data():
    return contents.contents()


def as_env(data, name):
    return data["environments"][name]


@pytest.mark.parametrize("version", ["v0", "v1"])
def test_every_golden_trace_is_met_to_1e_9(data, version):
    """33 episodes of the published package, 16 of the NumPy oracle; attacks to the half-hour."""
    with np.load(DATA / f"heartpole_{version}_traces.npz") as file:
        golden = {name: array for name, array in file.items() if array.dtype.kind != "U"}
    episodes = [
        {name: golden[name][i].astype(float if name != "actions" else int).tolist() for name in
         ("wake_up", "actions", "noise")}
        for i in range(len(golden["actions"]))
    ]  # fmt: skip
    env = as_env(data, f"HeartPole-{version}")
    found = node.run(REPLAY, {"env": env, "episodes": episodes})
    for i, episode in enumerate(found):
        states = np.array(episode["states"])
        assert (np.abs(states - golden["states"][i]) <= 1e-9 * np.maximum(1.0, np.abs(golden["states"][i]))).all()
        np.testing.assert_allclose(episode["rewards"], golden["rewards"][i], rtol=0, atol=1e-9)
        np.testing.assert_array_equal(episode["attacks"], golden["heart_attacks"][i])
        if "risks" in golden:
            np.testing.assert_allclose(episode["risks"], golden["risks"][i], rtol=0, atol=1e-12)


def test_threefry_gives_the_words_of_the_python_for_every_number_of_rounds():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**32, (200, 4), dtype=np.uint32)
    words[:3] = [[0] * 4, [2**32 - 1] * 4, [0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3]]
    for num_rounds in (13, 20):
        code = f"return given.map(([a, b, c, d]) => threefry.threefry2x32([a, b], [c, d], {num_rounds}));"
        found = np.array(node.run(code, words.tolist()), np.uint32)
        expected = threefry.threefry2x32((words[:, 0], words[:, 1]), (words[:, 2], words[:, 3]), num_rounds)
        np.testing.assert_array_equal(found, np.stack(expected, axis=1))
    # Random123's known answer for 20 rounds, which both could miss together.
    assert [f"{word:08x}" for word in found[2]] == ["c4923a9c", "483df7a0"]


@pytest.mark.parametrize("seed", [0, 1, 7, 2**31, 2**32 - 1])
def test_the_noise_of_a_seed_is_that_of_rollout_to_the_bit(seed):
    key = jax.random.key(seed)
    streams = [threefry.fold_in(key, purpose) for purpose in (0, 2)]
    times = jnp.arange(300, dtype=jnp.uint32)
    draw = lambda time: hp.sample_noise(threefry.key_at(streams[0], jnp.uint32(0), time))
    noise = jax.jit(jax.vmap(draw))(times)
    wake_up = hp.heartpole_v0.sample_wake_up(threefry.key_at(streams[1], jnp.uint32(0), jnp.uint32(0)))
    code = """
const noise = threefry.episodeNoise(given);
const rows = Array.from({ length: 300 }, (_, t) => noise.at(t));
return [noise.wakeUp, rows.map((row) => [row.alertness, row.hypertension, row.intoxication, row.heartAttack])];
"""
    found_wake_up, rows = node.run(code, seed)
    assert found_wake_up == float(wake_up)
    expected = np.stack([noise.alertness, noise.hypertension, noise.intoxication, noise.heart_attack], axis=1)
    np.testing.assert_array_equal(np.array(rows), expected.astype(float))


@pytest.mark.parametrize(("name", "policy"), [("HeartPole-v0", "coffee after waking"), ("HeartPole-v1", "coffee")])
def test_an_episode_of_a_seed_is_that_of_rollout(data, name, policy):
    """Both ways together: the noise of a seed and the model, and the return with expected penalties. Python in float32,
    so to its rounding."""
    env = hp.make(name)
    params = dataclasses.replace(env.default_params, expected_penalty=1.0)
    result = rollout(
        policies.make(policy, env=env), jax.random.key(5), params, env=env, num_envs=1, num_steps=200, record=everything
    )
    records = jax.tree.map(lambda x: np.asarray(x[:, 0]), result.records)
    code = """
const episode = game.beginEpisode(given.env, given.env.params, threefry.episodeNoise(5));
given.actions.forEach((action) => game.advance(episode, action));
return [episode.states.slice(1).map((state) => game.observation(given.env, state)),
        episode.events.map(({ attack }) => attack), episode.totals.at(-1).total];
"""
    states, attacks, total = node.run(code, {"env": as_env(data, name), "actions": records.action.tolist()})
    assert len(set(records.action.tolist())) == 3
    largest = np.abs(records.next_obs).max(axis=0)
    assert (np.abs(np.array(states) - records.next_obs) <= 2e-5 * np.maximum(largest, 1e-3)).all()
    np.testing.assert_array_equal(attacks, records.info.heart_attack)
    assert total == pytest.approx(float(result.totals[0]), rel=1e-4)


def visited(name, seed=3):
    """10,000 observations of an environment, float32: half from episodes at random, half of them far from any."""
    env = hp.make(name)
    random = policies.scripted.uniformly_random(env.num_actions)
    obs = rollout(
        random, jax.random.key(seed), env=env, num_envs=25, num_steps=200, record=lambda transition: transition.obs
    ).records
    obs = np.asarray(obs).reshape(-1, env.obs_shape[0])
    shaken = obs * np.exp(np.random.default_rng(seed).uniform(-2.5, 2.5, obs.shape))
    return np.concatenate([obs, shaken]).astype(np.float32)


def wide(policy):
    """The same network in float64."""
    return dataclasses.replace(policy, weights={key: x.astype(np.float64) for key, x in policy.weights.items()})


@pytest.mark.parametrize("name", ["HeartPole-v0", "HeartPole-v1"])
def test_the_agent_acts_as_in_python_on_10_000_observations(data, name):
    """Python computes in float32, the page in float64 from the same weights and observations.

    Held to the network computed by NumPy in float64, every action is the same. Held to Python's own, so are all but
    those where two values are closer than float32 can tell apart, 1e-4 here: at most 20 of 10,000.
    """
    obs, policy = visited(name), contents.shipped(name)
    assert obs.shape[0] == 10_000
    code = """
const net = network.makeNetwork(given.network);
return given.obs.map((row) => network.actionValues(net, row));
"""
    values = np.array(node.run(code, {"network": as_env(data, name)["agent"]["network"], "obs": obs.tolist()}))
    found = values.argmax(axis=1)
    exact = wide(policy)._output(obs.astype(np.float64))
    np.testing.assert_allclose(values, exact, rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(found, exact.argmax(axis=1))
    best, second = np.sort(exact, axis=1)[:, ::-1][:, :2].T
    others = found != policy.act(obs)
    assert not np.any(others & (best - second > 1e-4))
    assert others.sum() <= 20
    assert len(set(found.tolist())) >= 3  # a network that always does the same would prove nothing


def test_networks_with_layer_norm_and_dueling_act_as_in_python(data):
    rng = np.random.default_rng(4)
    shipped = contents.shipped("HeartPole-v0")
    sizes = {"hidden_sizes": (8, 8), "transform": "heartpole", "dueling": True, "layer_norm": True}
    shapes = q_network.shapes((6,), 4, (8, 8), "heartpole", True, True)
    # Small: the little that is added to each variance counts.
    weights = {key: rng.normal(size=shape, scale=1e-3).astype(np.float32) for key, shape in shapes.items()}
    policy = type(shipped)(**{**vars(shipped), **sizes, "weights": weights})
    obs = visited("HeartPole-v0")[::50]
    code = "const net = network.makeNetwork(given.network);"
    code += "return given.obs.map((row) => network.actionValues(net, row));"
    values = node.run(code, {"network": contents.network(policy), "obs": obs.tolist()})
    np.testing.assert_allclose(values, wide(policy)._output(obs.astype(np.float64)), rtol=1e-9, atol=1e-14)


SOLVE = """
const solve = (params) => { const steps = optimum.solveSober(params); let step; do step = steps.next();
                            while (!step.done); return step.value; };
"""


@pytest.mark.parametrize(
    "changes", [{}, {"max_steps": 150}, {"max_steps": 60, "fatigue_onset": 80.0, "wake_up_alertness_high": 1.8}]
)
def test_the_optimum_sleeps_when_the_python_one_does(data, changes):
    """Its prices to 1e-9, and the same actions in whole episodes on the same noise."""
    params = hp.EnvParams(**changes)
    solved = sober_optimum(params)
    env = as_env(data, "HeartPole-v0")
    code = f"""{SOLVE}
const params = {{ ...given.env.params, ...given.changes }};
const solved = solve(params);
const episodes = [0, 1, 2, 3].map((seed) => {{
  const noise = threefry.episodeNoise(seed);
  const rival = game.makeRival(game.soberPolicy(solved), given.env, params, noise);
  rival.totalsAt({{ num_steps: params.max_steps }});
  return [rival.episode.actions, rival.episode.totals.at(-1).gain, rival.episode.totals.at(-1).risk];
}});
return [solved.days.map((days) => days.price), episodes];
"""
    prices, episodes = node.run(code, {"env": env, "changes": changes})
    np.testing.assert_allclose(prices, solved.prices, rtol=1e-9)
    policy = policies.optimal(params)
    for seed, (actions, score, risk) in enumerate(episodes):
        result = rollout(policy, jax.random.key(seed), params, num_envs=1, record=everything)
        records = jax.tree.map(lambda x: np.asarray(x[:, 0]), result.records)
        np.testing.assert_array_equal(actions, records.action)
        last = records.next_obs[-1]
        assert score == pytest.approx(last[5] / last[4], abs=2e-5)
        assert risk == pytest.approx(params.max_steps * 0.0012363115783173872, rel=1e-9)


def test_extreme_constants_make_no_number_that_is_none(data):
    """And no computing without end: every policy, 60 decisions, constants at the ends of fields and sliders."""
    rng = np.random.default_rng(1)
    for name in ("HeartPole-v0", "HeartPole-v1"):
        env = as_env(data, name)
        cases = []
        while len(cases) < 40:
            params = dict(env["params"])
            for constant in rng.choice(sorted(params), 4, replace=False):
                limits = env["constants"][constant]
                params[constant] = rng.choice(
                    [
                        limits["max"],
                        limits["min"] + 1e-3 * limits["exclusive"],
                        limits["slider"][0],
                        limits["slider"][1],
                    ]
                ).item()
            params[env["limit"]["name"]] = int(rng.choice([1, 2, 17, 60]))
            cases.append(params)
        code = f"""{SOLVE}
const {{ env, cases }} = given;
const allowed = (params) => Object.keys(params).every((key) => game.problemOf(params[key], key, params, env) === null);
return cases.filter(allowed)
  .map((params) => {{
    const noise = threefry.episodeNoise(1);
    const players = [game.networkPolicy(env, network.makeNetwork(env.agent.network))];
    const solved = env.rival === "optimum" ? solve(params) : null;
    if (solved) players.push(game.soberPolicy(solved));
    if (env.rival !== "optimum") players.push(game.coffeeAndExercise(env));
    return players.map((player) => {{
      const rival = game.makeRival(player, env, params, noise);
      return rival.totalsAt({{ num_steps: 60, time_elapsed: 60 }}).total;
    }});
  }});
"""
        totals = [total for each in node.run(code, {"env": env, "cases": cases}) for total in each]
        assert len(totals) > 15
        assert all(total is not None and np.isfinite(total) for total in totals)  # JSON has null for NaN


def test_where_rest_makes_less_productive_there_is_no_optimum(data):
    env = as_env(data, "HeartPole-v0")
    code = f"{SOLVE} return solve({{ ...given, wake_up_alertness_high: 9 }});"
    assert node.run(code, env["params"]) is None
    with pytest.raises(ValueError, match="productivity to rise"):
        sober_optimum(hp.EnvParams(wake_up_alertness_high=9.0))


def test_coffee_and_exercise_acts_as_in_python(data):
    env = hp.make("HeartPole-v1")
    result = rollout(
        policies.make("coffee and exercise", env=env), jax.random.key(2), env=env, num_envs=1, num_steps=700,
        record=lambda transition: transition.action,
    )  # fmt: skip
    code = """
const env = given;
const rival = game.makeRival(game.coffeeAndExercise(env), env, env.params, threefry.episodeNoise(2));
rival.totalsAt({ time_elapsed: 1344 });
return rival.episode.actions;
"""
    actions = node.run(code, as_env(data, "HeartPole-v1"))
    expected = np.asarray(result.records)[: len(actions), 0]
    assert len(actions) > 650
    np.testing.assert_array_equal(actions[: len(expected)], expected)
