"""The optimum of HeartPole-v1: one decision held to the model's description, short episodes to enumeration, whole
ones to simulation."""

import jax
import jax.numpy as jnp
import numpy as np
import oracle_v1
import pytest

import heartpole_jax as hp
from heartpole_jax import evaluation, policies
from heartpole_jax.envs import menu
from heartpole_jax.envs.heartpole_v1 import EnvParams
from heartpole_jax.evaluation import heartpole_v1 as evaluation_v1
from heartpole_jax.evaluation import routines
from heartpole_jax.optimum.heartpole_v1 import grid as grid_v1
from heartpole_jax.optimum.heartpole_v1 import operators, solver

pytestmark = pytest.mark.once

V1 = hp.make("HeartPole-v1")
PARAMS = EnvParams()
ROWS = {row.name: row for row in PARAMS.menu.actions}
SAFE = 0.999999  # a uniform that no risk of these patients exceeds
UNIFORMS = (np.arange(16) + 0.5) / 16


def linear(state):
    """Values that interpolation reproduces: linear in all variables."""
    a, h, x, s, _, _, k, m = np.moveaxis(np.asarray(state, float), -1, 0)
    return 2.0 * a - 3.0 * h + 40.0 * x - 0.25 * s + 1.5 * k - 0.5 * m


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


@pytest.mark.parametrize("name", ["nothing", "coffee", "beer", "sleep", "nap", "exercise", "energy_drink", "cannabis"])
def test_an_actions_value_is_the_mean_over_its_noise(name):
    """At points of the grid; where blood alcohol and doses are coupled in the oracle's noise they are independent."""
    tiredness = 1.0 / (1.0 + np.exp((40.0 - np.arange(60)) / 10.0))
    grid = grid_v1.Grid(
        hypertension=np.linspace(0.0, 3.0, 7), wakefulness=np.linspace(-3.0, 2.5, 12),
        intoxication=np.array([0.0, 0.02, 0.05, 0.1, 0.2]), impairment=np.linspace(0.0, 1.2, 5),
        stimulation=np.linspace(0.0, 4.0, 9), tiredness=tiredness,
    )  # fmt: skip
    h, s, w, x, m, k = np.meshgrid(
        grid.hypertension, np.arange(60), grid.wakefulness, *grid[2:5], indexing="ij", sparse=True
    )
    a = w - grid.fatigue[s]
    values = 2.0 * a - 3.0 * h + 40.0 * x - 0.25 * s + 1.5 * k - 0.5 * m
    row = ROWS[name]
    after = values[:, 1] if row.wakes_up else values
    found = operators.action_value(operators.operator_of(row, PARAMS, grid), jnp.asarray(after), row.half_hours + 1)
    found = np.broadcast_to(np.asarray(found, float), values.shape)
    for index in [(1, 5, 7, 2, 1, 1), (2, 20, 8, 0, 0, 0), (3, 30, 9, 1, 2, 2)]:
        points = (points[i] for points, i in zip((grid.hypertension, *grid[1:5]), np.delete(index, 1), strict=True))
        tension, wakefulness, alcohol, impairment, stimulation = points
        alertness = wakefulness - grid.fatigue[index[1]]
        state = np.array([alertness, tension, alcohol, index[1], 100.0, 10.0, stimulation, impairment])
        if name == "beer":
            expected = np.mean([by_the_oracle_with_beer(state, u) for u in UNIFORMS])
        else:
            expected = by_the_oracle(name, state)
        assert found[index] == pytest.approx(expected, abs=3e-4), (index, state)


def test_who_stays_awake_longer_than_the_grid_knows_tires_as_in_its_last_half_hour():
    """Over a break that begins on the grid and ends beyond it, and one longer than the grid."""
    tiredness = np.array([0.1, 0.2, 0.5])
    grid = grid_v1.Grid(np.zeros(1), np.linspace(-20.0, 2.0, 23), *(np.zeros(1) for _ in range(3)), tiredness)
    values = jnp.asarray(grid.wakefulness)[None, None, :, None, None, None] * jnp.ones((1, 3, 1, 1, 1, 1))
    for half_hours, beyond in ((0, (0, 0, 1)), (1, (0, 1, 2)), (5, (4, 5, 6))):
        row = menu.Row(name="pause", half_hours=half_hours, source="-", grade="assumed")
        operator = operators.operator_of(row, EnvParams(heart_attack_penalty=0.0), grid)
        found = np.asarray(operators.action_value(operator, values, half_hours + 1)) - np.asarray(operator.reward)
        found = found[0, :, -1, 0, 0, 0]
        np.testing.assert_allclose(found, [2.0 - 0.5 * j for j in beyond], atol=1e-5)


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


