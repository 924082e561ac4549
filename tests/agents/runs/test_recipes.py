"""Recipes: what a file says is what one gets, and what it says wrong is named."""

import dataclasses

import pytest

from agents.dqn.config import DQNConfig, Hyperparams
from agents.runs import loop, recipes
from heartpole_jax.envs import registry

SOUND = """
env = "gymnax:CartPole-v1"
num_steps = 50_000

[config]
hidden_sizes = [120, 84]
dueling = true
num_envs = 2

[hyperparams]
learning_rate = 2.5e-4
learning_starts = 10_000
"""


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "mine.toml"
        path.write_text(content)
        return path

    return write


def test_a_recipe_is_what_its_file_says_and_defaults_elsewhere(write):
    recipe = recipes.load(write(SOUND))
    assert (recipe.name, recipe.env, recipe.num_steps) == ("mine", "gymnax:CartPole-v1", 50_000)
    assert recipe.config == DQNConfig(hidden_sizes=(120, 84), dueling=True, num_envs=2)
    expected = dataclasses.replace(Hyperparams(), learning_rate=2.5e-4, learning_starts=10_000)
    assert vars(recipe.hyperparams) == vars(expected)


def test_every_hyperparameter_is_a_float_since_whole_numbers_would_make_another_program(write):
    assert {type(value) for value in vars(recipes.load(write(SOUND)).hyperparams).values()} == {float}


def test_a_recipe_needs_no_tables(write):
    recipe = recipes.load(write('env = "HeartPole-v0"\nnum_steps = 64\n'))
    assert recipe.config == DQNConfig()
    assert vars(recipe.hyperparams) == vars(Hyperparams())


START = 'env = "A"\nnum_steps = 5\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("num_steps = 5", "env is missing"),
        ('env = "A"', "num_steps is missing"),
        ("env = 7\nnum_steps = 5", "env must be a text, got 7"),
        ('env = "A"\nnum_steps = 5.0', "num_steps must be a whole number, got 5.0"),
        ('env = "A"\nnum_steps = true', "num_steps must be a whole number, got True"),
        ('env = "A"\nnum_steps = 0', "num_steps must be at least 1 and below 2^31, got 0"),
        ("num_stesp = 5", "unknown key 'num_stesp'; did you mean 'num_steps'? known: 'algorithm', 'env', 'num_st"),
        (START + "num_evaluations = 1.5", "num_evaluations must be a whole number, got 1.5"),
        (START + "config = 3", "config must be a table, [config], got 3"),
        (START + "[hyperparam]", "unknown key 'hyperparam'; did you mean 'hyperparams'?"),
        (START + "[config]\nbatch_sise = 1", "[config] unknown key 'batch_sise'; did you mean 'batch_size'? known: "),
        (START + '[config]\nbatch_size = "many"', "[config] batch_size must be a whole number, got 'many'"),
        (START + "[config]\nbatch_size = 0", "[config] batch_size must be at least 1"),
        (START + "[config]\nhidden_sizes = 64", "[config] hidden_sizes must be a list of whole numbers, got 64"),
        (START + "[config]\nhidden_sizes = [64, 1.5]", "must be a list of whole numbers, got [64, 1.5]"),
        (START + "[config]\ndueling = 1", "[config] dueling must be true or false, got 1"),
        (START + '[config]\ntransform = "raww"', "[config] unknown transform 'raww'; did you mean 'raw'?"),
        (START + "[config]\nbatch_size = 64\nbuffer_size = 32", "must not exceed buffer_size 32, got 64"),
        (START + '[hyperparams]\ndiscount = "1"', "[hyperparams] discount must be a number, got '1'"),
        (START + "[hyperparams]\ndiscount = false", "[hyperparams] discount must be a number, got False"),
        (START + "[hyperparams]\ndiscount = 1.5", "discount must be in [0, 1], got 1.5"),
        (START + "[hyperparams]\nlearning_rate = nan", "learning_rate must be finite, got nan"),
        (START + 'env = "B"', "is not TOML: Cannot overwrite a value"),
        ("env: A", "is not TOML: "),
    ],
)
def test_a_mistake_is_named_with_its_file(write, content, message):
    path = write(content)
    with pytest.raises(ValueError, match=r"mine\.toml") as error:
        recipes.load(path)
    assert message in str(error.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"^cannot read the recipe .*nowhere\.toml: No such file or directory$"):
        recipes.load(tmp_path / "nowhere.toml")
    with pytest.raises(ValueError, match=r"Is a directory$"):
        recipes.load(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'env = "\xe9"')
    with pytest.raises(ValueError, match=r"latin\.toml is not TOML: .*can't decode byte 0xe9"):
        recipes.load(tmp_path / "latin.toml")


