"""The optimum of HeartPole-v1: one decision held to the model's description, short episodes to enumeration, whole
ones to simulation."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import oracle_v1
import pytest

import heartpole_jax as hp
from heartpole_jax import evaluation, policies
from heartpole_jax.envs import menu
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.optimum import grid as grid_v1
from heartpole_jax.optimum import heartpole_v1 as optimum_v1

pytestmark = pytest.mark.once

V1 = hp.make("HeartPole-v1")
PARAMS = EnvParams()
ROWS = {row.name: row for row in PARAMS.menu.actions}
SAFE = 0.999999  # a uniform that no risk of these patients exceeds
UNIFORMS = (np.arange(16) + 0.5) / 16


def linear(state):
    """Values that interpolation reproduces: linear in all variables."""
    a, h, x, s, _, _, k, _ = np.moveaxis(np.asarray(state, float), -1, 0)
    return 2.0 * a - 3.0 * h + 40.0 * x - 0.25 * s + 1.5 * k


def by_the_oracle(name, state):
    """The reward of an action and `linear` of what it leads to, a mean over the noise, the heart attack by its risk."""
    total = 0.0
    for u in UNIFORMS:
        for v in UNIFORMS:
            after, reward, risk, attack = oracle_v1.step(state, oracle_v1.MENU[name], (u, v, u, SAFE))
            assert not attack
            struck = after.copy()
            struck[1] = 0.0
            total += reward + (1 - risk) * linear(after) + risk * (linear(struck) - 100.0)
    return total / len(UNIFORMS) ** 2


@pytest.mark.parametrize("name", ["nothing", "coffee", "beer", "sleep", "nap", "exercise", "energy_drink"])
def test_an_actions_value_is_the_mean_over_its_noise(name):
    """At points of the grid; where blood alcohol and doses are coupled in the oracle's noise they are independent."""
    grid = grid_v1.Grid(
        alertness=np.linspace(-3.0, 2.5, 12), hypertension=np.linspace(0.0, 3.0, 7),
        stimulation=np.linspace(0.0, 4.0, 9), intoxication=np.array([0.0, 0.02, 0.05, 0.1, 0.2]), longest_day=60,
    )  # fmt: skip
    s, a, h, k, x = np.meshgrid(np.arange(60), *grid.axes, indexing="ij")
    values = 2.0 * a - 3.0 * h + 40.0 * x - 0.25 * s + 1.5 * k
    row = ROWS[name]
    operator = grid_v1.operator_of(row, PARAMS, grid, grid)
    found = np.asarray(grid_v1.action_value(operator, jnp.asarray(values), row.half_hours + 1), float)
    found = np.broadcast_to(found, values.shape)
    for index in [(5, 7, 1, 1, 2), (20, 8, 2, 0, 0), (30, 6, 3, 2, 1)]:
        state = np.array([a[index], h[index], x[index], s[index], 100.0, 10.0, k[index], 0.0])
        if name == "beer":
            expected = np.mean([by_the_oracle_with_beer(state, u) for u in UNIFORMS])
        else:
            expected = by_the_oracle(name, state)
        assert found[index] == pytest.approx(expected, abs=2e-4), (index, state)


def by_the_oracle_with_beer(state, u_intoxication):
    """`by_the_oracle`, its alcohol drawn apart from its alertness and hypertension."""
    total = 0.0
    for u in UNIFORMS:
        after, reward, risk, _ = oracle_v1.step(state, oracle_v1.MENU["beer"], (u, 0.5, u_intoxication, SAFE))
        total += reward + linear(after)
    # The risk is of hypertension alone.
    for v in UNIFORMS:
        after, _, risk, _ = oracle_v1.step(state, oracle_v1.MENU["beer"], (0.5, v, u_intoxication, SAFE))
        middle, _, _, _ = oracle_v1.step(state, oracle_v1.MENU["beer"], (0.5, 0.5, u_intoxication, SAFE))
        total += -3.0 * (after[1] - middle[1]) + risk * (3.0 * after[1] - 100.0)
    return total / len(UNIFORMS)


def test_interpolation_is_linear_between_the_points_and_constant_beyond():
    points = np.array([0.0, 1.0, 3.0])
    weights = grid_v1.interpolation(points, np.array([-1.0, 0.0, 0.25, 2.0, 3.0, 9.0]))
    expected = [[1, 0, 0], [1, 0, 0], [0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_allclose(weights, expected, atol=1e-15)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"heart_attack_threshold": -3.0},
        {"wake_up_alertness_low": -9.0, "wake_up_alertness_high": -8.0},
        {"wake_up_alertness_low": 3.0, "wake_up_alertness_high": 4.0},
    ],
)
def test_the_points_of_a_grid_increase_whatever_the_parameters(changed):
    for points in grid_v1.grid_of(EnvParams(**changed), 0.5, drunk=True).axes:
        assert (np.diff(points) > 0).all()


