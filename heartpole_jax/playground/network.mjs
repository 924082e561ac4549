// The trained agent: a Q-network from its safetensors, as heartpole_jax/policies/q_network.py and transforms.py.

const HALF_HOURS_A_DAY = 48;
const symlog = (x) => Math.sign(x) * Math.log1p(Math.abs(x));
const bell = (x, centre, width) => Math.exp(-0.5 * ((x - centre) / width) ** 2);

/** HeartPole-v0's six numbers as eleven of size about 1. */
function heartpoleFeatures([alertness, hypertension, intoxication, awake, time, work]) {
  return [
    Math.tanh(alertness - 0.5),
    Math.tanh(4 * (alertness - 0.5)),
    symlog(alertness) / 3,
    symlog((alertness * HALF_HOURS_A_DAY) / (time + HALF_HOURS_A_DAY)),
    Math.tanh(hypertension),
    Math.tanh(hypertension / 6),
    Math.tanh(20 * intoxication),
    bell(intoxication, 0.135, 0.02),
    Math.tanh((awake - 16) / 16),
    Math.tanh((2 * work) / Math.max(time, 1)),
    Math.log1p(time) / 4 - 1,
  ];
}

/** Those, and hypertension times the days so far in two forms. */
function heartpoleDaysFeatures(obs) {
  const cost = (obs[1] * (obs[4] + HALF_HOURS_A_DAY)) / HALF_HOURS_A_DAY;
  return [...heartpoleFeatures(obs), symlog(cost) / 2, Math.min(cost / 20, 4)];
}

/** HeartPole-v1's eight numbers as fourteen of size about 1. */
function heartpoleV1Features([alertness, hypertension, intoxication, awake, time, , stimulation, impairment]) {
  const effective = alertness + stimulation - impairment;
  return [
    Math.tanh(alertness),
    symlog(alertness) / 2,
    Math.tanh(effective),
    Math.tanh(effective - 1),
    Math.tanh(effective - 2),
    Math.tanh(stimulation),
    Math.tanh(impairment),
    Math.tanh(hypertension),
    Math.tanh(hypertension / 6),
    Math.tanh(20 * intoxication),
    bell(intoxication, 0.135, 0.02),
    Math.tanh((awake - 16) / 16),
    time / 672 - 1,
    Math.exp(Math.min(time - 1344, 0) / HALF_HOURS_A_DAY),
  ];
}

const FEATURES = {
  "raw": (obs) => obs,
  "heartpole": heartpoleFeatures,
  "heartpole-days": heartpoleDaysFeatures,
  "heartpole-v1": heartpoleV1Features,
};

/** The weights of a layer, base64 of little-endian float32, as numbers. */
function decoded(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
}

/** The network of the page's data, ready to compute. */
export function makeNetwork(data) {
  return {
    ...data,
    layers: data.layers.map((layer) =>
      Object.fromEntries(Object.entries(layer).map(([name, text]) => [name, decoded(text)])),
    ),
  };
}

function dense(x, { kernel, bias }) {
  const out = Float64Array.from(bias);
  for (let i = 0; i < x.length; i++)
    if (x[i] !== 0) for (let j = 0; j < out.length; j++) out[j] += x[i] * kernel[i * out.length + j];
  return out;
}

function normalised(x, scale, bias) {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return x.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-6)) * scale[i] + bias[i]);
}

/**
 * The network's output for a raw observation, one number an action: values before their common, positive scale.
 * The observation is rounded to float32, as the environment hands it out in Python; all else is float64.
 */
export function actionValues(network, obs) {
  let x = FEATURES[network.transform](Array.from(obs, Math.fround));
  network.layers.forEach((layer, i) => {
    x = dense(x, layer);
    if (i === network.layers.length - 1) return;
    if (layer.scale) x = normalised(x, layer.scale, layer.norm_bias);
    x = x.map((value) => Math.max(value, 0));
  });
  if (!network.dueling) return Array.from(x);
  const advantages = Array.from(x).slice(1);
  const mean = advantages.reduce((sum, value) => sum + value, 0) / advantages.length;
  return advantages.map((value) => x[0] + value - mean);
}

/** The place of the largest number, the first of several. */
export const argmax = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
