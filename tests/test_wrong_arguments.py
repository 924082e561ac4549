"""Arguments of the wrong kind: mixed-up tuples, swapped places, another version's: each is named."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax import arguments, evaluation, gradients, identification, optimum, threefry, validation
from heartpole_jax.envs import heartpole_v0, heartpole_v1, menu, physiology, registry
from heartpole_jax.policies import transforms
from heartpole_jax.rollout import reward_of

KEY = jax.random.key(0)
WORDS = (np.uint32(1), np.uint32(2))
V1 = hp.make("HeartPole-v1")


class Trained:
    """What gives something else than a policy as its own."""

    weights = np.zeros(1000)

    def as_policy(self):
        return "no policy"


@pytest.fixture(scope="module")
def start():
    return hp.reset(KEY)


@pytest.fixture(scope="module")
def start_v1():
    return V1.reset(KEY)


CASES = {
    "mixed-up tuple": (
        lambda v0, v1: hp.step(v0[1], 0, KEY),
        "state must be an EnvState, got an array of float32 of shape "
        "(6,); reset and step return the state first, then obs",
    ),
    "the pair of a reset": (lambda v0, v1: hp.step(v0, 0, KEY), "state must be an EnvState, got a tuple of 2; "),
    "v1's state": (
        lambda v0, v1: hp.step(v1[0], 0, KEY),
        "state must be an EnvState of heartpole_jax.envs.heartpole_v0, got an EnvState of "
        "heartpole_jax.envs.heartpole_v1",
    ),
    "v0's state": (
        lambda v0, v1: V1.step(v0[0], 0, KEY),
        "state must be an EnvState of heartpole_jax.envs.heartpole_v1",
    ),
    "key and action": (lambda v0, v1: hp.step(v0[0], KEY, 0), "key must be a JAX random key, got 0; make one with"),
    "a key as noise": (
        lambda v0, v1: hp.transition(v0[0], 0, KEY),
        "noise must be a Noise, got random keys of shape ()",
    ),
    "params as key": (lambda v0, v1: hp.reset(hp.EnvParams()), "key must be a JAX random key, got an EnvParams"),
    "v1's params": (
        lambda v0, v1: hp.reset(KEY, V1.default_params),
        "params must be an EnvParams of heartpole_jax.envs.h",
    ),
    "v0's params": (
        lambda v0, v1: V1.reset(KEY, hp.EnvParams()),
        "params must be an EnvParams of heartpole_jax.envs.heartpole_v1",
    ),
    "a key as params": (
        lambda v0, v1: V1.step(v1[0], 0, KEY, KEY),
        "params must be an EnvParams, got random keys of sh",
    ),
    "params of a rollout": (
        lambda v0, v1: hp.rollout(lambda k, o: 0, KEY, KEY, num_envs=1),
        "params must be an EnvParams",
    ),
    "an environment's name": (
        lambda v0, v1: hp.rollout(lambda k, o: 0, KEY, env="HeartPole-v0", num_envs=1),
        "env must be an Environment, got 'HeartPole-v0'; heartpole_jax.make(name) finds one",
    ),
    "a trained policy": (
        lambda v0, v1: evaluation.evaluate(Trained(), KEY),
        "policy must be a Policy or a function (key, obs) -> action, got 'no policy'",
    ),
    "policy and key": (
        lambda v0, v1: evaluation.evaluate(KEY, hp.policies.reference()),
        "policy must be a Policy or a fun",
    ),
    "key and params": (
        lambda v0, v1: evaluation.evaluate(hp.policies.reference(), hp.EnvParams(), KEY),
        "key must be a JAX",
    ),
    "params of evaluate": (
        lambda v0, v1: evaluation.evaluate(hp.policies.reference(), KEY, KEY),
        "params must be an EnvPar",
    ),
    "params of evaluate_v1": (
        lambda v0, v1: evaluation.evaluate(lambda k, o: 0, KEY, hp.EnvParams(), env=V1),
        "params must be an EnvParams of heartpole_jax.envs.heartpole_v1",
    ),
    "half an episode": (
        lambda v0, v1: evaluation.evaluate(hp.policies.reference(), KEY, num_episodes=4.5),
        "num_episodes must be a whole number",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_an_argument_of_the_wrong_kind_is_named(case, start, start_v1):
    call, message = CASES[case]
    with pytest.raises(TypeError) as raised:
        call(start, start_v1)
    assert message in str(raised.value)
    assert len(str(raised.value)) < 250


@arguments.checked(key=arguments.check_key, env=hp.Environment, share=validation.check_share)
def example(key, env=None, share=0.5):
    return share


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"key": 3}, TypeError, "key must be a JAX random key, got 3; make one with jax.random.key(0)"),
        (
            {"key": jax.random.split(KEY)},
            ValueError,
            "key must be one key, got random keys of shape (2,); map ",
        ),
        ({"key": np.zeros(2)}, TypeError, "key must be a typed key or raw uint32 words, got dtype float64"),
        ({"key": KEY, "env": "HeartPole-v0"}, TypeError, "env must be an Environment, got 'HeartPole-v0'"),
        ({"key": KEY, "share": float("nan")}, ValueError, "share must be a number in [0, 1], got nan"),
        ({"key": KEY, "share": KEY}, ValueError, "share must be a number in [0, 1], got random keys of shape ()"),
        ({"key": KEY, "shore": 1}, TypeError, "example: got an unexpected keyword argument 'shore'"),
        ({}, TypeError, "example: missing a required argument: 'key'"),
    ],
)
def test_a_function_checks_its_arguments_by_name(given, error, message):
    with pytest.raises(error) as raised:
        example(**given)
    assert message in str(raised.value)
    assert example(KEY) == example(jnp.zeros(2, jnp.uint32), env=None) == 0.5


PUBLIC = {
    "step_autoreset": (hp.step_autoreset, {"env": "HeartPole-v0"}),
    "checked": (hp.checked, {"env": None}),
    "several thresholds": (hp.policies.rested, {"alertness": np.zeros(3)}),
    "params of a policy": (hp.policies.make, {"params": {}, "name": "reference"}),
    "rested": (hp.policies.rested, {"alertness": float("nan")}),
    "a threshold past int32": (hp.policies.rested, {"time_since_slept": 2**31}),
    "a threshold past float32": (hp.policies.ballmer_peak, {"intoxication": 1e39}),
    "a name": (evaluation.evaluate, {"name": 3}),
    "one value": (evaluation.estimate, {"values": [1.0]}),
    "a seed below 0": (evaluation.across_seeds, {"bootstrap_seed": -1, "regrets": np.arange(4.0)}),
    "fractions of actions": (gradients.estimate, {"weights of Doses": None, "policy": gradients.Doses(weights=3)}),
    "rested of v1": (hp.policies.heartpole_v1.rested, {"menu": {}}),
    "change": (menu.change, {"menu": 3, "name": "coffee"}),
    "load": (menu.load, {"file": 3}),
    "where a menu is": (menu.check, {"where": [], "menu": menu.default()}),
    "rows as marks": (menu.is_one_of, {"chosen": menu.default().actions[:1], "marks": [True]}),
    "sober_optimum": (optimum.sober_optimum, {"params": V1.default_params}),
    "leaderboard": (evaluation.leaderboard, {"policies": ["reference"]}),
    "estimate": (gradients.estimate, {"wrt": 3}),
    "order": (gradients.estimate, {"order": KEY}),
    "a switch": (gradients.estimate, {"control_variates": np.ones(3)}),
    "finite_differences": (gradients.finite_differences, {"relative_step": 0.0}),
    "another switch": (gradients.finite_differences, {"integrate_attacks": np.ones(3)}),
    "a class as policy": (gradients.estimate, {"policy": hp.EnvParams}),
    "fit": (identification.fit, {"traces": 3}),
    "some traces": (identification.fit, {"traces": [3]}),
    "progress": (identification.fit, {"progress": 3}),
    "other actions": (identification.counterfactual, {"other_actions": KEY}),
    "hours of no steps": (identification.traces.half_hours_awake, {"actions": KEY}),
    "hours of a number": (identification.traces.half_hours_awake, {"actions": np.zeros(())}),
    "check_trace": (identification.check_trace, {"trace": 3}),
    "counterfactual": (identification.counterfactual, {"params": 3}),
    "residuals": (identification.residuals, {"observation_noise": 0.1}),
    "observe": (identification.observe, {"missing": 1.5}),
    "infer_noise": (identification.infer_noise, {"heart_attack": -(2**63)}),
    "a width of 0": (physiology.alertness_decay, {"width": 0}),
    "widths of 0": (physiology.ballmer_function, {"peak_width": np.zeros(2)}),
    "a score": (physiology.score, {"time_elapsed": "x"}),
    "check_step": (heartpole_v0.check_step, {"state_type": 3, "params_type": hp.EnvParams}),
    "check_action": (heartpole_v0.check_action, {"num_actions": KEY}),
    "a list as action": (heartpole_v0.check_action, {"action": [1, [2]]}),
    "awake_state": (heartpole_v0.awake_state, {"params": {}, "u": 0.5}),
    "several patients awake": (heartpole_v0.awake_state, {"u": np.zeros(2)}),
    "productivity": (heartpole_v0.productivity, {"state": "x"}),
    "productivity of v1": (heartpole_v1.productivity, {"state": None, "params": V1.default_params}),
    "effective_alertness": (heartpole_v1.effective_alertness, {"stimulation": "x"}),
    "coffee": (heartpole_v0.drink_coffee, {"noise": KEY}),
    "sleep": (heartpole_v0.sleep, {"state": None}),
    "validate": (heartpole_v0.validate, {"params": {}}),
    "half an hour": (heartpole_v0.half_hour_passed, {"params": V1.default_params}),
    "a hazard": (heartpole_v1.take_break, {"hazard": "x", "chosen": []}),
    "a menu's dose": (menu.dose, {"menu": {}, "channel": "hypertension", "chosen": [], "u": 0.5}),
    "no number": (menu.pick, {"otherwise": "x", "chosen": [True], "values": [1.0]}),
    "no rows": (menu.pick, {"chosen": [], "values": [1.0]}),
    "located": (registry.located, {"name": 3}),
    "digest": (registry.digest, {"name": None}),
    "reward_of": (reward_of, {"transition": {}}),
    "values": (
        evaluation.without_attack_noise,
        {"values": "x", "attacks": np.zeros(4), "risks": np.zeros(4), "per_attack": 1.0},
    ),
    "uniforms": (threefry.uniforms, {"num": 2.5}),
    "a block": (threefry.uniforms, {"first_block": -1, "num": 1}),
    "words": (threefry.random_words, {"num": 0}),
    "a random int": (threefry.random_int, {"num": "x"}),
    "too many": (threefry.random_int, {"num": 2**17}),
    "purpose": (threefry.derived_key, {"purpose": 10**30}),
    "a word": (threefry.as_uniform, {"word": 3}),
    "rounds": (threefry.threefry2x32, {"num_rounds": "x", "key": WORDS, "counter": WORDS}),
    "counter": (threefry.threefry2x32, {"counter": KEY, "key": WORDS}),
    "words of a key": (threefry.key_at, {"words": KEY, "index": WORDS[0], "time": WORDS[0]}),
    "time": (threefry.key_at, {"time": 0, "index": WORDS[0], "words": WORDS}),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_functions_name_the_argument_that_is_wrong(name, start):
    function, bad = PUBLIC[name]
    good = {"key": KEY, "state": start[0], "next_state": start[0], "action": 0}
    trace = identification.make_trace([0])
    good |= {"trace": trace, "traces": trace, "noise": identification.ObservationNoise(), "policy": _nothing}
    good |= {"params": hp.EnvParams(), "observation_noise": identification.ObservationNoise(), "objective": "return"}
    good |= {"otherwise": 0.0, "alertness": 1.0, "impairment": 0.0, "intoxication": 0.1, "work_done": 1.0}
    good |= {"time_since_slept": 3} if function is physiology.alertness_decay else {}
    good |= {"wrt": "fatigue_width", "names": "fatigue_width", "other_actions": [0], "num_episodes": 4}
    known = inspect.signature(function).parameters
    with pytest.raises((TypeError, ValueError), match=rf"^{next(iter(bad))} must be "):
        function(**{key: value for key, value in (good | bad).items() if key in known})


TRANSFORMED = {
    "raw": (transforms.raw, "x"),
    "no array": (transforms.heartpole_features, [0.0] * 6),
    "keys": (transforms.heartpole_v1_features, KEY),
    "texts": (transforms.cartpole_features, np.array(["x"] * 4)),
    "one number": (transforms.constant, np.zeros(())),
    "no numbers": (transforms.constant, np.zeros((3, 0))),
    "v1's observation": (transforms.heartpole_days, np.zeros((2, 8))),
    "CartPole's observation": (transforms.mountaincar_features, np.zeros(4)),
    "no time in it": (transforms.half_hours, np.zeros(4)),
}


@pytest.mark.parametrize("case", TRANSFORMED)
def test_a_transform_refuses_what_is_no_observation_of_its_environment(case):
    transform, obs = TRANSFORMED[case]
    with pytest.raises((TypeError, ValueError), match=r"^obs must be (an? |of shape \(\.\.\., )"):
        transform(obs)


def test_whole_numbers_of_few_bits_are_whole_numbers():
    few = hp.rollout(_nothing, KEY, num_envs=np.int8(2), num_steps=np.int8(1))
    np.testing.assert_array_equal(few.totals, hp.rollout(_nothing, KEY, num_envs=2, num_steps=1).totals)
    np.testing.assert_array_equal(threefry.fold_in(KEY, np.int8(3)), threefry.fold_in(KEY, 3))


@pytest.mark.parametrize("action", [2.5, None, "x"])
def test_a_policy_that_is_differentiated_must_return_whole_numbers(action):
    policy = lambda key, obs: action
    with pytest.raises(TypeError, match=r"^action must be an integer in 0 \.\. 3, got "):
        gradients.estimate("return", KEY, policy=policy, wrt="fatigue_width", num_episodes=4, num_steps=1)


def test_a_policy_may_carry_an_array_without_numbers():
    act = lambda params, carry, obs, draw: (jnp.int32(0), carry)
    envs = hp.rollout(hp.Policy(act=act, carry=jnp.zeros((3, 0))), KEY, num_envs=2, num_steps=1).envs
    assert envs.carry.shape == (2, 3, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", 3), ("num_actions", "4"), ("num_actions", 0), ("obs_shape", 6), ("obs_shape", (6.0,)), ("observe", None)],
)
def test_an_environment_of_the_wrong_parts_is_refused_where_it_is_built(field, value):
    with pytest.raises((TypeError, ValueError), match=f"^{field} must be "):
        dataclasses.replace(V1, **{field: value})


def test_each_size_of_the_observations_is_checked():
    with pytest.raises(ValueError, match=r"^each of obs_shape must be at least 1 and below .*, got -6"):
        dataclasses.replace(V1, obs_shape=(-6,))


def test_the_numbers_of_all_episodes_are_needed_to_take_noise_out():
    with pytest.raises(ValueError, match=r"must be of one number an episode, got shapes \(4,\), \(3,\) and \(4,\)"):
        evaluation.without_attack_noise(np.zeros(4), np.zeros(3), np.zeros(4), 1.0)


def test_a_batch_of_states_without_vmap_is_refused(start):
    batch = jax.tree.map(lambda x: jnp.stack([x, x]), start[0])
    with pytest.raises(ValueError, match=r"state must be one patient's, of leaves of shape \(\), got \(2,\); jax.vmap"):
        hp.step(batch, 0, KEY)


def _nothing(key, obs):
    return jnp.int32(0)


@pytest.fixture(scope="module")
def envs():
    return {
        env.name: hp.rollout(_nothing, KEY, env=env, num_envs=2, num_steps=1).envs
        for env in (hp.make("HeartPole-v0"), V1)
    }


@pytest.mark.parametrize(("own", "other"), [("HeartPole-v0", "HeartPole-v1"), ("HeartPole-v1", "HeartPole-v0")])
def test_a_rollout_does_not_go_on_from_environments_of_another_environment(own, other, envs):
    with pytest.raises(ValueError, match="start must hold the environments of this environment, got those of another"):
        hp.rollout(_nothing, KEY, env=hp.make(own), num_envs=2, num_steps=1, start=envs[other])


def test_a_rollout_does_not_go_on_from_environments_of_another_policy_or_from_a_rollout(envs):
    with pytest.raises(ValueError, match="start must hold the environments of this policy, got those of another"):
        hp.rollout(hp.policies.reference(), KEY, num_envs=2, num_steps=1, start=envs["HeartPole-v0"])
    whole = dataclasses.replace(envs["HeartPole-v0"], carry=np.int32(0))
    with pytest.raises(ValueError, match="start must hold the environments of this policy, got those of another"):
        hp.rollout(_nothing, KEY, num_envs=2, num_steps=1, start=whole)
    with pytest.raises(TypeError, match="start must be an Envs, got a dict; give the `envs` of a rollout"):
        hp.rollout(_nothing, KEY, num_envs=2, num_steps=1, start={})
