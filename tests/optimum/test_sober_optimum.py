"""The optimum without drinks against enumeration and simulation, the ceiling against hand results."""

import itertools

import compiling
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import EnvParams, policies
from heartpole_jax.envs.heartpole_v0 import Action, Noise, initial_state, transition
from heartpole_jax.evaluation import estimate, evaluate
from heartpole_jax.optimum import heart_attack_floor, return_ceiling, sober_optimum
from heartpole_jax.optimum.heartpole_v0 import sober
from heartpole_jax.rollout import rollout

pytestmark = pytest.mark.once


@pytest.fixture(scope="module", autouse=True)
def optimised():
    """Whole episodes of thousands, again and again."""
    with compiling.optimised():
        yield


def test_the_optimum_is_the_known_one():
    """To the digits of an independent computation, whose own error is 2e-7."""
    optimum = sober_optimum()
    assert optimum.expected_return == pytest.approx(-123.304279, abs=1e-6)
    assert optimum.score == pytest.approx(0.32687927, abs=5e-7)
    assert optimum.heart_attacks == pytest.approx(1.2363115783173872, abs=1e-12)


def test_the_ceiling_is_the_known_one():
    # max of a sigma(3 - a) is a - 1 at a = 2.5571455 (where a sigma(a - 3) = 1), times the Ballmer peak 2.0140636.
    assert return_ceiling() == pytest.approx(-123.63115783 + 1.5571455 * 2.0140636, abs=1e-4)
    assert heart_attack_floor(EnvParams(max_steps=10, heart_attack_proclivity=1.0)) == pytest.approx(0.024726, abs=1e-6)


@pytest.mark.parametrize(("num_steps", "rested"), [(1, 1.1), (4, 1.1), (9, 1.1), (3, -1.0), (6, -1.0)])
def test_the_optimum_is_the_best_of_all_schedules_where_waking_up_is_certain(x64, num_steps, rested):
    # Tired within a few half-hours, so that sleeping pays in so short an episode; W / t enumerated by the environment.
    params = EnvParams(
        max_steps=num_steps, fatigue_onset=2.0, fatigue_width=0.5, wake_up_alertness_low=rested,
        wake_up_alertness_high=rested,
    )  # fmt: skip
    schedules = jnp.array(list(itertools.product([Action.NOTHING, Action.SLEEP], repeat=num_steps)))
    noise = Noise(alertness=0.5, hypertension=0.5, intoxication=0.5, heart_attack=0.999)

    def score(schedule):
        state, _ = jax.lax.scan(
            lambda state, action: (transition(state, action, noise, params)[0], None),
            initial_state(0.5, params),
            schedule,
        )
        return state.work_done / state.time_elapsed

    scores = jax.jit(jax.vmap(score))(schedules)
    assert sober_optimum(params).score == pytest.approx(float(scores.max()), abs=1e-12)
    # and the policy reads that schedule off its table
    final = rollout(policies.optimal(params), jax.random.key(0), params, num_envs=1, block_envs=1).envs.state
    assert float(final.work_done[0] / final.time_elapsed[0]) == pytest.approx(float(scores.max()), abs=1e-6)


def _exhaustive(params, rested, left, state):
    """The best E[W / t] from states of shape (n,): alertness, half-hours awake, W, t. Every history is followed."""
    alertness, awake, work, time = state
    if left == 0:
        return work / time

    def worked(a, s, t):
        done = work + a / (1 + np.exp(a - 3)) / (1 + np.exp(-2.5))
        fatigue = 1 / (1 + np.exp(-(s - params.fatigue_onset) / params.fatigue_width))
        return _exhaustive(params, rested, left - 1, (a - fatigue, s + 1, done, t + 1))

    asleep = sum(worked(np.full_like(alertness, a), np.zeros_like(awake), time + 16) for a in rested) / len(rested)
    return np.maximum(worked(alertness, awake, time), asleep)


@pytest.mark.parametrize(
    ("num_steps", "nodes", "low"),
    [(1, 12, 0.7), (2, 12, 0.7), (3, 12, 0.7), (4, 12, 0.7), (5, 6, 0.7), (6, 4, 0.7), (4, 8, -2.0)],
)
def test_the_optimum_is_that_of_all_histories_where_waking_up_is_random(monkeypatch, num_steps, nodes, low):
    """What has been earned decides when to sleep: E[W / t], not the largest E[W] / E[t]."""
    params = EnvParams(max_steps=num_steps, fatigue_onset=2.0, fatigue_width=0.5, wake_up_alertness_low=low)
    monkeypatch.setattr(sober, "_WAKE_UP_NODES", nodes)
    rested, zeros = low + (1.3 - low) * (np.arange(nodes) + 0.5) / nodes, np.zeros(nodes)
    best = _exhaustive(params, rested, num_steps, (rested, zeros, zeros, zeros)).mean()
    assert sober._solve.__wrapped__(params).score == pytest.approx(best, abs=2e-5)


def test_six_decisions_have_the_score_of_another_exhaustive_search(monkeypatch):
    params = EnvParams(max_steps=6, fatigue_onset=2.0, fatigue_width=0.5)
    monkeypatch.setattr(sober, "_WAKE_UP_NODES", 12)
    solved = sober._solve.__wrapped__(params)
    assert solved.score == pytest.approx(0.2315128, abs=1e-6)
    assert solved.prices[1] < solved.score - 0.01  # the largest E[W] / E[t] is another number


