// Random numbers by counter, bit for bit those of heartpole_jax/threefry.py: Threefry-2x32 with 13 rounds.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];
const PARITY = 0x1bd11bda;

/** Two uint32 words, a pseudo-random function of two key words and two counter words. */
export function threefry2x32([k0, k1], [c0, c1], numRounds = 13) {
  const schedule = [k0, k1, k0 ^ k1 ^ PARITY];
  let x = (c0 + k0) >>> 0;
  let y = (c1 + k1) >>> 0;
  for (let i = 0; i < numRounds; i++) {
    const rotation = ROTATIONS[i % 8];
    x = (x + y) >>> 0;
    y = (((y << rotation) | (y >>> (32 - rotation))) ^ x) >>> 0;
    if (i % 4 === 3) {
      const injection = (i >> 2) + 1;
      x = (x + schedule[injection % 3]) >>> 0;
      y = (y + schedule[(injection + 1) % 3] + injection) >>> 0;
    }
  }
  return [x, y];
}

/** A uint32 as a uniform in [0, 1) of 24 random bits, exact in float32 and in float64. */
export const asUniform = (word) => (word >>> 8) * 2 ** -24;

const foldIn = (words, purpose) => threefry2x32(words, [(2 ** 31 + purpose) >>> 0, 0]);
const keyAt = (words, index, time) => [(words[0] + index) >>> 0, (words[1] + time) >>> 0];
const block = (words, index) => threefry2x32(words, [index, 0]).map(asUniform);

/**
 * The noise of the episode of a seed: what `hp.rollout(policy, jax.random.key(seed), num_envs=1)` draws, and so
 * `python -m heartpole_jax episode --seed SEED`. `wakeUp` is the uniform of the reset, `at(t)` the four of decision t.
 */
export function episodeNoise(seed) {
  const key = [0, seed >>> 0];
  const [decisions, start] = [foldIn(key, 0), foldIn(key, 2)];
  const at = (time) => {
    const words = keyAt(decisions, 0, time);
    const [alertness, heartAttack] = block(words, 0);
    const [hypertension, intoxication] = block(words, 1);
    return { alertness, hypertension, intoxication, heartAttack };
  };
  return { wakeUp: block(keyAt(start, 0, 0), 4)[0], at };
}
