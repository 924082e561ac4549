// One game: the player's episode, the agent's and the rival's on the same noise, and what the address says of it.
import { effectiveAlertness, initialState, TRANSITIONS } from "./model.mjs";
import { actionValues, argmax } from "./network.mjs";
import { soberAct, soberStart } from "./optimum.mjs";
import { number } from "./words.mjs";

const NOTHING_YET = { gain: 0, risk: 0, attacks: 0, total: 0, drinks: 0 };

/** An episode that has just begun: `totals` are the sums after each decision, in expected penalties. */
export function beginEpisode(env, params, noise) {
  return {
    env,
    params,
    noise,
    actions: [],
    events: [],
    states: [initialState(noise.wakeUp, params)],
    totals: [NOTHING_YET],
  };
}

export const isDone = ({ env, params, states }) => states.at(-1)[env.limit.counts] >= params[env.limit.name];

/** Goes one decision on, in place. The return so far counts a heart attack by its probability. */
export function advance(episode, action) {
  const { env, params, noise, states, totals } = episode;
  const before = states.at(-1);
  const [state, event] = TRANSITIONS[env.name](before, action, noise.at(before.num_steps), params, env.actions);
  const sums = totals.at(-1);
  episode.actions.push(action);
  episode.events.push(event);
  states.push(state);
  totals.push({
    gain: sums.gain + event.gain,
    risk: sums.risk + event.risk,
    attacks: sums.attacks + event.attack,
    total: sums.total + event.gain - params.heart_attack_penalty * event.risk,
    drinks: sums.drinks + env.actions[action].drink,
  });
}

/** Takes the last decision back, in place. */
export function undo(episode) {
  for (const list of [episode.actions, episode.events]) list.pop();
  for (const list of [episode.states, episode.totals]) if (list.length > 1) list.pop();
}

export const observation = (env, state) => env.obs_names.map((name) => state[name]);

/** The trained agent as a policy: { start, act(state, carry) -> { action, carry, values } }. */
export const networkPolicy = (env, network) => ({
  start: () => null,
  act(state) {
    const values = actionValues(network, observation(env, state));
    return { action: argmax(values), carry: null, values };
  },
});

/** The best without drinks, once it is solved. */
export const soberPolicy = (solved) => ({
  start: () => soberStart(solved),
  act: (state, carry) => soberAct(solved, state, carry),
});

/** "coffee and exercise" of policies/heartpole_v1.py, the best scripted policy of HeartPole-v1. */
export function coffeeAndExercise(env) {
  const [sleep, exercise, coffee, nothing] = ["sleep", "exercise", "coffee", "nothing"].map((name) =>
    env.actions.findIndex((action) => action.name === name),
  );
  const choose = (state) => {
    const tired = effectiveAlertness(state) < 2;
    if (state.time_since_slept >= 24) return sleep;
    if (tired && state.hypertension > 0.5) return exercise;
    return tired && state.time_since_slept < 18 ? coffee : nothing;
  };
  return { start: () => null, act: (state) => ({ action: choose(state), carry: null }) };
}

/** A policy's own episode, played as far as it is asked for. */
export function makeRival(policy, env, params, noise) {
  const episode = beginEpisode(env, params, noise);
  let carry = policy.start();
  const reach = (count, value) => {
    while (episode.states.at(-1)[count] < value && !isDone(episode)) {
      const chosen = policy.act(episode.states.at(-1), carry);
      carry = chosen.carry;
      advance(episode, chosen.action);
    }
  };
  return {
    episode,
    reach,
    /** Its sums once it is as far as the player's state: in decisions, or half-hours where those are limited. */
    totalsAt(state) {
      const { counts, name } = env.limit;
      reach(counts, state[counts]);
      // Where the last decision goes beyond the end, as sleep does, whole episodes are compared.
      if (state[counts] >= params[name]) return episode.totals.at(-1);
      return episode.totals[indexAt(episode, state[counts], counts)];
    },
  };
}