@pytest.mark.parametrize("path", sorted(recipes.FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_of_this_project_are_sound(path):
    recipe = recipes.named(path.stem)
    assert recipe.name == path.stem
    if recipe.env.startswith("gymnax:"):
        pytest.importorskip("gymnax", reason="gymnax pins jax < 0.12")
    env = registry.make(recipe.env)
    loop.check(recipe.hyperparams, recipe.config, env, loop.plan(recipe.num_steps, recipe.config).num_steps)


def test_a_recipe_that_keeps_the_best_says_of_how_many(write):
    """What the best of so many reaches: docs/dqn.md."""
    shipped = {name: recipes.named(name) for name in ("heartpole-v0", "heartpole-v0-raw", "heartpole-v1")}
    assert {name: recipe.num_evaluations for name, recipe in shipped.items() if recipe.keep == "best"} == {
        "heartpole-v0": 50, "heartpole-v0-raw": 1221, "heartpole-v1": 100,
    }  # fmt: skip
    assert recipes.load(write(START.replace("A", "HeartPole-v0") + "num_evaluations = 7")).num_evaluations == 7
    assert recipes.load(write(START.replace("A", "HeartPole-v0"))).num_evaluations == 50


def test_a_recipe_is_found_by_name_or_file(write):
    assert recipes.find("heartpole-v0") == recipes.named("heartpole-v0")
    assert recipes.find(str(write(SOUND))).env == "gymnax:CartPole-v1"
    with pytest.raises(ValueError, match=r"^unknown recipe 'hartpole-v0'; did you mean 'heartpole-v0'\? known: "):
        recipes.find("hartpole-v0")


def test_the_recipe_of_an_environment_is_the_one_of_its_name_or_the_defaults():
    assert recipes.for_env("HeartPole-v0").name == "heartpole-v0"
    defaults = recipes.for_env("gymnax:Nobody-has-tried-this")
    assert (defaults.name, defaults.env) == ("defaults", "gymnax:Nobody-has-tried-this")
    assert defaults.config == DQNConfig()


def test_a_recipe_written_reads_back_equal(tmp_path):
    for recipe in (
        recipes.named("heartpole-v0"),
        recipes.Recipe(
            "mine", "HeartPole-v0", 3_000_000, DQNConfig(hidden_sizes=(), dueling=True),
            dataclasses.replace(recipes.named("heartpole-v0").hyperparams, learning_rate=1e-05),
            keep="best", num_evaluations=7, evaluation_episodes=3,
            params={"max_steps": 500, "heart_attack_penalty": 12.5},
        ),
    ):  # fmt: skip
        path = tmp_path / f"{recipe.name}.toml"
        path.write_text(recipes.as_toml(recipe), encoding="utf-8")
        assert recipes.load(path) == recipe
        assert {name: type(value) for name, value in recipes.load(path).params.items()} == {
            name: type(value) for name, value in recipe.params.items()
        }


def test_the_environments_parameters_are_of_their_defaults_types(write):
    recipe = recipes.load(
        write('env = "HeartPole-v0"\nnum_steps = 5\n[params]\nheart_attack_penalty = 50\nmax_steps = 200\n')
    )
    assert recipe.params == {"heart_attack_penalty": 50.0, "max_steps": 200}
    assert [type(value) for value in recipe.params.values()] == [float, int]
    assert recipes.load(write('env = "HeartPole-v0"\nnum_steps = 5\n')).params == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gravity = 9.8", "[params] unknown parameter of HeartPole-v0 'gravity'; known: 'max_steps', "),
        ("max_steps = 10.0", "[params] max_steps must be a whole number, got 10.0"),
        ("max_steps = 0", "[params] EnvParams.max_steps must be a whole number from 1 to 2^31 - 1, got 0"),
        ('fatigue_width = "1"', "[params] fatigue_width must be a number, got '1'"),
        ("fatigue_width = true", "[params] fatigue_width must be a number, got True"),
        ("fatigue_width = nan", "[params] fatigue_width must be a number, finite, got nan"),
        ("fatigue_width = -1", "[params] EnvParams.fatigue_width must be greater than 0, got -1.0"),
        ("expected_penalty = 1.0", "[params] expected_penalty is a hyperparameter; give it under [hyperparams]"),
    ],
)
def test_a_parameter_that_the_environment_does_not_take_is_named(write, line, message):
    with pytest.raises(ValueError, match=r"mine\.toml: ") as error:
        recipes.load(write(f'env = "HeartPole-v0"\nnum_steps = 5\n[params]\n{line}\n'))
    assert message in str(error.value)
