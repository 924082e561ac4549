"""Studies: a file says all there is to know, comes back from each of its forms, and is refused before any training."""

import dataclasses
import json

import pytest
from tiny_menu import TEA

from agents.dqn.config import DQNConfig
from agents.runs import recipes
from agents.sweeps import study, study_file
from agents.sweeps.space import Choices, LogUniform, Uniform
from agents.sweeps.tasks import Halving
from heartpole_jax.envs import registry

SOUND = """
recipe = "heartpole-v0"
num_steps = 1_048_576
seeds = 4
search = "random"
num_configurations = 6
search_seed = 7
num_evaluations = 64
halving = {keep_one_in = 4, rungs = 3}

[config]
batch_size = 64

[hyperparams]
epsilon_end = 0.01

[params]
heart_attack_penalty = 50

[space]
learning_rate = {log_uniform = [1e-4, 1e-2]}
hidden_sizes = {choices = [[32, 32], [64, 64]]}
coffee_alertness_high = {uniform = [0.5, 1.5], points = 3}
"""
SMALL = {"env": "HeartPole-v0", "num_steps": 1_000_000, "seeds": [3, 1]}
DISCOUNT = {"discount": {"uniform": [0.9, 1]}}


@pytest.fixture
def sound(tmp_path):
    (tmp_path / "mine.toml").write_text(SOUND)
    return study_file.load(tmp_path / "mine.toml")


def test_a_study_is_what_its_file_says_and_its_recipe_elsewhere(sound):
    recipe = recipes.named("heartpole-v0")
    assert (sound.name, sound.env, sound.recipe) == ("mine", "HeartPole-v0", "heartpole-v0")
    assert (sound.num_steps, sound.seeds) == (1_048_576, (0, 1, 2, 3))
    assert (sound.search, sound.num_configurations, sound.batch_configurations) == ("random", 6, None)
    assert (sound.search_seed, sound.halving, sound.num_evaluations) == (7, Halving(4, 3), 64)
    assert (sound.evaluation_episodes, sound.final_episodes, sound.keep) == (64, 64, "best")
    assert sound.config == dataclasses.replace(recipe.config, batch_size=64)
    assert vars(sound.hyperparams) == vars(recipe.hyperparams) | {"epsilon_end": 0.01}
    assert sound.params == {"heart_attack_penalty": 50.0}
    assert {type(value) for value in sound.params.values()} == {float}
    assert list(sound.space.items()) == [
        ("learning_rate", LogUniform(1e-4, 1e-2)),
        ("hidden_sizes", Choices(((32, 32), (64, 64)))),
        ("coffee_alertness_high", Uniform(0.5, 1.5, 3)),
    ]
    assert (study.count(sound), study.batch_size(sound)) == (6, 6)
    assert study.swept_params(sound) == ("coffee_alertness_high",)
    assert study.log_scaled(sound) == {"learning_rate"}


def test_a_study_comes_back_from_json_and_from_its_own_file(sound, tmp_path):
    adaptive = study_file.read(
        SMALL | {"name": 'a "b"', "search": "optuna", "num_configurations": 40, "space": DISCOUNT}, "x"
    )
    for one in (sound, adaptive, study_file.read(SMALL, "x")):
        described = json.loads(json.dumps(study_file.as_dict(one), sort_keys=True))
        assert study_file.from_dict(described) == one
        assert list(study_file.from_dict(described).space) == list(one.space)
        (tmp_path / "other.toml").write_text(study_file.as_toml(one), encoding="utf-8")
        assert study_file.load(tmp_path / "other.toml") == one
        assert list(study_file.load(tmp_path / "other.toml").space) == list(one.space)


def test_an_adaptive_search_gets_results_after_every_32_configurations_by_default():
    adaptive = SMALL | {"search": "optuna", "num_configurations": 40, "space": DISCOUNT}
    assert study.batch_size(study_file.read(adaptive, "x")) == 32
    assert study.batch_size(study_file.read(adaptive | {"batch_configurations": 8}, "x")) == 8


@pytest.mark.parametrize(
    ("field", "value"),
    [("halving", (4, 3)), ("seeds", "x"), ("search_seed", "x"), ("params", []), ("space", None), ("space", {"x": 3})],
)
def test_a_study_with_a_field_of_another_type_is_refused_where_it_is_built(sound, field, value):
    with pytest.raises(TypeError, match=f"^{field} must be "):
        dataclasses.replace(sound, **{field: value})