def test_numbers_of_numpy_are_plain_numbers():
    assert optimum_v1.plain(EnvParams(stimulation_decay=np.float64(0.93))) == optimum_v1.plain(
        EnvParams(stimulation_decay=0.93)
    )


def test_the_last_half_hour_has_the_value_of_its_best_action():
    """With half an hour left nothing counts but its work and its risk: an enumeration of the actions."""
    params = EnvParams(max_half_hours=1)
    risk = lambda h: 0.5 / (1 + np.exp(6 - 0.97 * h))
    work = lambda e: e * (1 - 1 / (1 + np.exp(3 - e))) / (1 + np.exp(-2.5))
    uniforms = (np.arange(400) + 0.5) / 400
    total = 0.0
    for a in 0.7 + 0.6 * uniforms:
        coffee = work(a + uniforms).mean() - 100 * risk(0.3 * uniforms).mean()
        energy = work(a + 0.3 + 0.9 * uniforms).mean() - 100 * risk(0.17 + 0.14 * uniforms).mean()
        total += max(work(a) - 100 * risk(0.0), coffee, energy) / len(uniforms)
    assert optimum_v1.solve(params, resolution=1.5).expected_return == pytest.approx(total, abs=5e-3)
    assert optimum_v1.solve(params, resolution=0.5, above=True).expected_return >= total - 1e-3


@pytest.fixture(scope="module")
def two_days():
    """What simulation makes of the policy of two days, and what the grid says."""
    params = EnvParams(max_half_hours=96)
    solution = optimum_v1.solve(params, resolution=0.6)
    return params, solution, evaluation.evaluate(solution.policy, jax.random.key(1), params, env=V1, num_episodes=4096)


@pytest.mark.slow
def test_the_policy_does_what_the_grid_promises_and_no_more_than_the_bound(two_days):
    params, solution, found = two_days
    mean, error = found.expected_return
    assert error < 0.12
    assert solution.expected_return == pytest.approx(mean, abs=0.02 * mean)
    above = optimum_v1.solve(params, resolution=0.4, above=True).expected_return
    assert above > mean + 4 * error
    assert above < 1.35 * mean


@pytest.mark.slow
def test_the_policy_beats_every_scripted_one(two_days):
    params, _, found = two_days
    scripted = {name: policies.make(name, env=V1) for name in ("coffee and exercise", "coffee")}
    rows = evaluation.leaderboard(scripted, jax.random.key(1), params, env=V1, num_episodes=1024)
    assert found.expected_return.mean > rows[0].evaluation.expected_return.mean + 1.0


@pytest.mark.slow
def test_the_numbers_of_an_evaluation_fit_together(two_days):
    params, _, found = two_days
    assert found.expected_return.mean == pytest.approx(
        found.work_done.mean - 100 * found.heart_attacks.mean, abs=1e-2 + 4 * found.expected_return.standard_error
    )
    best = evaluation.best_known(params, V1).expected_return
    assert found.regret.mean == pytest.approx(best - found.expected_return.mean, abs=1e-9)
    assert sum(value.mean for value in found.actions_a_day.values()) == pytest.approx(
        48 * found.decisions.mean / 96, rel=0.1
    )
    assert found.actions_a_day["beer"].mean == found.actions_a_day["cannabis"].mean == 0.0


def test_actions_that_only_harm_are_left_out_and_impairing_good_ones_refused():
    tea = menu.Row(name="tea", half_hours=0, stimulation=(0.0, 0.2), impairment=(0.0, 0.1), source="-", grade="assumed")
    params = EnvParams(menu=menu.Menu((*PARAMS.menu.actions, tea)), max_half_hours=4)
    with pytest.raises(optimum_v1.NoSolution, match="the action 'tea' impairs, and is not plainly worse than idling"):
        optimum_v1.solve(params)
    assert evaluation.best_known(params, hp.make("HeartPole-v1", menu=params.menu)) is None
    harmless = dataclasses.replace(params, menu=menu.Menu(PARAMS.menu.actions[:2]))
    without_cannabis = dataclasses.replace(params, menu=menu.Menu(PARAMS.menu.actions[:7]))
    values = [optimum_v1.solve(case).expected_return for case in (without_cannabis, EnvParams(max_half_hours=4))]
    assert values[0] == values[1]
    assert optimum_v1.solve(harmless).expected_return < values[0]


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="plain numbers to be solved"):
        optimum_v1.solve(EnvParams(heart_attack_penalty=jnp.array(100.0)))
    with pytest.raises(ValueError, match=r"resolution must be a number in \[0.2, 10\], got 0.1"):
        optimum_v1.solve(resolution=0.1)
    with pytest.raises(ValueError, match="plain numbers to be solved"):
        evaluation.evaluate(
            policies.make("coffee", env=V1), jax.random.key(0), EnvParams(heart_attack_penalty=jnp.array(100.0)), env=V1
        )
    with pytest.raises(ValueError, match="num_episodes must be at least 4"):
        evaluation.evaluate(policies.make("coffee", env=V1), jax.random.key(0), env=V1, num_episodes=3)
