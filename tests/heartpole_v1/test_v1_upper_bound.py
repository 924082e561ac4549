"""The upper bound: Bellman's inequality at random states between the points, held to the environment itself; its parts
to quadrature; whole bounds to simulation."""

import dataclasses
import functools

import compiling
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import heartpole_jax as hp
from heartpole_jax.envs.heartpole_v1 import EnvParams, EnvState, Noise
from heartpole_jax.envs.menu import Menu, Row
from heartpole_jax.optimum.heartpole_v1 import solve
from heartpole_jax.optimum.heartpole_v1.bound import NoBound, upper_bound, upper_solution
from heartpole_jax.optimum.heartpole_v1.bound import lattice as lattices
from heartpole_jax.optimum.heartpole_v1.bound.actions import Excess, action_of, body_of
from heartpole_jax.optimum.heartpole_v1.bound.backwards import cells_of
from heartpole_jax.optimum.heartpole_v1.bound.body import Risk
from heartpole_jax.optimum.heartpole_v1.bound.covered import idling_is_better
from heartpole_jax.optimum.heartpole_v1.bound.lattice import Lattice
from heartpole_jax.optimum.heartpole_v1.grid import interpolation

pytestmark = pytest.mark.once

V1 = hp.make("HeartPole-v1")
PARAMS = EnvParams()
ROWS = {row.name: row for row in PARAMS.menu.actions}
COARSE = Lattice(
    awake=36,
    tired=36,
    wakefulness=np.array([-0.7, -0.3, 0.1, 0.5, 0.9, 1.3, *np.arange(1.7, 7.4, 0.4)]),
    stimulation=np.concatenate([[0.0, 0.4], lattices.decaying(0.8, 16.8, 0.933**3)]),
    hypertension=np.concatenate([np.linspace(0.0, 0.6, 4), lattices.decaying(0.8, 3.0, 0.97**5)]),
)
HALF_HOURS = 19  # so that sleep leads to values as well
NUM_STATES = 500


@pytest.fixture(scope="module", autouse=True)
def in_float64():
    with compiling.optimised(), jax.enable_x64(True):
        yield


def without_corrections(problem):
    """The same problem where nothing is added for what lies within cells."""
    actions = tuple(
        action._replace(
            tension_excess=Excess(),
            stimulation_excess=Excess(),
            wakefulness_excess=None if action.wakefulness is None else Excess(),
        )
        for action in problem.actions
    )
    return problem._replace(actions=actions)


@pytest.fixture(scope="module")
def states():
    """Random states that patients may be in, of which hardly one is a point of the lattice."""
    random = np.random.default_rng(0)
    awake = random.integers(1, 35, NUM_STATES)
    wakefulness = random.uniform(-0.7, np.minimum(1.3 + 0.15 * awake, 2.5))
    fatigue = np.concatenate([[0.0], np.cumsum(1.0 / (1.0 + np.exp((40.0 - np.arange(60)) / 10.0)))])
    zeros, whole = jnp.zeros(NUM_STATES), jnp.zeros(NUM_STATES, jnp.int32)
    return EnvState(
        alertness=jnp.asarray(wakefulness - fatigue[awake]),
        hypertension=jnp.asarray(random.uniform(0.0, 2.9, NUM_STATES)),
        intoxication=zeros,
        time_since_slept=jnp.asarray(awake, jnp.int32),
        time_elapsed=whole,
        work_done=zeros,
        stimulation=jnp.asarray(random.uniform(0.0, 5.0, NUM_STATES)),
        impairment=zeros,
        num_steps=whole,
    )


def interpolated(values, state):
    """U at states: multilinear, and constant beyond the highest hypertension."""
    fatigue = jnp.concatenate([jnp.zeros(1), jnp.cumsum(jax.nn.sigmoid((jnp.arange(60) - 40.0) / 10.0))])
    found = values[jnp.minimum(state.time_since_slept, COARSE.awake)]
    wakefulness = state.alertness + fatigue[state.time_since_slept]
    for points, x in (
        (COARSE.stimulation, state.stimulation),
        (COARSE.wakefulness, wakefulness),
        (COARSE.hypertension, state.hypertension),
    ):
        x = jnp.clip(x, points[0], points[-1])
        cell = jnp.clip(jnp.searchsorted(jnp.asarray(points), x, side="right") - 1, 0, len(points) - 2)
        share = (x - jnp.asarray(points)[cell]) / jnp.diff(jnp.asarray(points))[cell]
        found = (1.0 - share) * found[cell] + share * found[cell + 1]
    return found


