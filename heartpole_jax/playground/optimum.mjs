// The best policy of HeartPole-v0 without drinks, by dynamic programming: heartpole_jax/optimum/heartpole_v0/days.py,
// the prices of sober.py and `optimal` of policies/heartpole_v0.py. docs/optimum.md has the mathematics, and the proof
// that with the default constants no policy at all is better.
import { fatigue, productivity } from "./model.mjs";

const NODES = 128; // midpoint rule over the waking alertness
const NIGHT = 16;
const [NOTHING, TO_BED] = [0, 3];
const LONGEST_DAY = 96; // decisions to begin with; longer where that turns out too short
const ROWS = 16; // of the dynamic programme between two breaks for the page to breathe

/** Work of days of 0 .. longest decisions for each waking alertness, and the fatigue before each decision. */
function workOfDays(rested, longest, p) {
  const lost = new Float64Array(longest + 1);
  for (let j = 0; j < longest; j++) lost[j + 1] = lost[j] + fatigue(j, p);
  const work = rested.map((alertness) => {
    const sums = new Float64Array(longest + 1);
    for (let j = 0; j < longest; j++) sums[j + 1] = sums[j] + productivity(alertness - lost[j], 0, p);
    return sums;
  });
  return { work, lost };
}

/** The day lengths that maximise work - price * half-hours, by the decisions left. A generator: it yields to rest. */
function* bestDays(work, price, numSteps) {
  const longest = work[0].length - 1;
  const [value, totalWork, totalTime] = [0, 0, 0].map(() => new Float64Array(numSteps + 1));
  const lengths = new Uint16Array((numSteps + 1) * NODES);
  const gains = new Float64Array(NODES);
  for (let left = 1; left <= numSteps; left++) {
    const most = Math.min(left, longest);
    const after = new Float64Array(most + 1);
    for (let n = 1; n <= most; n++) after[n] = value[left - n] - price * (n + (n < left ? NIGHT : 0));
    for (let i = 0; i < NODES; i++) {
      let [best, gain] = [1, -Infinity];
      for (let n = 1; n <= most; n++) {
        const earned = work[i][n] + after[n];
        if (earned > gain) [best, gain] = [n, earned];
      }
      lengths[left * NODES + i] = best;
      gains[i] = gain;
      value[left] += gain / NODES;
      totalWork[left] += (work[i][best] + totalWork[left - best]) / NODES;
      totalTime[left] += (best + (best < left ? NIGHT : 0) + totalTime[left - best]) / NODES;
    }
    if (left % ROWS === 0) yield;
  }
  const asleepAtOnce = value[numSteps] - price * NIGHT;
  const first = Array.from(gains, (gain, i) => (gain >= asleepAtOnce ? lengths[numSteps * NODES + i] : 0));
  let [sumWork, sumTime] = [0, 0];
  first.forEach((length, i) => {
    const rest = numSteps - length;
    sumWork += work[i][length] + totalWork[rest];
    sumTime += length + (rest > 0 ? NIGHT : 0) + totalTime[rest];
  });
  return { price, first, lengths, work: totalWork, time: totalTime, ratio: sumWork / sumTime, longest, numSteps };
}

/** The standard deviation of W - price * t at the end of an episode, under these days. */
function spreadOf(days, work) {
  const { numSteps, price } = days;
  const [share, mean, square] = [0, 0, 0].map(() => new Float64Array(numSteps + 1));
  share[numSteps] = 1;
  for (let left = numSteps; left > 0; left--) {
    if (share[left] === 0) continue;
    const [s, y, yy] = [share[left] / NODES, mean[left] / NODES, square[left] / NODES];
    for (let i = 0; i < NODES; i++) {
      const length = Math.max(left === numSteps ? days.first[i] : days.lengths[left * NODES + i], 1);
      const more = work[i][length] - price * (length + (length < left ? NIGHT : 0));
      share[left - length] += s;
      mean[left - length] += y + s * more;
      square[left - length] += yy + 2 * y * more + s * more * more;
    }
  }
  return Math.sqrt(Math.max(square[0] / share[0] - (mean[0] / share[0]) ** 2, 0));
}