def test_its_own_file_needs_no_recipe(tmp_path):
    (tmp_path / "fast.toml").write_text('env = "HeartPole-v0"\nnum_steps = 500_000\n[hyperparams]\ndiscount = 0.9\n')
    (tmp_path / "mine.toml").write_text('recipe = "fast.toml"\n')
    before = study_file.load(tmp_path / "mine.toml")
    assert (before.hyperparams.discount, before.recipe) == (0.9, str(tmp_path / "fast.toml"))
    (tmp_path / "fast.toml").unlink()
    (tmp_path / "again.toml").write_text(study_file.as_toml(before))
    assert study_file.load(tmp_path / "again.toml") == before


def test_the_digest_shows_studies_apart_but_not_by_name(sound):
    renamed = dataclasses.replace(sound, name="other", recipe="elsewhere.toml")
    assert study_file.digest(renamed) == study_file.digest(sound)
    assert len(study_file.digest(sound)) == 64
    others = [
        dataclasses.replace(sound, search_seed=8),
        dataclasses.replace(sound, seeds=(0, 1, 2, 4)),
        dataclasses.replace(sound, halving=None),
        dataclasses.replace(sound, params={}),
        dataclasses.replace(sound, config=DQNConfig()),
        dataclasses.replace(sound, space=dict(reversed(sound.space.items()))),  # another grid
    ]
    assert len({study_file.digest(one) for one in (sound, *others)}) == 7


def test_the_digest_knows_the_menu_that_a_file_holds(tmp_path):
    path, digests = tmp_path / "tea.toml", []
    for content in (TEA, TEA.replace("0.4", "0.5"), TEA):
        path.write_text(content)
        registry._MADE.clear()
        digests.append(study_file.digest(study_file.read(SMALL | {"env": f"HeartPole-v1:{path}"}, "x")))
    assert digests[0] == digests[2] != digests[1]


def test_a_configuration_is_the_base_with_its_values(sound):
    setting = study.resolve(sound, {"learning_rate": 1, "hidden_sizes": [64, 64], "coffee_alertness_high": 0.75})
    assert setting.config == dataclasses.replace(sound.config, hidden_sizes=(64, 64))
    assert setting.hyperparams == dataclasses.replace(sound.hyperparams, learning_rate=1.0)
    assert type(setting.hyperparams.learning_rate) is float
    assert setting.params == {"heart_attack_penalty": 50.0, "coffee_alertness_high": 0.75}
    assert sound.params == {"heart_attack_penalty": 50.0}
    with pytest.raises(ValueError, match=r"^values must be given for the swept names \['learning_rate', 'hidden_sizes"):
        study.resolve(sound, {"learning_rate": 1.0})


def test_overrides_go_over_the_file_table_by_table():
    content = {"num_steps": 5, "num_configurations": 3, "space": {"a": {"grid": [1]}, "b": 2}, "config": {"n_step": 3}}
    overrides = {"num_steps": 6, "num_configurations": None, "space": {"b": 3, "c": 4}, "hyperparams": {"discount": 1}}
    assert study_file.merge(content, overrides) == {
        "num_steps": 6, "space": {"a": {"grid": [1]}, "b": 3, "c": 4}, "config": {"n_step": 3},
        "hyperparams": {"discount": 1},
    }  # fmt: skip
    assert content["space"] == {"a": {"grid": [1]}, "b": 2}
    assert study_file.merge(content, {"space": {"a": None}})["space"] == {"b": 2}


def test_a_study_without_a_space_is_one_configuration_over_seeds():
    one = study_file.read(SMALL, "seeds")
    assert (study.count(one), one.seeds, one.space) == (1, (3, 1), {})
    assert study.resolve(one, {}) == study.ResolvedConfig(one.config, one.hyperparams, {})


def test_the_trials_of_a_grid_are_counted():
    grid = {
        "discount": {"uniform": [0.9, 1], "points": 5},
        "double": {"choices": [True, False]},
        "n_step": {"grid": [1, 2, 3]},
    }
    assert study.count(study_file.read(SMALL | {"space": grid}, "x")) == 30


