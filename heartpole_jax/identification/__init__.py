"""Which parameters produced this trace, and what if they had not drunk that coffee.

    from heartpole_jax import identification

    trace = identification.make_trace(actions, alertness=..., hypertension=..., heart_attacks=...)
    identification.read_csv(path)                                           # the traces in a CSV, by patient
    identification.check_trace(trace, params, noise)                        # is it possible?
    identification.infer_noise(state, action, next_state)                   # the random numbers of a step
    identification.counterfactual(trace, other_actions, params, key=key)    # other actions, the same noise
    identification.fit(traces, names, observation_noise=noise)              # parameters, intervals, unidentified ones
    identification.residuals(trace, params, noise)                          # does it fit?

`docs/identification.md` has the model, what identifies what, and how far the intervals are to be trusted.
"""

from heartpole_jax.identification.checking import ImpossibleTraceError, check_trace
from heartpole_jax.identification.counterfactuals import Counterfactual, Course, counterfactual
from heartpole_jax.identification.csv_files import read_csv
from heartpole_jax.identification.diagnosing import Residuals, residuals
from heartpole_jax.identification.fitting import ConvergenceWarning, Fit, IdentificationWarning, ParameterEstimate, fit
from heartpole_jax.identification.noise import InferredNoise, infer_noise, sample_noise_given
from heartpole_jax.identification.traces import (
    ObservationNoise,
    Trace,
    make_trace,
    observe,
    trace_of_rollout,
    trace_of_states,
)

__all__ = [
    "ConvergenceWarning",
    "Counterfactual",
    "Course",
    "Fit",
    "IdentificationWarning",
    "ImpossibleTraceError",
    "InferredNoise",
    "ObservationNoise",
    "ParameterEstimate",
    "Residuals",
    "Trace",
    "check_trace",
    "counterfactual",
    "fit",
    "infer_noise",
    "make_trace",
    "observe",
    "read_csv",
    "residuals",
    "sample_noise_given",
    "trace_of_rollout",
    "trace_of_states",
]