@functools.partial(jax.jit, static_argnames=("action", "num"))
def by_the_environment(values, states, action, num):
    """The mean of reward and value after an action, (states,), by midpoints of doses and the risk of a heart attack."""
    u = (jnp.arange(num) + 0.5) / num
    alertness, hypertension = (x.ravel() for x in jnp.meshgrid(u, u))

    def outcome(state, alertness, hypertension):
        noise = Noise(alertness=alertness, hypertension=hypertension, intoxication=0.5, heart_attack=1.0)
        after, _, reward, _, info = V1.transition_info(state, action, noise, PARAMS)
        struck = dataclasses.replace(after, hypertension=jnp.zeros(()))
        risk = info.heart_attack_risk
        return reward + (1.0 - risk) * interpolated(values, after) + risk * (interpolated(values, struck) - 100.0)

    one = lambda state: jnp.mean(jax.vmap(functools.partial(outcome, state))(alertness, hypertension))
    return jax.lax.map(one, states, batch_size=50)


def shortfalls(problem, states, num):
    """By how much U is below the value of each action, {name: (states,)}; positive where it is no upper solution."""
    values, history = upper_solution.no_values(problem, COARSE), [jnp.zeros(COARSE.shape)]
    for left in range(1, HALF_HOURS + 1):
        values = upper_solution.earlier(values, left, problem)
        history.append(values.awake[0])
    here = jax.vmap(functools.partial(interpolated, history[-1]))(states)
    found = {}
    for number, row in enumerate(PARAMS.menu.actions):
        if row.name not in ("beer", "cannabis"):
            after = history[HALF_HOURS - row.half_hours - 1]
            found[row.name] = np.asarray(by_the_environment(after, states, number, num) - here)
    return found


def test_between_the_points_no_action_is_better_than_the_upper_solution(states):
    """The midpoint rule errs by 1e-4 here; without the corrections the inequality fails by much more."""
    problem = upper_solution.problem_of(PARAMS, COARSE)
    for shortfall in shortfalls(problem, states, num=32).values():
        assert shortfall.max() < 2e-4
    plain = shortfalls(without_corrections(problem), states, num=12)
    assert max(shortfall.max() for shortfall in plain.values()) > 0.02
    assert sum((shortfall > 1e-3).sum() for shortfall in plain.values()) > NUM_STATES / 20


def menu_of(*names):
    return Menu(tuple(ROWS[name] for name in names))


def test_a_short_episodes_bound_is_just_above_what_the_solvers_policy_reaches():
    params = EnvParams(max_half_hours=12, expected_penalty=1.0, menu=menu_of("nothing", "coffee", "sleep", "exercise"))
    found = upper_bound(params, resolution=0.5)
    assert (found.half_hours, found.period) == (12, 0)
    with jax.enable_x64(False):
        policy = solve(params, resolution=0.7).policy
        env = hp.make("HeartPole-v1", menu=params.menu)
        totals = hp.rollout(policy, jax.random.key(0), params, env=env, num_envs=8192, num_steps=12).totals
    assert totals.mean() + 4 * totals.std() / 8192**0.5 < found.bound < 1.02 * totals.mean()


def test_most_of_a_long_episode_follows_from_a_period(monkeypatch):
    """Sleep alone with idling: nothing is uncertain but how rested a patient wakes up, and heart attacks."""
    monkeypatch.setattr(upper_solution, "_DAYS", 1)  # not as close as it gets
    params = EnvParams(menu=menu_of("nothing", "sleep"))
    found = upper_bound(params, resolution=0.4)
    assert 0 < found.period < found.half_hours < 700
    with jax.enable_x64(False):
        solved = solve(params, resolution=0.7).expected_return
    assert solved - 0.5 < found.bound < solved + 12


def pill(**columns):
    return Row(name="pill", source="-", grade="assumed", **{"half_hours": 0} | columns)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (pill(stimulation=(-1.0, 1.0)), "pill makes drowsy"),
        (pill(stimulation=(0.0, 1.0), hazard=2.0), "pill impairs or changes the hazard"),
        (pill(stimulation=(0.0, 1.0), impairment=(0.0, 1.0)), "pill impairs or changes the hazard"),
        (pill(alertness=(0.0, 1.0)), "pill has a dose of alertness"),
        (pill(half_hours=8, wakes_up=True), "one action that wakes up"),
        (pill(half_hours=2), "pill may pay where hypertension is high"),  # one risk where idling has three
        (pill(half_hours=5, hazard=1e3), "pill is not more dangerous the higher the hypertension"),  # certain death
    ],
)
def test_what_the_proof_does_not_cover_is_refused(row, message):
    with pytest.raises(NoBound, match=message):
        upper_bound(EnvParams(menu=Menu((ROWS["nothing"], ROWS["sleep"], row))), resolution=0.3)


