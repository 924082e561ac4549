// Numbers and moments in words: what the page shows, and what a screen reader hears.

/** A number with so many decimals, a true minus, and thousands apart. */
export function number(value, decimals = 2) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (Math.abs(value) >= 1e10) return value.toExponential(2).replace("-", "−").replace("e+", "e");
  const text = Math.abs(value).toLocaleString("en", {
    minimumFractionDigits: decimals,
    maximumFractionDigits: decimals,
  });
  return value < 0 && Number(text.replace(/,/g, "")) !== 0 ? `−${text}` : text;
}

/** The same with its sign. */
export const signed = (value, decimals) => {
  const text = number(value, decimals);
  return value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
};

/** A probability in per cent, with digits enough for small ones. */
export const percent = (risk) => `${number(100 * risk, risk < 0.01 ? 2 : risk < 0.1 ? 1 : 0)} %`;

/** The clock of a state: an episode begins at eight in the morning of day 1. */
export function clockOf(timeElapsed) {
  const halfHours = timeElapsed + 16;
  const [day, rest] = [Math.floor(halfHours / 48) + 1, halfHours % 48];
  const two = (value) => String(value).padStart(2, "0");
  return { day, hour: rest / 2, text: `${two(rest >> 1)}:${rest % 2 ? "30" : "00"}` };
}

const ALERTNESS = [
  [-Infinity, "exhausted"],
  [0, "tired"],
  [0.5, "awake"],
  [0.9, "rested"],
  [1.8, "wired"],
];

/** How an alertness feels; above the threshold it is anxiety. */
export function feeling(alertness, anxietyThreshold) {
  if (alertness >= anxietyThreshold) return "anxious";
  return ALERTNESS.reduce((word, [from, own]) => (alertness >= from ? own : word), "");
}

/** What a decision came to, in one sentence or two. */
export function sentence(env, episode) {
  const state = episode.states.at(-1);
  const clock = clockOf(state.time_elapsed);
  const parts = env.gauges.map((gauge) => `${gauge.name} ${number(state[gauge.field], gauge.decimals)}${gauge.unit}`);
  const at = `Day ${clock.day}, ${clock.text}.`;
  if (!episode.actions.length) return `${at} You have just woken up. ${capital(parts.join(", "))}.`;
  const [action, event] = [env.actions[episode.actions.at(-1)], episode.events.at(-1)];
  const attack = event.attack ? "Heart attack! " : "";
  return `${attack}${at} ${capital(action.done)}. ${capital(parts.join(", "))}, risk ${percent(event.risk)}.`;
}

/** A player's name in a sentence: “mine”, but the optimum. */
export const the = (name) => (name.startsWith("“") ? name : `the ${name}`);

/** The same in a table. */
export const bare = (name) => name.replace(/[“”]/g, "");

export const capital = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);