def _space(**ranges):
    return {"search": "random", "num_configurations": 4, "space": ranges}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sed": 3}, "unknown key 'sed'; did you mean 'seeds'? known: "),
        ({"num_steps": 1e6}, "num_steps must be a whole number, got 1000000.0"),
        ({"num_steps": 0}, "num_steps must be at least 1 and below 2^31, got 0"),
        ({"num_steps": 5_000, "num_evaluations": 1},
         "learning_starts must be below the run's 5,000 steps, or nothing is learned, got 5,000"),
        ({"env": None}, 'env is missing; give it or a recipe, as in recipe = "heartpole-v0"'),
        ({"env": "HartPole-v0"}, "unknown environment 'HartPole-v0'; did you mean 'HeartPole-v0'?"),
        ({"recipe": "hartpole-v0"}, "unknown recipe 'hartpole-v0'; did you mean 'heartpole-v0'?"),
        ({"recipe": "heartpole-v0", "based_on": "x"}, "recipe and based_on cannot both be given; leave based_on out"),
        ({"based_on": "x", "num_steps": None}, "num_steps is missing, and based_on names a recipe for the record"),
        ({"seeds": 0}, "seeds must be at least 1 and below 2^31, got 0"),
        ({"seeds": 10**7}, "seeds must be at most 1,000,000, got 10,000,000"),
        ({"seeds": True}, "seeds must be how many, or a list of whole numbers, got True"),
        ({"seeds": []}, "seeds must be how many, or a list of whole numbers, got []"),
        ({"seeds": [1, 2, 1]}, "seeds must be distinct, got 1 twice"),
        ({"seeds": [-1]}, "each of seeds must be at least 0 and below 2^32, got -1"),
        ({"seeds": [2**32]}, "each of seeds must be at least 0 and below 2^32, got 4294967296"),
        ({"search_seed": -1}, "search_seed must be at least 0 and below 2^32, got -1"),
        ({"search": "rnadom"}, "unknown search 'rnadom'; did you mean 'random'? known: 'grid', 'random', 'optuna'"),
        ({"search": "random"}, "search = 'random' needs ranges to search in; give [space], or take search = 'grid'"),
        ({"search": "optuna", "space": DISCOUNT}, "num_configurations is missing: search = 'optuna' needs to know"),
        ({"space": DISCOUNT}, "discount has no points for a grid search; add them, as in {uniform = [0.9, 1.0], "),
        ({"num_configurations": 3}, "num_configurations is not for a grid, which has 1, got 3; leave it out, or take "),
        (_space(**DISCOUNT) | {"batch_configurations": 2}, "batch_configurations is for search = 'optuna' alone, got "),
        (_space(**DISCOUNT) | {"num_configurations": 0}, "num_configurations must be at least 1 and below 2^31, got 0"),
        (_space(**DISCOUNT) | {"num_configurations": 600_000},
         "a study must have at most 1,000,000 trials, got 600,000 configurations x 2 seeds = 1,200,000; take fewer"),
        ({"keep": "first"}, "keep must be 'last' or 'best', got 'first'"),
        ({"final_episodes": 1}, "final_episodes must be at least 2, for a standard error, got 1"),
        ({"num_evaluations": 0}, "num_evaluations must be at least 1 and below 2^31, got 0"),
        ({"halving": 4}, "halving must be {keep_one_in = ..., rungs = ...}, got 4"),
        ({"halving": {"keep_one_in": 4}}, "halving must be {keep_one_in = ..., rungs = ...}, got {'keep_one_in': 4}"),
        ({"halving": {"keep_one_in": 1, "rungs": 2}}, "halving: keep_one_in must be a whole number from 2 to 1,000"),
        ({"halving": {"keep_one_in": 4, "rungs": 2.0}}, "halving: rungs must be a whole number from 2 to 1,000"),
        ({"halving": {"keep_one_in": 3, "rungs": 2}}, "num_evaluations must be a multiple of 3, got"),
        ({"num_steps": 32_768, "hyperparams": {"learning_starts": 9_000}, "halving": {"keep_one_in": 4, "rungs": 2}},
         "learning_starts must be below the 8,192 steps of the first rung, or it compares what has not learned, "),
        (_space(learning_rate={"grid": [0.0, 1e-3]}), "allows learning_rate = 0.0, and learning_rate must be gr"),
        (_space(learning_starts={"grid": [10, 2_000_000]}), "learning_starts must be below the run's 1,000,000 steps"),
        ({"config": 3}, "config must be a table, [config], got 3"),
        ({"space": 3}, "[space] space must be a table, [space], got 3"),
        ({"config": {"batch_size": 0}}, "[config] batch_size must be at least 1"),
        ({"hyperparams": {"discount": 1.5}}, "[hyperparams] Hyperparams.discount must be in [0, 1], got 1.5"),
        ({"params": {"max_step": 3}}, "[params] unknown parameter of HeartPole-v0 'max_step'; did you mean "),
        ({"params": {"max_steps": 3.5}}, "[params] max_steps must be a whole number, got 3.5"),
        ({"params": {"expected_penalty": 1.0}}, "[params] expected_penalty is a hyperparameter; give it under "),
        ({"params": {"fatigue_width": 0}}, "[params] EnvParams.fatigue_width must be greater than 0, got 0.0"),
        (_space(discout={"grid": [1]}), "[space] unknown name to sweep 'discout'; did you mean 'discount'?"),
        (_space(discount={"uniform": [0.9, 1.5]}),
         "[space] allows discount = 1.5, and Hyperparams.discount must be in [0, 1], got 1.5"),
        (_space(discount={"choices": [0.9, 0.95, -1]}), "[space] allows discount = -1.0, and Hyperparams.disc"),
        (_space(fatigue_width={"uniform": [0, 1]}),
         "[space] allows fatigue_width = 0.0, and EnvParams.fatigue_width must be greater than 0, got 0.0"),
        (_space(coffee_alertness_low={"uniform": [0, 1.25]}),
         "[space] allows coffee_alertness_low = 1.25, and EnvParams.coffee_alertness_low must not exceed "),
        (_space(coffee_alertness_low={"uniform": [0, 0.75]}, coffee_alertness_high={"grid": [1, 0.5]}),
         "[space] allows coffee_alertness_low = 0.75, coffee_alertness_high = 0.5, and EnvParams.coffee_alertness_low"),
        (_space(num_envs={"choices": [32, 48]}),
         "[space] allows num_envs = 48, and buffer_size must be a multiple of num_envs * steps_per_iteration = 48"),
        (_space(num_envs={"choices": [32, 64]}, buffer_size={"choices": [640, 672]}),
         "[space] allows num_envs = 64, buffer_size = 672, and buffer_size must be a multiple of num_envs"),
        (_space(transform={"choices": ["heartpole", "cartpole"]}),
         "transform 'cartpole' is of CartPole's observations, got HeartPole-v0; take 'raw'"),
        (_space(transform={"choices": ["heartpole-days", "heartpole-v1"]}),
         "transform 'heartpole-v1' takes observations of 8 numbers, got HeartPole-v0 with 6; take 'raw'"),
        ({"num_steps": 100_000} | _space(num_envs={"choices": [64, 512]}, buffer_size={"grid": [128_000]}),
         "num_steps must be within 2 % of 49 equal chunks of a multiple of 8,192 steps, got 100,000; take 401,408, "),
        ({"space": {"target_period": {"uniform": [1, 3], "points": 5}}},
         "[space] target_period must be a whole number, got 1.5"),
        (_space(target_period={"choices": [16, 2.5]}),
         "[space] allows target_period = 2.5, and Hyperparams.target_period must be a whole number of at least 1"),
        (_space(target_period={"log_uniform": [1, 100]}),
         "[space] target_period must be a whole number, and a range has others, got {'log_uniform': [1.0, 100.0]}; "),
        ({"hyperparams": {"target_period": 2.5}},
         "[hyperparams] Hyperparams.target_period must be a whole number of at least 1 and below 2^31, got 2.5"),
        (_space(batch_size={"grid": list(range(1, 10_002))}), "batch_size make 10,001 programs, each to be "),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_any_training(changes, message):
    content = study_file.merge(SMALL, changes)
    with pytest.raises((ValueError, TypeError)) as error:
        study_file.read(content, "x")
    assert message in str(error.value)


