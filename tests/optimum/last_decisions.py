"""The best of HeartPole-v0's last decisions by enumeration of all actions, in plain NumPy.

Doses are integrated by a rule of two points, the waking alertness by one of three.
"""

import itertools

import numpy as np

_DOSES = 0.5 + np.array([-1, 1]) / np.sqrt(12)  # Gauss-Legendre on [0, 1], of two points
_WAKING = 0.7 + 0.6 * (np.arange(3) + 0.5) / 3


def _logistic(z):
    return 1 / (1 + np.exp(-z))


def _work(a, x):
    ballmer = _logistic(50 * (0.05 - x)) + 2 * np.exp(-(((x - 0.135) / 0.005) ** 2) / 2)
    return a * _logistic(3 - a) * ballmer


def values(state, left, drinks, penalty=100.0):
    """(of nothing, of sleep, of coffee, of beer) with `left` decisions left, each the best from then on.

    Where not `drinks`, the first two alone, and without drinks later. Heart attacks are exact. `state` is of arrays: a,
    s, x, h, W, t.
    """
    a, s, x, h, work, time = state

    def after(a, s, x, h, time, drinks):
        done = work + _work(a, x)
        h = 0.97 * h
        risk = 0.5 * _logistic(h - 6)
        later = (a - _logistic((s - 40) / 10), s + 1, 0.97 * x)
        calm, struck = (value((*later, tension, done, time + 1), left - 1, drinks, penalty) for tension in (h, 0 * h))
        return -penalty * risk + (1 - risk) * calm + risk * struck

    mean = lambda values: sum(values) / len(values)
    nothing = after(a, s, x, h, time, drinks)
    asleep = [after(0 * a + b, 0 * s, 0.97**16 * x, 0.97**16 * h, time + 16, drinks) for b in _WAKING]
    if not drinks:
        return nothing, mean(asleep)
    uniforms = itertools.product(_DOSES, repeat=2)
    coffee = [after(a + u, s, x, h + 0.3 * v, time, drinks) for u, v in uniforms]
    uniforms = itertools.product(_DOSES, repeat=3)
    beer = [after(a - 0.5 * u, s, x + 0.01 + 0.02 * w, h + 0.3 * v, time, drinks) for u, v, w in uniforms]
    return nothing, mean(asleep), mean(coffee), mean(beer)


def value(state, left, drinks, penalty=100.0):
    if left == 0:
        return state[4] / state[5]
    return np.maximum.reduce(np.broadcast_arrays(*values(state, left, drinks, penalty)))