def test_the_optimal_policy_earns_what_the_dynamic_program_says():
    # Standard error 3e-5; 5 of them: a false alarm in 2 million seeds.
    evaluation = evaluate(policies.optimal(), jax.random.key(11), num_episodes=65_536)
    assert abs(evaluation.regret.mean) < 5 * evaluation.regret.standard_error
    assert evaluation.regret.standard_error < 5e-5


@pytest.fixture(scope="module")
def best():
    return evaluate(policies.optimal(), jax.random.key(3), num_episodes=16_384)


@pytest.mark.parametrize("alertness", [0.2, 0.3, 0.36, 0.42, 0.5])
def test_no_simple_bedtime_beats_the_optimum(alertness, best):
    other = evaluate(policies.rested(alertness=alertness), jax.random.key(3), num_episodes=16_384)
    difference = estimate(best.returns - other.returns)
    assert difference.mean > 5 * difference.standard_error


def test_bedtimes_wait_in_the_evening_of_the_episode():
    low, bedtimes, high = sober_optimum().bedtimes
    assert bedtimes.shape == (1001, 97)
    assert low[500, 14] > bedtimes[500, 14] > high[500, 14]  # the dearer a half-hour, the fewer nights
    assert np.all(bedtimes[:, 0] == -np.inf)  # no patient sleeps straight after waking up
    assert 0.36 < bedtimes[500, 14] < 0.39  # halfway through, near the stationary answer
    assert np.all(bedtimes[1, :17] == -np.inf)  # before the last decision a night cannot pay
    assert np.all(bedtimes[:, -1] == np.inf)


def test_who_hardly_tires_stays_up_for_longer_than_any_table_we_begin_with():
    params = EnvParams(fatigue_onset=400.0, fatigue_width=20.0, max_steps=150)
    optimum = sober_optimum(params)
    assert optimum.bedtimes.shape[2] > 100
    awake = evaluate(policies.make("nothing"), jax.random.key(0), params, num_episodes=4096)
    assert awake.regret.mean > -5 * awake.regret.standard_error


def test_who_wakes_up_badly_at_once_goes_back_to_bed():
    params = EnvParams(wake_up_alertness_low=0.0, wake_up_alertness_high=2.0, max_steps=100)
    assert 0.1 < sober_optimum(params).bedtimes[1, 100, 0] < 1.0
    found = evaluate(policies.optimal(params), jax.random.key(1), params, num_episodes=65_536)
    assert abs(found.regret.mean) < 5 * found.regret.standard_error
    actions = rollout(policies.optimal(params), jax.random.key(1), params, num_envs=4096, num_steps=1, record=_slept)
    assert 0.1 < np.mean(actions.records) < 0.4


def _slept(transition):
    return transition.action == Action.SLEEP


def test_the_optimal_policy_can_be_made_inside_jit():
    params = EnvParams(max_steps=5, fatigue_onset=3.21)  # not solved before

    @jax.jit
    def returns(key):
        return rollout(policies.optimal(params), key, params, num_envs=2).totals

    assert np.all(np.isfinite(returns(jax.random.key(0))))


def test_parameters_that_are_not_numbers_are_refused():
    with pytest.raises(ValueError, match="plain numbers"):
        sober_optimum(EnvParams(heart_attack_proclivity=jnp.array([0.1, 0.2])))
    with pytest.raises(ValueError, match="wake_up_alertness_high"):
        sober_optimum(EnvParams(wake_up_alertness_high=5.0))
    with pytest.raises(ValueError, match="20,000 at most, got max_steps 2,000,000"):
        sober_optimum(EnvParams(max_steps=2_000_000))


def test_after_a_lucky_day_a_half_hour_is_dearer_and_the_next_day_longer():
    """500 decisions left, 14 awake, 30 nights behind; the price is the ratio that the episode should end with."""
    solved, policy = sober_optimum(), policies.optimal()
    low, middle, high = solved.bedtimes[:, 500, 14]

    def decide(alertness, work, price):
        time = 500.0 + 30 * 16
        carry = (jnp.int32(500), jnp.float32(price))
        action, (num_steps, tomorrow) = policy.act(
            policy.params, carry, jnp.array([alertness, 0.0, 0.0, 14.0, time, work]), None
        )
        assert num_steps == 501
        return int(action), float(tomorrow)

    for work in (250.0, 320.0, 390.0):  # sleep renews the price
        end = (work + solved.work_left[500]) / (980 + 16 + solved.half_hours_left[500])
        assert decide(middle - 0.1, work, solved.prices[1]) == (Action.SLEEP, pytest.approx(end, abs=1e-6))
    for price, bedtime in zip(solved.prices, (low, middle, high), strict=True):  # which is kept while awake
        assert decide(bedtime + 0.004, 320.0, price) == (Action.NOTHING, pytest.approx(price, abs=1e-7))
        assert decide(bedtime - 0.004, 320.0, price)[0] == Action.SLEEP
    between = 0.5 * (solved.prices[1] + solved.prices[2])
    assert decide(0.5 * (middle + high) + 0.004, 320.0, between)[0] == Action.NOTHING
    assert decide(0.5 * (middle + high) - 0.004, 320.0, between)[0] == Action.SLEEP