def test_ranges_that_agree_with_each_other_need_not_agree_with_the_base():
    both = {"coffee_alertness_low": {"uniform": [1.5, 2]}, "coffee_alertness_high": {"uniform": [2, 3]}}
    assert list(study_file.read(SMALL | _space(**both), "x").space) == list(both)


def test_a_mistake_is_named_with_its_file(tmp_path):
    (tmp_path / "mine.toml").write_text('env = "HeartPole-v0"\nseeds = "many"\n')
    with pytest.raises(
        ValueError, match=r"mine\.toml: seeds must be how many, or a list of whole numbers, got 'many'$"
    ):
        study_file.load(tmp_path / "mine.toml")
    with pytest.raises(ValueError, match=r"^cannot read the study .*nowhere\.toml: No such file or directory$"):
        study_file.load(tmp_path / "nowhere.toml")
    (tmp_path / "mine.toml").write_text("env: A")
    with pytest.raises(ValueError, match=r"mine\.toml is not TOML: "):
        study_file.load(tmp_path / "mine.toml")


def test_a_description_whose_space_is_damaged_is_refused(sound):
    for damaged in (None, 3, [3], [{"grid": [1]}]):
        with pytest.raises(ValueError, match=r"^space must be a list of ranges, each with its name, got "):
            study_file.from_dict({**study_file.as_dict(sound), "space": damaged})


@pytest.mark.parametrize("path", sorted((recipes.FOLDER.parent / "studies").glob("*.toml")), ids=lambda path: path.stem)
def test_the_studies_of_this_project_are_sound(path):
    assert study_file.load(path).name == path.stem