/** How many decisions an episode had behind it when its clock, or its count, was at `value`. */
function indexAt(episode, value, counts) {
  if (counts === "num_steps") return Math.min(value, episode.totals.length - 1);
  let [low, high] = [0, episode.states.length - 1];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (episode.states[middle][counts] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** What a policy would do in the player's place, its memory, where it has one, being of the player's episode. */
export function adviceOf(policy, episode) {
  let carry = policy.start();
  let chosen = null;
  for (const state of carry === null ? episode.states.slice(-1) : episode.states) {
    chosen = policy.act(state, carry);
    carry = chosen.carry;
  }
  return chosen;
}

/** What is wrong with a value for a constant, in a sentence; null where it is right. `params` has the others. */
export function problemOf(text, name, params, env) {
  const { min, exclusive, max, whole } = env.constants[name];
  const value = Number(text);
  const range = `${whole ? "a whole number" : "a number"} ${exclusive ? "above" : "from"} ${number(min, 0)} ${
    exclusive ? "and at most" : "to"
  } ${number(max, 0)}`;
  const label = env.constants[name].label;
  if (String(text).trim() === "" || !Number.isFinite(value)) return `${label} must be ${range}, got “${shown(text)}”.`;
  const below = exclusive ? value <= min : value < min;
  if (below || value > max || (whole && !Number.isInteger(value)))
    return `${label} must be ${range}, got ${shown(text)}.`;
  const low = name.replace(/_high$/, "_low");
  const high = name.replace(/_low$/, "_high");
  if (low in params && high in params && low !== high) {
    const [least, most] = name === low ? [value, params[high]] : [params[low], value];
    if (least > most)
      return name === low
        ? `${label} must not be above its “high”, ${most}, got ${shown(text)}.`
        : `${label} must not be below its “low”, ${least}, got ${shown(text)}.`;
  }
  return null;
}

const shown = (text) => (String(text).length > 40 ? `${String(text).slice(0, 40)}…` : String(text));

const LARGEST_SEED = 2 ** 32 - 1;

/** What is wrong with a seed, in a sentence; null where it is one. */
export const problemOfSeed = (text) =>
  /^\d{1,10}$/.test(text) && Number(text) <= LARGEST_SEED
    ? null
    : `A seed is a whole number from 0 to ${number(LARGEST_SEED, 0)}, got “${shown(text)}”.`;

/** The game that an address asks for, "#env=v0&seed=7&max_steps=96", and what is wrong with it: { env, seed, params,
 *  problems }. What is wrong is left at its default, and said. */
export function readAddress(hash, data) {
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  const problems = [];
  const short = (name) => name.replace("HeartPole-", "");
  let name = data.start;
  if (asked.has("env")) {
    const found = Object.keys(data.environments).find((each) => short(each) === asked.get("env"));
    if (found) name = found;
    else
      problems.push(
        `There is no HeartPole “${shown(asked.get("env"))}”; this is ${short(name)}. ` +
          `Try ${Object.keys(data.environments).map(short).join(" or ")}.`,
      );
  }
  const env = data.environments[name];
  let seed = 0;
  if (asked.has("seed")) {
    const wrong = problemOfSeed(asked.get("seed"));
    if (wrong) problems.push(`${wrong} This is seed 0; type another above the clock.`);
    else seed = Number(asked.get("seed"));
  }
  const params = { ...env.params };
  for (const [key, text] of asked) {
    if (key === "env" || key === "seed") continue;
    if (!(key in env.constants)) {
      problems.push(`${name} has no constant “${shown(key)}”; it was left out.`);
      continue;
    }
    // A pair is read as a whole: each bound is checked against the other one that the address names.
    const others = { ...params };
    for (const other of [key.replace(/_high$/, "_low"), key.replace(/_low$/, "_high")])
      if (other !== key && asked.has(other) && asked.get(other) !== "") others[other] = Number(asked.get(other));
    const wrong = problemOf(text, key, others, env);
    if (wrong) problems.push(`${wrong} It is ${params[key]}.`);
    else params[key] = Number(text);
  }
  for (const key of Object.keys(params)) {
    const high = key.replace(/_low$/, "_high");
    if (high !== key && high in params && params[key] > params[high])
      [params[key], params[high]] = [env.params[key], env.params[high]];
  }
  return { env, seed, params, problems };
}

/** The address of a game: what differs from the defaults. */
export function writeAddress(env, seed, params) {
  const parts = [`env=${env.name.replace("HeartPole-", "")}`, `seed=${seed}`];
  for (const name of Object.keys(env.constants))
    if (params[name] !== env.params[name]) parts.push(`${name}=${params[name]}`);
  return `#${parts.join("&")}`;
}

/** Whether all constants are as they were when the agent was trained. */
export const isDefault = (env, params) => Object.keys(env.constants).every((name) => params[name] === env.params[name]);

/** Whether the rival's return is proven to be the most that any policy reaches in expectation, with these constants. */
export function isCertified(env, params) {
  if (env.certified_from === null) return false;
  const same = Object.keys(env.constants).every((name) => name === env.limit.name || params[name] === env.params[name]);
  return same && params[env.limit.name] >= env.certified_from;
}