function isRestedProductive(rested, p) {
  const [low, high] = [Math.min(0, rested[0]), rested[NODES - 1]];
  const at = (i) => productivity(low + ((high - low) * i) / 1000, 0, p);
  for (let i = 0; i < 1000; i++) if (at(i + 1) < at(i)) return false;
  return true;
}

/**
 * The tables of the best policy without drinks, or null where they cannot be computed: where more rest makes less
 * productive. A generator, so that a page can go on meanwhile: its last value is the result.
 */
export function* solveSober(p) {
  const numSteps = p.max_steps;
  const [low, high] = [p.wake_up_alertness_low, p.wake_up_alertness_high];
  const rested = Array.from({ length: NODES }, (_, i) => low + ((high - low) * (i + 0.5)) / NODES);
  if (!isRestedProductive(rested, p)) return null;
  let longest = Math.min(numSteps, LONGEST_DAY);
  for (;;) {
    const { work, lost } = workOfDays(rested, longest, p);
    const oneEach = work.reduce((sum, sums) => sum + sums[1], 0) / NODES;
    let days = yield* bestDays(work, Math.min(0, oneEach / (1 + NIGHT)), numSteps);
    // Relative, lest rounding go on for ever where constants are huge.
    while (days.ratio > days.price + 1e-12 * Math.max(1, Math.abs(days.price)))
      days = yield* bestDays(work, days.ratio, numSteps);
    if (longest === numSteps || !days.lengths.subarray((longest + 1) * NODES).includes(longest)) {
      const step = Math.max((2 * spreadOf(days, work)) / days.time[numSteps], 1e-3 * Math.abs(days.price), 1e-9);
      const lower = yield* bestDays(work, days.price - step, numSteps);
      const higher = yield* bestDays(work, days.price + step, numSteps);
      return { days: [lower, days, higher], rested, lost };
    }
    longest = Math.min(numSteps, 2 * longest);
  }
}

/** Sleep if alertness is below this, with so many decisions left and so many half-hours awake. */
function bedtime(days, { rested, lost }, left, awake) {
  const bound = (count) =>
    count === 0 ? -Infinity : count === NODES ? Infinity : (rested[count - 1] + rested[count]) / 2;
  if (awake >= days.longest) return Infinity;
  if (awake === 0)
    return left === days.numSteps ? bound(days.first.filter((length) => length === 0).length) : -Infinity;
  if (left < 1 || left + awake > days.numSteps) return -Infinity;
  let asleep = 0;
  const row = (left + awake) * NODES;
  for (let i = 0; i < NODES; i++) if (days.lengths[row + i] <= awake) asleep += 1;
  return bound(asleep) - lost[awake];
}

/** The optimum's memory at the start: decisions so far, and today's price of a half-hour. */
export const soberStart = (solved) => ({ steps: 0, price: solved.days[1].price });

/** What the optimum does in a state, and its memory after it: { action, bedtime, carry }. */
export function soberAct(solved, state, carry) {
  const left = Math.max(solved.days[1].numSteps - carry.steps, 0);
  const [low, middle, high] = solved.days.map((days) => bedtime(days, solved, left, state.time_since_slept));
  const [lowest, price, highest] = solved.days.map((days) => days.price);
  const between = Math.min(Math.max((carry.price - price) / (highest - price), -1), 1);
  const slope = between > 0 ? high - middle : middle - low;
  const below = Number.isFinite(slope) ? middle + between * slope : middle;
  const tired = state.alertness < below;
  const time = state.time_elapsed + NIGHT + solved.days[1].time[left];
  const tomorrow = (state.work_done + solved.days[1].work[left]) / time;
  return {
    action: tired ? TO_BED : NOTHING,
    bedtime: below,
    carry: { steps: carry.steps + 1, price: tired ? tomorrow : carry.price },
  };
}