def test_interpolation_is_linear_at_the_ends_and_constant_beyond():
    points = np.array([0.0, 1.0, 3.0])
    weights = grid_v1.interpolation(points, np.array([-1.0, 0.0, 0.25, 2.0, 3.0, 9.0]))
    expected = [[1, 0, 0], [1, 0, 0], [0.75, 0.25, 0], [0, 0.5, 0.5], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_allclose(weights, expected, atol=1e-15)


def test_interpolation_is_cubic_inside():
    points = np.array([-1.0, 0.0, 0.5, 2.0, 3.0])
    weights = grid_v1.interpolation(points, np.array([0.1, 0.5, 1.7]))
    np.testing.assert_allclose(weights @ points**3, np.array([0.1, 0.5, 1.7]) ** 3, atol=1e-12)


def pill(name="pill", half_hours=0, **columns):
    return menu.Row(name=name, half_hours=half_hours, source="-", grade="assumed", **columns)


@pytest.mark.parametrize(
    "row",
    [
        pill(stimulation=(1.0, 1.6)), pill(stimulation=(6.0, 8.0)), pill(stimulation=(0.0, 0.01)),
        pill(stimulation=(-1.0, -0.5)), pill(hypertension=(-5.0, -3.0)), pill(hypertension=(2.0, 3.0)),
        pill(alertness=(-2.0, 2.0)), pill(impairment=(0.0, 1.0)), pill(intoxication=(0.1, 0.2)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("drunk", [False, True])
def test_a_grid_holds_the_doses_of_its_menu_in_increasing_points(row, drunk):
    rows = [row] if row.intoxication is None or drunk else [pill()]
    grid = grid_v1.grid_of(EnvParams(max_half_hours=8), rows, 0.5)
    for name in ("hypertension", "wakefulness", "intoxication", "impairment", "stimulation"):
        assert (np.diff(getattr(grid, name)) > 0).all()
    for name in ("stimulation", "impairment"):
        dose = getattr(rows[0], name)
        kept = getattr(PARAMS, f"{name}_decay")
        if dose is None:
            assert len(getattr(grid, name)) == 1
        else:
            assert getattr(grid, name)[-1] >= kept * dose[1]
            assert getattr(grid, name)[0] <= min(kept * dose[0], 0.0)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"heart_attack_threshold": -3.0},
        {"wake_up_alertness_low": -9.0, "wake_up_alertness_high": -8.0},
        {"wake_up_alertness_low": 3.0, "wake_up_alertness_high": 4.0},
        {"fatigue_onset": -5.0}, {"fatigue_onset": 1e6}, {"fatigue_width": 1e-3}, {"anxiety_threshold": -4.0},
        {"stimulation_decay": 1.0}, {"stimulation_decay": 0.0}, {"hypertension_decay": 1.0},
        {"hypertension_decay": 0.0}, {"bedtime_stimulation_cost": -1.0}, {"intoxication_elimination": 0.0},
        {"max_half_hours": 1}, {"impairment_decay": 1.0},
    ],
)  # fmt: skip
def test_the_points_of_a_grid_increase_whatever_the_parameters(changed):
    params = EnvParams(**changed)
    grid = grid_v1.grid_of(params, params.menu.actions, 0.5)
    for points in (grid.hypertension, *grid[1:5]):
        assert (np.diff(points) > 0).all()
        assert np.isfinite(points).all()
    assert len(grid.tiredness) >= 2


def test_numbers_of_numpy_are_plain_numbers():
    assert solver.plain(EnvParams(stimulation_decay=np.float64(0.93))) == solver.plain(
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
    assert solver.solve(params, resolution=1.5).expected_return == pytest.approx(total, abs=5e-3)


@pytest.fixture(scope="module")
def two_days():
    """What simulation makes of the policy of two days, and what the grid says."""
    params = EnvParams(max_half_hours=96)
    solution = solver.solve(params, resolution=0.6)
    return params, solution, evaluation.evaluate(solution.policy, jax.random.key(1), params, env=V1, num_episodes=4096)


@pytest.mark.slow
def test_the_policy_does_what_the_grid_promises(two_days):
    _, solution, found = two_days
    mean, error = found.expected_return
    assert error < 0.12
    assert solution.expected_return == pytest.approx(mean, abs=0.02 * mean)


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


def menu_of(*rows):
    return menu.Menu((*PARAMS.menu.actions, *rows))


HAZARDOUS = pill(impairment=(0.0, 0.5), half_hours=1, hazard=4.8)
BRIEFLY_HAZARDOUS = pill(impairment=(0.0, 0.5), hazard=4.8)


@pytest.mark.parametrize(
    ("row", "left_out"),
    [
        (ROWS["cannabis"], True), (HAZARDOUS, True), (BRIEFLY_HAZARDOUS, False), (pill(impairment=(-0.1, 0.0)), False),
        (pill(half_hours=3, hazard=2.0), True), (pill(half_hours=3, hazard=0.5), False),
        (pill(hypertension=(0.0, 1.0)), True), (pill(hypertension=(-0.1, 1.0)), False),
        (pill(alertness=(-1.0, 0.0)), False), (pill(stimulation=(0.0, 0.1)), False), (ROWS["beer"], True),
    ],
)  # fmt: skip
def test_actions_are_left_out_that_cannot_pay(row, left_out):
    """Impairing ones where they cost more than they can gain, by hand: 100 * 3.8 * 0.00124 = 0.47 a half-hour, against
    0.48 of productivity for each unit and half-hour, 0.25 * 6.3 half-hours of them."""
    choices = solver.choices(EnvParams(menu=menu.Menu((PARAMS.menu.actions[0], row))), drunk=False)
    assert (1 not in choices) == left_out


def test_a_menu_of_drinks_alone_is_solved_only_with_them():
    params = EnvParams(menu=menu.Menu((ROWS["beer"],)), max_half_hours=2)
    with pytest.raises(solver.NoSolution, match="allow them with drunk=True"):
        solver.solve(params)
    assert evaluation.best_known(params, hp.make("HeartPole-v1", menu=params.menu)) is None


@pytest.mark.parametrize(
    ("action", "claimed", "why"),
    [("nothing", 99.0, "the grid and its policy differ"), ("cannabis", None, "a routine is better than its policy")],
)
def test_a_solution_that_a_simulation_contradicts_makes_no_regret(monkeypatch, action, claimed, why):
    """The solver replaced by one that takes one action for ever, and claims a return of its own or what that earns."""
    params = EnvParams(max_half_hours=6, heart_attack_penalty=99.0)
    policy = policies.heartpole_v1.always(action)
    claimed = evaluation_v1._achieved(policy, params)[0].mean if claimed is None else claimed
    solved = []
    monkeypatch.setattr(
        solver,
        "solve",
        lambda params, resolution: solved.append(resolution) or solver.Solution(claimed, policy),
    )
    evaluation_v1._best.cache_clear()
    known = evaluation_v1.best(params)
    assert known.expected_return is None
    assert known.why == why
    assert known.on_grid == claimed
    assert known.routine > 5.0
    assert solved == [1.0, 1.4]  # it has tried a finer grid
    assert why in evaluation_v1._describe(known)
    assert f"the grid says {claimed:.1f}" in evaluation_v1._describe(known)
    evaluation_v1._best.cache_clear()


@pytest.mark.parametrize("names", [("sleep",), ("coffee",), ("beer",), ("nothing", "beer"), ("sleep", "exercise")])
def test_routines_take_actions_of_the_menu_alone(names):
    rows = menu.Menu(tuple(ROWS[name] for name in names))
    found = routines.routines(rows)
    numbers = {number for each in found for number in (each.idle, each.sleep, each.drink, each.calm, each.alcohol)}
    assert numbers == set(range(len(names)))


def test_the_scripted_policy_coffee_and_exercise_is_a_routine():
    for tension, effective, awake in ((0.2, 1.0, 5), (0.9, 1.0, 5), (0.9, 2.5, 5), (0.2, 1.0, 20), (0.2, 1.0, 24)):
        obs = jnp.array([effective, tension, 0.0, awake, 50.0, 10.0, 0.0, 0.0])
        scripted = policies.heartpole_v1.coffee_and_exercise()
        number, _ = scripted.act(scripted.params, (), obs, None)
        routine = routines.Routine(0, 3, 24.0, 1, 2.0, 18.0, 5, 0.5, 0, -np.inf)
        assert routine in routines.routines(PARAMS.menu)
        assert int(number) == int(routines.policy_of(routine).act(routine, (), obs, None)[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "at_least"),
    [
        (pill(stimulation=(0.5, 1.0), hypertension=(0.0, 0.05)), 1100.0),  # what a DQN reaches
        (pill(stimulation=(1.0, 1.6)), 1163.0),  # what a routine reaches
    ],
)
def test_menus_with_strong_stimulants_are_solved(row, at_least):
    params = EnvParams(menu=menu_of(row))
    known = evaluation_v1.best(params)
    assert known.expected_return > at_least
    assert known.on_grid == pytest.approx(known.achieved, rel=0.01)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="plain numbers to be solved"):
        solver.solve(EnvParams(heart_attack_penalty=jnp.array(100.0)))
    with pytest.raises(ValueError, match=r"resolution must be a number in \[0.2, 10\], got 0.1"):
        solver.solve(resolution=0.1)
    with pytest.raises(ValueError, match="plain numbers to be solved"):
        evaluation.evaluate(
            policies.make("coffee", env=V1), jax.random.key(0), EnvParams(heart_attack_penalty=jnp.array(100.0)), env=V1
        )
    with pytest.raises(ValueError, match="num_episodes must be at least 4"):
        evaluation.evaluate(policies.make("coffee", env=V1), jax.random.key(0), env=V1, num_episodes=3)
