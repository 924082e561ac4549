"""Central differences, held to the same differences of sums and integrals that NumPy works out."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from heartpole_jax import Action, EnvParams, Policy, gradients, make, policies
from tests.gradients.enumeration import CERTAIN

pytestmark = pytest.mark.once


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def productivity(alertness, anxiety_threshold=3.0):
    """Of a sober developer: the Ballmer peak, 27 widths away, is nothing."""
    return alertness * sigmoid(anxiety_threshold - alertness) * sigmoid(50 * 0.05)


def test_a_derivative_through_a_threshold_that_is_crossed_more_often_is_that_of_the_integral():
    """One decision of "sleep below 0.9", rested from low to high: its score is an integral with a jump in it."""

    def score(low, high, anxiety_threshold, below=0.9):
        middles = lambda a, b: a + (b - a) * (np.arange(10_000) + 0.5) / 10_000
        slept = productivity(middles(low, high), anxiety_threshold).mean() / 17
        awake = productivity(middles(below, high), anxiety_threshold).mean()
        return ((below - low) * slept + (high - below) * awake) / (high - low)

    at, names = np.array([0.7, 1.3, 3.0]), ["wake_up_alertness_low", "wake_up_alertness_high", "anxiety_threshold"]
    truth = [(score(*(at + step)) - score(*(at - step))) / 2e-4 for step in 1e-4 * np.eye(3)]
    found = gradients.finite_differences(
        "score", jax.random.key(1), policy=policies.rested(alertness=0.9), wrt=names, num_episodes=131_072, num_steps=1
    )
    assert not found.unbiased
    assert "biased by the square of the step" in found.promise
    assert abs(found.value.mean - score(*at)) < 4 * found.value.standard_error
    for name, value in zip(names, truth, strict=True):
        mean, error = found.gradient.mean[name], found.gradient.standard_error[name]
        assert abs(mean - value) < 4 * error + 1e-3 * abs(value)
        assert error < abs(value) / 20


@dataclasses.dataclass(frozen=True)
class Body:
    """CERTAIN's, as far as hypertension goes, with a threshold at 0."""

    heart_attack_proclivity: float = 0.5
    heart_attack_threshold: float = 0.0
    hypertension_decay: float = 0.8

    def heart_attacks(self, doses, num_steps):
        """The mean number over all sequences of attacks; `doses` is a function of one."""
        total = 0.0
        for attacks in itertools.product((False, True), repeat=num_steps):
            h, weight = 0.0, 1.0
            for dose, attack in zip(doses(attacks), attacks, strict=True):
                h = (h + dose) * self.hypertension_decay
                risk = self.heart_attack_proclivity * sigmoid(h - self.heart_attack_threshold)
                weight *= risk if attack else 1.0 - risk
                h = 0.0 if attack else h
            total += weight * sum(attacks)
        return total

    def difference(self, name, step, *path):
        at = getattr(self, name)
        up, down = (dataclasses.replace(self, **{name: at + s}).heart_attacks(*path) for s in (step, -step))
        return (up - down) / (2 * step)


def test_steps_are_relative_to_the_value_to_what_a_decay_takes_and_absolute_at_zero(x64):
    """Attacks integrated out, doses certain: the difference of every episode is that of the mean, to the digits."""
    body, path = Body(hypertension_decay=0.6), (lambda attacks: [0.7, 0.7, 0.0], 3)
    steps = {"heart_attack_proclivity": 0.005, "heart_attack_threshold": 0.01, "hypertension_decay": 0.004}
    params = dataclasses.replace(CERTAIN, heart_attack_threshold=0.0, hypertension_decay=0.6)
    policy = policies.schedule([1, 1, 0])
    found = gradients.finite_differences(
        "heart_attacks", jax.random.key(0), params, policy=policy, wrt=list(steps), num_episodes=4, num_steps=3
    )
    assert float(found.value.mean) == pytest.approx(body.heart_attacks(*path), rel=1e-12)
    for name, step in steps.items():
        assert float(found.gradient.mean[name]) == pytest.approx(body.difference(name, step, *path), rel=1e-10)
        assert float(found.gradient.standard_error[name]) < 1e-10
        # Another step has another bias, which this would see.
        assert body.difference(name, step, *path) != pytest.approx(body.difference(name, 2 * step, *path), rel=1e-9)


def relaxes(params, carry, obs, draw):
    """A coffee where hypertension is low."""
    return jnp.where(obs[1] < 0.5, Action.COFFEE, Action.NOTHING), carry


def test_a_policy_that_depends_on_hypertension_has_its_heart_attacks_simulated():
    """The second cup comes after an attack alone, 0.56 being left of the first without one."""
    path = lambda attacks: [0.7, 0.7 * attacks[0]], 2
    names = ["heart_attack_proclivity", "heart_attack_threshold"]
    asked = {"policy": Policy(act=relaxes), "wrt": names, "num_steps": 2}
    params = dataclasses.replace(CERTAIN, heart_attack_threshold=1.0)
    found = gradients.finite_differences("heart_attacks", jax.random.key(2), params, num_episodes=65_536, **asked)
    for name in names:
        truth = Body(heart_attack_threshold=1.0).difference(name, 1e-4, *path)
        assert abs(found.gradient.mean[name] - truth) < 4 * found.gradient.standard_error[name] + 1e-4
        assert found.gradient.standard_error[name] < abs(truth) / 20
    with pytest.raises(ValueError, match="integrate_attacks needs a policy that is known not to look at hypertension"):
        gradients.finite_differences("score", jax.random.key(2), params, integrate_attacks=True, **asked)


def test_differences_are_taken_under_jit_and_vmap():
    """Two decisions of nothing: heart attacks = 2 kappa sigma(-threshold)."""

    @jax.jit
    @jax.vmap
    def slopes(threshold):
        return gradients.finite_differences(
            "heart_attacks", jax.random.key(0), EnvParams(heart_attack_threshold=threshold),
            policy=policies.always(Action.NOTHING), wrt="heart_attack_proclivity", num_episodes=2, num_steps=2,
        ).gradient.mean["heart_attack_proclivity"]  # fmt: skip

    found = slopes(jnp.array([5.0, 6.0]))
    np.testing.assert_allclose(found, 2 * sigmoid(np.array([-5.0, -6.0])), rtol=1e-4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"wrt": "policy"}, "of the environment's parameters, got 'policy'"),
        ({"wrt": []}, "at least one parameter"),
        ({"wrt": "max_steps"}, "unknown parameter 'max_steps'"),
        ({"relative_step": 0.0}, "relative_step must be a finite number greater than 0, got 0.0"),
        ({"num_episodes": 1}, "num_episodes must be at least 2"),
        ({"num_steps": 0}, "num_steps must be at least 1"),
        (
            {"policy": gradients.Doses(np.eye(4)), "num_steps": 4, "env": make("HeartPole-v1")},
            "HeartPole-v1 has no fractional actions",
        ),
    ],
)
def test_what_cannot_be_done_is_refused(changed, message):
    asked = {"policy": policies.always(0), "wrt": "hypertension_decay", "num_steps": 2, "integrate_attacks": False}
    with pytest.raises(ValueError, match=message):
        gradients.finite_differences("score", jax.random.key(0), **asked | changed)
