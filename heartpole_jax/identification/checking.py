"""Is this trace possible? Bounds on the body are carried through every step and held against what was seen.

The bounds of alertness, hypertension, intoxication and work_done follow from the ranges of the doses; an observation
narrows them to its own tolerance. So a step is checked together with all that came before it, gaps included.
"""

from typing import NamedTuple

import numpy as np

from heartpole_jax import arguments
from heartpole_jax.envs.heartpole_v0 import SLEEP_HALF_HOURS, Action, EnvParams
from heartpole_jax.identification.traces import OBSERVED, ObservationNoise, Trace, make_trace

NUM_DEVIATIONS = 6.0  # a Gaussian error exceeds it once in 500 million
# float32, and a little of what it does to a sum of a few hundred steps: relative, and to 1 or to the scale below.
_ROUNDING = 1e-5
_SCALES = {"intoxication": 0.1}


class ImpossibleTraceError(ValueError):
    """A trace that these parameters cannot produce."""


class _Bounds(NamedTuple):
    low: float
    high: float

    def moved(self, low: float, high: float | None = None) -> "_Bounds":
        return _Bounds(self.low + low, self.high + (low if high is None else high))

    def scaled(self, factor: float) -> "_Bounds":
        return _Bounds(self.low * factor, self.high * factor)


@arguments.typed()
def check_trace(trace: Trace, params: EnvParams | None = None, noise: ObservationNoise | None = None) -> None:
    """Returns nothing where `trace` is possible under `params`, observed with `noise` (none, by default).

    Values may be off by six standard deviations of `noise`, and by the rounding of float32 in any case.

    Raises:
      ImpossibleTraceError: a ValueError that names the first row and variable that are impossible, what came and what
        could have come.
      ValueError, TypeError: for a trace that `make_trace` would refuse.
    """
    params = EnvParams() if params is None else params
    noise = ObservationNoise() if noise is None else noise
    trace = make_trace(**vars(trace))
    values = {name: float(value) for name, value in vars(params).items()}
    deviations = {name: float(getattr(noise, name)) for name in OBSERVED}
    checker = _Checker(trace, values, deviations)

    alertness = checker.narrow("alertness", 0, _range(values, "wake_up_alertness"))
    hypertension = checker.narrow("hypertension", 0, _Bounds(0.0, 0.0))
    intoxication = checker.narrow("intoxication", 0, _Bounds(0.0, 0.0))
    work_done = checker.narrow("work_done", 0, _Bounds(0.0, 0.0))
    awake = 0
    for step, action in enumerate(trace.actions):
        row = step + 1
        if action == Action.SLEEP:
            awake = 0
            alertness = _range(values, "wake_up_alertness")
            hypertension = hypertension.scaled(values["hypertension_decay"] ** SLEEP_HALF_HOURS)
            intoxication = intoxication.scaled(values["intoxication_decay"] ** SLEEP_HALF_HOURS)
        elif action == Action.COFFEE:
            alertness = alertness.moved(*_range(values, "coffee_alertness"))
            hypertension = hypertension.moved(*_range(values, "coffee_hypertension"))
        elif action == Action.BEER:
            loss = _range(values, "beer_alertness_loss")
            alertness = alertness.moved(-loss.high, -loss.low)
            hypertension = hypertension.moved(*_range(values, "beer_hypertension"))
            intoxication = intoxication.moved(*_range(values, "beer_intoxication"))

        fatigue = float(_sigmoid((awake - values["fatigue_onset"]) / values["fatigue_width"]))
        awake += 1
        alertness = checker.narrow("alertness", row, alertness.moved(-fatigue))
        intoxication = checker.narrow("intoxication", row, intoxication.scaled(values["intoxication_decay"]))
        at_work = _productivity(
            alertness.moved(fatigue), intoxication.scaled(1 / max(values["intoxication_decay"], 1e-300)), values
        )
        work_done = checker.narrow("work_done", row, work_done.moved(*at_work))
        hypertension = checker.hypertension(row, hypertension.scaled(values["hypertension_decay"]))


