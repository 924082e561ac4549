// HeartPole-v0 and HeartPole-v1 in float64: heartpole_jax/envs/heartpole_v0.py and heartpole_v1.py, one patient at a time.
// Equations and constants are Vadim Liventsev's (the HeartPole tutorial, MIT). Parameters have the names of EnvParams.

const SLEEP_HALF_HOURS = 16;
const [COFFEE, BEER, SLEEP] = [1, 2, 3];

export const sigmoid = (z) => 1 / (1 + Math.exp(-z));
const between = (low, high, u) => low + (high - low) * u;

/** Probability of a heart attack in a half-hour. */
export const attackRisk = (hypertension, p) =>
  p.heart_attack_proclivity * sigmoid(hypertension - p.heart_attack_threshold);

/** Alertness lost in one half-hour. */
export const fatigue = (timeSinceSlept, p) => sigmoid((timeSinceSlept - p.fatigue_onset) * (1 / p.fatigue_width));

/** Productivity multiplier of alcohol, the Ballmer peak. */
export function ballmer(intoxication, p) {
  const deviation = (intoxication - p.ballmer_peak) * (1 / p.ballmer_peak_width);
  const sober = sigmoid(p.ballmer_steepness * (p.ballmer_limit - intoxication));
  return sober + p.ballmer_peak_height * Math.exp(-0.5 * deviation * deviation);
}

/** Productive half-hours done in half an hour of work. */
export const productivity = (alertness, intoxication, p) =>
  alertness * sigmoid(p.anxiety_threshold - alertness) * ballmer(intoxication, p);

/** A patient who has just woken up, `u` in [0, 1) deciding how rested. */
export const initialState = (u, p) => ({
  alertness: between(p.wake_up_alertness_low, p.wake_up_alertness_high, u),
  hypertension: 0,
  intoxication: 0,
  time_since_slept: 0,
  time_elapsed: 0,
  work_done: 0,
  stimulation: 0,
  impairment: 0,
  num_steps: 0,
});

function halfHourPassed(state, p) {
  state.alertness -= fatigue(state.time_since_slept, p);
  state.hypertension *= p.hypertension_decay;
  state.intoxication *= p.intoxication_decay;
  state.time_since_slept += 1;
  state.time_elapsed += 1;
}

/** What every decision of either version ends with: perhaps a heart attack. Returns [state, what happened]. */
function finished(before, state, work, gain, risk, noise) {
  const attack = noise.heartAttack < risk;
  if (attack) state.hypertension = 0;
  state.work_done = before.work_done + work;
  state.num_steps = before.num_steps + 1;
  return [state, { gain, work, risk, attack, half_hours: state.time_elapsed - before.time_elapsed }];
}

/**
 * One decision of HeartPole-v0, the noise given: [next state, { gain, work, risk, attack, half_hours }].
 * The reward is gain - penalty * (attack, or its risk where penalties are expected); the gain is that of W / t.
 */
export function transitionV0(before, action, noise, p) {
  const state = { ...before };
  if (action === COFFEE) {
    state.alertness += between(p.coffee_alertness_low, p.coffee_alertness_high, noise.alertness);
    state.hypertension += between(p.coffee_hypertension_low, p.coffee_hypertension_high, noise.hypertension);
  } else if (action === BEER) {
    state.alertness -= between(p.beer_alertness_loss_low, p.beer_alertness_loss_high, noise.alertness);
    state.hypertension += between(p.beer_hypertension_low, p.beer_hypertension_high, noise.hypertension);
    state.intoxication += between(p.beer_intoxication_low, p.beer_intoxication_high, noise.intoxication);
  } else if (action === SLEEP) {
    for (let i = 0; i < SLEEP_HALF_HOURS; i++) halfHourPassed(state, p);
    state.alertness = between(p.wake_up_alertness_low, p.wake_up_alertness_high, noise.alertness);
    state.time_since_slept = 0;
  }
  const work = productivity(state.alertness, state.intoxication, p);
  halfHourPassed(state, p);
  const score = before.work_done / Math.max(before.time_elapsed, 1);
  const gain = (work - (state.time_elapsed - before.time_elapsed) * score) / state.time_elapsed;
  return finished(before, state, work, gain, attackRisk(state.hypertension, p), noise);
}

/** The alertness that works. */
export const effectiveAlertness = (state) => Math.max(state.alertness + state.stimulation - state.impairment, 0);

/** One decision of HeartPole-v1 with its menu: as `transitionV0`; the gain is the work done. */
export function transitionV1(before, action, noise, p, menu) {
  const state = { ...before };
  const row = menu[action];
  const dose = (channel, u) => (row.doses[channel] ? between(...row.doses[channel], u) : 0);
  state.hypertension = Math.max(state.hypertension + dose("hypertension", noise.hypertension), 0);
  state.intoxication += dose("intoxication", noise.intoxication);
  state.stimulation += dose("stimulation", noise.alertness);
  state.impairment += dose("impairment", noise.alertness);
  const bedtimeStimulation = state.stimulation;
  let [risk, work] = [0, 0];
  for (let passing = 0; passing <= row.half_hours; passing++) {
    if (passing === row.half_hours) {
      if (row.wakes_up) {
        const rested = between(p.wake_up_alertness_low, p.wake_up_alertness_high, noise.alertness);
        state.alertness = rested - p.bedtime_stimulation_cost * bedtimeStimulation;
        state.time_since_slept = 0;
      } else state.alertness += dose("alertness", noise.alertness);
      work = productivity(effectiveAlertness(state), state.intoxication, p);
    }
    state.alertness -= fatigue(state.time_since_slept, p);
    state.hypertension *= p.hypertension_decay;
    state.intoxication = Math.max(state.intoxication - p.intoxication_elimination, 0);
    state.stimulation *= p.stimulation_decay;
    state.impairment *= p.impairment_decay;
    state.time_since_slept += 1;
    state.time_elapsed += 1;
    risk += (1 - risk) * Math.min(row.hazard * attackRisk(state.hypertension, p), 1);
  }
  return finished(before, state, work, work, risk, noise);
}

export const TRANSITIONS = { "HeartPole-v0": transitionV0, "HeartPole-v1": transitionV1 };