def test_a_resolution_is_a_number_in_range():
    with pytest.raises(ValueError, match=r"resolution must be a number in \[0.1, 4\], got 9"):
        upper_bound(resolution=9)


def test_means_of_piecewise_linear_functions_are_exact():
    points, f = np.array([0.0, 0.5, 1.5, 2.0]), np.array([1.0, -2.0, 3.0, 0.5])
    low, high = np.array([-0.7, 0.2, 1.9]), np.array([0.4, 2.6, 3.0])
    found = lattices.average(points, low, high, 0.9, lambda y: np.exp(-y)) @ f
    y = low[:, None] + (high - low)[:, None] * (np.arange(200_000) + 0.5) / 200_000
    expected = (np.exp(-y) * np.interp(0.9 * np.maximum(y, 0.0), points, f)).mean(axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    np.testing.assert_allclose(lattices.average(points, low, high, 0.9).sum(axis=1), 1.0, atol=1e-14)
    np.testing.assert_allclose(interpolation(points, np.array([1.0]), cubic=False) @ f, [0.5])


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (0.0, 1.0), (0.3, 1.2)])
@pytest.mark.parametrize("capped", [False, True])
def test_the_mean_productivity_and_its_curvature_are_those_of_the_environment(low, high, capped):
    work = body_of(PARAMS, COARSE).work
    a = np.linspace(-2.0, 8.0, 2001)
    y = np.maximum(a + low + (high - low) * (np.arange(2000)[:, None] + 0.5) / 2000, 0.0)
    y = np.minimum(y, work.best) if capped else y
    expected = (y / (1.0 + np.exp(y - 3.0)) / (1.0 + np.exp(-2.5))).mean(axis=0)
    np.testing.assert_allclose(work.mean(a, low, high, capped), expected, atol=2e-7)
    assert work.best == pytest.approx(2.5571, abs=1e-4)  # 1 + W(e^2), W Lambert's
    # Second differences, in stretches of 10 steps.
    step = a[1] - a[0]
    bend = -(expected[2:] - 2.0 * expected[1:-1] + expected[:-2]) / step**2
    for first in range(1, 1990, 10):
        most = work.most_curved(a[first - 1], a[first + 10], low, high, capped)
        largest = bend[first - 1 : first + 9].max()
        assert most > largest - 2e-3
        ends = np.array([a[first] + low, a[first] + high])
        if min(np.abs(ends).min(), np.abs(ends - work.best).min()) > 0.1:  # away from the kink at 0 and the cap
            assert most < max(largest, 0.0) + 0.05


def test_the_risks_value_slope_and_curvature_are_those_of_a_night():
    risk = Risk(17, 0.5, 6.0, 0.97)
    y = np.linspace(0.0, 3.0, 3001)
    safe = np.ones_like(y)
    for i in range(1, 18):
        safe *= 1.0 - 0.5 / (1.0 + np.exp(6.0 - 0.97**i * y))
    np.testing.assert_allclose(risk.value(y), 1.0 - safe, atol=1e-14)
    np.testing.assert_allclose(risk.slope(y)[1:-1], (safe[:-2] - safe[2:]) / 2e-3, atol=1e-6)
    bend = -(safe[2:] - 2.0 * safe[1:-1] + safe[:-2]) / 1e-6
    assert (np.maximum.accumulate(bend) <= risk.most_curved(y[1:-1]) + 1e-6).all()
    assert (risk.most_curved(y[1:-1]) < 1.6 * np.abs(bend) + 0.02).all()
    assert risk.convex(3.0)
    assert not risk.convex(12.0)


RANDOM = np.random.default_rng(1)
# Along hypertension values fall, and along the other axis they do what they want.
ALONG = {
    "hypertension": -np.cumsum(RANDOM.exponential(1.0, (40, len(COARSE.hypertension))), axis=1),
    "stimulation": np.cumsum(RANDOM.normal(0.0, 1.0, (40, len(COARSE.stimulation))), axis=1),
}


