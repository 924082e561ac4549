"""Does the model fit: what each row of a trace should have shown given the rows before it, and what it did show.

If it does, standardised residuals have mean 0 and variance 1, are uncorrelated, and the quantiles of what was seen
among what was expected are uniform in [0, 1] (Dawid, 1984; Diebold, Gunther and Tay, 1998).
"""

import jax
import jax.numpy as jnp
import numpy as np

from heartpole_jax import arguments, struct
from heartpole_jax.envs.heartpole_v0 import EnvParams
from heartpole_jax.identification import filtering
from heartpole_jax.identification.fitting import stack
from heartpole_jax.identification.traces import OBSERVED, ObservationNoise, Trace


@struct.dataclass
class Residuals:
    """One-step-ahead predictions of a trace, dicts by the names in `traces.OBSERVED` of float64 (T + 1,)."""

    expected: dict[str, np.ndarray]
    deviations: dict[str, np.ndarray]  # standard deviations, those of observation included
    standardised: dict[str, np.ndarray]  # (seen - expected) / deviation, NaN where nothing was seen
    quantiles: dict[str, np.ndarray]  # of what was seen among what was expected, NaN likewise
    heart_attack_risks: np.ndarray  # (T,) before each draw; their sum is the number of heart attacks to expect


_predict = jax.jit(filtering.predictions)


@arguments.typed()
def residuals(trace: Trace, params: EnvParams, observation_noise: ObservationNoise) -> Residuals:
    """What `trace` showed against what was to be expected of it, row by row.

    After a heart attack hypertension is 0 by definition, so those rows have no residual of it. `work_done` is predicted
    with the other values of its row.

    Raises:
      ValueError: for a trace whose heart attacks are unknown, or noise of 0.
      TypeError: for a trace that is none.
    """
    rows, unknown = stack(trace, observation_noise)
    if unknown:
        raise ValueError("residuals need to know the heart attacks, got a trace in which some are unknown (-1)")
    with jax.enable_x64(True):
        one = jax.tree.map(lambda x: jnp.asarray(x[0]), rows)
        found = jax.device_get(_predict(one, params, observation_noise))
    expected = {name: found[name].mean for name in OBSERVED}
    deviations = {name: found[name].deviation for name in OBSERVED}
    quantiles = {name: found[name].quantile for name in OBSERVED}
    standardised = {
        name: np.where(
            np.isnan(quantiles[name]), np.nan, (np.asarray(getattr(trace, name)) - expected[name]) / deviations[name]
        )
        for name in OBSERVED
    }
    return Residuals(
        expected=expected,
        deviations=deviations,
        standardised=standardised,
        quantiles=quantiles,
        heart_attack_risks=found["heart_attack_risk"].mean[1:],
    )
