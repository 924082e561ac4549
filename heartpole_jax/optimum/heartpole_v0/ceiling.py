"""What no policy of HeartPole-v0 can reach, by two lines of arithmetic, for any parameters.

Hypertension is never negative, so no half-hour is safer than risk(0), and no policy has fewer than T risk(0) heart
attacks in T decisions (1.23631 in 1000). The mean productivity is at most that of the best imaginable half-hour:
max_a a sigma(3 - a) times the Ballmer peak, 3.14. Together: no expected return is above -120.5.
"""

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs.heartpole_v0 import EnvParams
from heartpole_jax.optimum.heartpole_v0 import body


@arguments.checked(params=EnvParams)
def resting_risk(params: EnvParams | None = None) -> float:
    """The heart attack risk of a step at hypertension 0, which no policy can get below."""
    return float(body.risk(0.0, EnvParams() if params is None else params))


@arguments.checked(params=EnvParams)
def heart_attack_floor(params: EnvParams | None = None) -> float:
    """The expected heart attacks that no policy can avoid in an episode: max_steps * risk(0)."""
    params = EnvParams() if params is None else params
    return float(params.max_steps) * resting_risk(params)


@arguments.checked(params=EnvParams)
def return_ceiling(params: EnvParams | None = None) -> float:
    """A number that no policy's expected return exceeds (-120.5): the best half-hour at risk(0), for ever.

    `certificate` tells for which parameters the optimum itself is known.
    """
    params = EnvParams() if params is None else params
    # Ten widths off its peak a Gaussian is gone.
    peak, spread = float(params.ballmer_peak), 10.0 * float(params.ballmer_peak_width)
    intoxication = np.append(np.linspace(max(0.0, peak - spread), peak + spread, 100_001), 0.0)
    best_half_hour = np.max(body.productivity(body.best_alertness(params), intoxication, params))
    return float(best_half_hour) - float(params.heart_attack_penalty) * heart_attack_floor(params)