def expectation(axis, row, values, v):
    """The mean of values after an action that begins at v, (sets of values, len(v)), by midpoints of the dose."""
    points, half_hours = getattr(COARSE, axis), row.half_hours + 1
    low, high = getattr(row, axis) or (0.0, 0.0)
    y = np.maximum(v[:, None] + low + (high - low) * (np.arange(4000) + 0.5) / 4000, 0.0)
    after = np.stack([np.interp(y * getattr(PARAMS, f"{axis}_decay") ** half_hours, points, one) for one in values])
    if axis == "hypertension":
        safe = np.prod([1.0 - 0.5 / (1.0 + np.exp(6.0 - 0.97**i * y)) for i in range(1, half_hours + 1)], axis=0)
        after = safe * after + (1.0 - safe) * (values[:, :1, None] - 100.0)
    return after.mean(axis=2)


@pytest.mark.parametrize("name", ["nothing", "coffee", "exercise", "energy_drink"])
@pytest.mark.parametrize("axis", ["hypertension", "stimulation"])
def test_an_excess_is_just_above_what_interpolation_lacks_in_a_cell(name, axis):
    """Without any of its three parts it is below, in one case at least: the next test."""
    lacking, excess = what_is_lacking(name, axis), all_cells(name, axis)
    assert (lacking < excess + 1e-6).all()
    assert excess.sum() < 1.6 * lacking.sum()


@pytest.mark.parametrize(
    ("name", "axis", "part"),
    [
        ("nothing", "hypertension", "curved"),
        ("coffee", "hypertension", "inside"),
        ("coffee", "hypertension", "scale"),
        ("energy_drink", "hypertension", "scale"),
        ("coffee", "stimulation", "inside"),
        ("coffee", "stimulation", "scale"),
    ],
)
def test_each_part_of_an_excess_is_needed(name, axis, part):
    assert (what_is_lacking(name, axis) > all_cells(name, axis, **{part: None}) + 1e-4).any()


@functools.cache
def what_is_lacking(name, axis, shares=41):
    """(sets of values, cells): the most at any of some shares of a cell, at least 0."""
    points, values = getattr(COARSE, axis), ALONG[axis]
    ends = expectation(axis, ROWS[name], values, points)
    found = np.zeros((len(values), len(points) - 1))
    for share in np.linspace(0.0, 1.0, shares)[1:-1]:
        inner = expectation(axis, ROWS[name], values, points[:-1] + share * np.diff(points))
        found = np.maximum(found, inner - (1.0 - share) * ends[:, :-1] - share * ends[:, 1:])
    return found


def all_cells(name, axis, **without):
    """(sets of values, cells) of the bound."""
    action = action_of(ROWS[name], body_of(PARAMS, COARSE))
    excess = {"hypertension": action.tension_excess, "stimulation": action.stimulation_excess}[axis]
    return np.asarray(cells_of(excess._replace(**without), jnp.asarray(ALONG[axis]), axis=1))


def test_cannabis_costs_more_than_it_gains_at_every_hypertension():
    """Its gain: 0.48 for each unit of impairment and half-hour, 0.25 units in the mean, 0.841 of it after the break."""
    (cannabis,) = upper_solution.problem_of(PARAMS, COARSE).never_pay
    assert cannabis.gained == pytest.approx(0.4791 * 0.25 * 0.841 / 0.159, rel=1e-3)
    risk = 0.5 / (1.0 + np.exp(6.0 - np.outer(COARSE.hypertension, [0.97, 0.97**2])))
    safe, risky = np.prod(1.0 - risk, axis=1), np.prod(1.0 - 4.8 * risk, axis=1)
    np.testing.assert_allclose(cannabis.extra, safe - risky, atol=1e-14)
    np.testing.assert_allclose(cannabis.twice, (1.0 - safe) * 0.5 / (1.0 + np.exp(6.0)), atol=1e-14)
    # What hypertension costs by then, at most: a heart attack that comes anyway costs nothing.
    cost = np.linspace(0.0, 40.0, len(COARSE.hypertension))
    assert idling_is_better(cannabis, cost, 100.0)
    assert not idling_is_better(cannabis, np.append(cost[:-1], 99.0), 100.0)
    assert not idling_is_better(cannabis, cost, 60.0)


@pytest.mark.parametrize(
    ("awake", "woken", "reachable", "increment"),
    [([1, 5], 2, [True, True], 5), ([1, 5], 7, [True, True], 7), ([1, 5], 7, [True, False], 1)],
)
def test_a_period_adds_the_most_at_any_point_that_matters(awake, woken, reachable, increment):
    now = upper_solution.Values((jnp.array(awake, float).reshape(2, 1, 1, 1),), (jnp.full((1, 1, 1), float(woken)),))
    then = jax.tree.map(jnp.zeros_like, now)
    assert upper_solution.largest_increment(now, then, jnp.array(reachable)[:, None]) == increment