class _Checker(NamedTuple):
    trace: Trace
    params: dict[str, float]
    deviations: dict[str, float]

    def narrow(self, name: str, row: int, bounds: _Bounds) -> _Bounds:
        """`bounds` within what was seen in `row`. Raises ImpossibleTraceError where nothing is left."""
        seen = float(getattr(self.trace, name)[row])
        if np.isnan(seen):
            return bounds
        tolerance = self._tolerance(name, bounds)
        if not bounds.low - tolerance <= seen <= bounds.high + tolerance:
            self._refuse(name, row, f"{bounds.low:.6g} .. {bounds.high:.6g}", tolerance)
        # Not below the rounding on either side: the next step starts from what was seen.
        return _Bounds(max(bounds.low, seen - tolerance), min(bounds.high, seen + tolerance))

    def hypertension(self, row: int, bounds: _Bounds) -> _Bounds:
        """Bounds of hypertension after the draw of the heart attack."""
        nothing = _Bounds(0.0, 0.0)
        flag = self.trace.heart_attacks[row - 1]
        if flag == 1:
            if self.params["heart_attack_proclivity"] == 0:
                self._refuse("heart_attacks", row, "none, at a heart_attack_proclivity of 0", 0.0)
            return self.narrow("hypertension", row, nothing)
        if flag == 0:
            return self.narrow("hypertension", row, bounds)
        seen = float(self.trace.hypertension[row])
        tolerance = self._tolerance("hypertension", bounds)
        reset = self.params["heart_attack_proclivity"] > 0 and (np.isnan(seen) or abs(seen) <= tolerance)
        stays = np.isnan(seen) or bounds.low - tolerance <= seen <= bounds.high + tolerance
        if not (reset or stays):
            zero = "0 or " if self.params["heart_attack_proclivity"] > 0 else ""
            self._refuse("hypertension", row, f"{zero}{bounds.low:.6g} .. {bounds.high:.6g}", tolerance)
        left = self.narrow("hypertension", row, bounds) if stays else nothing
        return _Bounds(0.0 if reset else left.low, left.high)

    def _tolerance(self, name: str, bounds: _Bounds) -> float:
        size = max(abs(bounds.low), abs(bounds.high), _SCALES.get(name, 1.0))
        return NUM_DEVIATIONS * self.deviations[name] + _ROUNDING * size

    def _refuse(self, name: str, row: int, possible: str, tolerance: float) -> None:
        seen = getattr(self.trace, name)[row - 1 if name == "heart_attacks" else row]
        after = f"after {Action(self.trace.actions[row - 1]).name}" if row else "before the first action"
        raise ImpossibleTraceError(
            f"{name} in row {row} ({after}) is impossible: got {seen:.6g}, possible is {possible}, give or take "
            f"{tolerance:.2g}; look at the row and the action, or pass the parameters and the observation noise that "
            "the trace was made with"
        )


def _range(params: dict[str, float], name: str) -> _Bounds:
    return _Bounds(params[f"{name}_low"], params[f"{name}_high"])


def _productivity(alertness: _Bounds, intoxication: _Bounds, params: dict[str, float]) -> _Bounds:
    """Bounds of the productivity over a box of alertness and intoxication."""
    sober, peak = params["ballmer_limit"], params["ballmer_peak"]
    x = np.array([*intoxication, np.clip(peak, *intoxication)])
    decline = _sigmoid(params["ballmer_steepness"] * (sober - x))
    bump = params["ballmer_peak_height"] * np.exp(-0.5 * np.square((x - peak) / params["ballmer_peak_width"]))
    ballmer = _Bounds(decline[1] + min(bump[0], bump[1]), decline[0] + bump[2])
    # Alertness times what anxiety leaves of it rises to a single top and falls after it: the ends of the interval and a
    # fine grid hold its bounds, but for what the top may lie above the grid.
    a = np.linspace(*alertness, 257)
    alert = a * _sigmoid(params["anxiety_threshold"] - a)
    spare = np.square((alertness.high - alertness.low) / 256)
    products = np.outer([alert.min(), alert.max() + spare], ballmer)
    return _Bounds(float(products.min()), float(products.max()))


def _sigmoid(z):
    return np.exp(-np.logaddexp(0.0, -z))
