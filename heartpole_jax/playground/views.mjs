// What the page shows of a game: all of it follows from the game, and is drawn anew after each decision.
import { makeFields } from "./fields.mjs";
import { adviceOf, isDone } from "./game.mjs";
import { escaped, icon, picture } from "./icons.mjs";
import { advice, board, ending, facts, hint, rivalWords, tiles } from "./panels.mjs";
import { clockAxis, deedsRow, gaugeStrip, raceChart, windowOf } from "./strips.mjs";
import { bare, capital, clockOf, feeling, number, percent, signed, the } from "./words.mjs";

export const find = (id) => document.getElementById(id);
const MOST_POINTS = 400; // of the race
const LENGTHS = { num_steps: [24, 120, 1000], time_elapsed: [48, 336, 1344] }; // that are offered

/** What depends on the version alone: buttons, keys, rows of the strips, fields of the constants. */
export function build(game, current, change) {
  const { env } = game;
  find("envs")
    .querySelectorAll("input")
    .forEach((input) => (input.checked = input.value === env.name));
  find("buttons").className = `buttons of-${env.actions.length > 4 ? "many" : "four"}`;
  find("buttons").innerHTML = env.actions
    .map((action, i) => {
      const keys = [i < 9 ? String(i + 1) : "", action.key].filter(Boolean);
      const lasts = action.half_hours ? `${number((action.half_hours + 1) / 2, 1).replace(".0", "")} h` : "½ h";
      return `<button type="button" data-action="${i}" aria-keyshortcuts="${keys.join(" ")}"
title="${escaped(capital(action.done))}">
${icon(action.name, action.label)}<span>${escaped(capital(action.label))}</span><small>${lasts}</small>${
        keys.length ? `<kbd aria-hidden="true">${keys.at(-1).toUpperCase()}</kbd>` : ""
      }</button>`;
    })
    .join("");
  find("gauges").innerHTML = env.gauges
    .map(
      (gauge) => `<div class="gauge"><p class="name"><i class="swatch ${gauge.colour}"></i>${escaped(gauge.name)}</p>
<p class="value" id="value-${gauge.field}"></p><p class="note" id="note-${gauge.field}"></p>
<div class="strip" id="strip-${gauge.field}"></div></div>`,
    )
    .join("");
  find("keys").innerHTML =
    env.actions
      .map(
        (action, i) =>
          `<span><kbd>${i + 1}</kbd>${action.key ? ` or <kbd>${action.key.toUpperCase()}</kbd>` : ""} ${escaped(action.label)}</span>`,
      )
      .join("") +
    `<span><kbd>U</kbd> undo</span><span><kbd>H</kbd> what would the agent do?</span><span><kbd>A</kbd> the agent’s decision</span>`;
  buildFields(env, current, change);
  find("seed").value = game.seed;
}

/** The fields of the constants; `current()` are the values of now. */
export const buildFields = (env, current, change) => makeFields(find("groups"), env, current, change);

/** All that a decision changes. */
export function render(game, wantsAdvice) {
  const { env, params, player } = game;
  const state = player.states.at(-1);
  const over = isDone(player);
  renderSky(game, state);
  find("tiles").innerHTML = tiles(game);
  renderStrips(game, state);
  find("board").innerHTML = board(game);
  renderRace(game);
  find("actions").hidden = over;
  find("end").hidden = !over;
  if (over) find("end").innerHTML = ending(game);
  find("undo").disabled = !player.actions.length;
  find("auto")
    .querySelectorAll("[data-auto]")
    .forEach((button) => (button.disabled = over));
  renderAdvice(game, wantsAdvice && !over, wantsAdvice);
  renderLength(game);
  const others = Object.keys(env.constants).filter((name) => params[name] !== env.params[name]).length;
  find("changed").textContent = others ? `${others} changed` : "all as they are by default";
  find("defaults").disabled = !others;
  find("facts").innerHTML = facts(game);
}

const SKIES = [
  [0, "#141830"],
  [5, "#2a2f63"],
  [6, "#f4b48c"],
  [8, "#cfe3f3"],
  [10, "#aad6f5"],
  [17, "#bcdcf0"],
  [19, "#f6b183"],
  [20.5, "#f0966e"],
  [21.5, "#1d2145"],
  [24, "#141830"],
];

/** The sky of an hour. Between two colours it steps and does not blend: text stays readable on each. */
const skyOf = (hour) => SKIES.reduce((found, [from, colour]) => (hour >= from ? colour : found), SKIES[0][1]);

function renderSky(game, state) {
  const { player, env, params } = game;
  const clock = clockOf(state.time_elapsed);
  const event = player.events.at(-1);
  const sky = find("sky");
  const night = clock.hour < 6 || clock.hour >= 21.5;
  sky.classList.toggle("attacked", Boolean(event?.attack));
  sky.classList.toggle("night", night || Boolean(event?.attack));
  sky.style.backgroundColor = event?.attack ? "#a50f1c" : skyOf(clock.hour);
  const run = night ? ((clock.hour + 24 - 21.5) % 24) / 8.5 : (clock.hour - 6) / 15.5;
  const orb = find("orb");
  orb.innerHTML = picture(event?.attack ? "heart" : night ? "moon" : "sun");
  orb.style.setProperty("--run", run);
  orb.style.setProperty("--rise", Math.sin(Math.PI * run));
  find("day").textContent = `Day ${number(clock.day, 0)}`;
  find("time").textContent = clock.text;
  const counts = env.limit.counts === "num_steps";
  const limit = params[env.limit.name];
  find("decision").textContent = counts
    ? `Decision ${number(state.num_steps, 0)} of ${number(limit, 0)}`
    : `Hour ${number(state.time_elapsed / 2, state.time_elapsed % 2 ? 1 : 0)} of ${number(limit / 2, limit % 2 ? 1 : 0)}`;
  find("done").textContent = event?.attack
    ? "Heart attack!"
    : event
      ? capital(env.actions[player.actions.at(-1)].done)
      : "Just woke up";
  find("progress").style.width = `${Math.min((100 * state[env.limit.counts]) / limit, 100)}%`;
}

function renderStrips(game, state) {
  const { env, player, params } = game;
  const width = Math.max(find(`strip-${env.gauges[0].field}`).clientWidth, 120);
  const view = windowOf(state.time_elapsed, width > 480 ? 72 : 48, width);
  const height = width > 480 ? (env.gauges.length > 3 ? 42 : 64) : 46;
  for (const gauge of env.gauges) {
    find(`strip-${gauge.field}`).innerHTML = gaugeStrip(gauge, player, view, height);
    find(`value-${gauge.field}`).textContent = `${number(state[gauge.field], gauge.decimals)}${gauge.unit}`;
    find(`note-${gauge.field}`).textContent = noteOf(gauge, player);
  }
  const words = rivalWords(env, params);
  const rows = [
    ["you", "you", player],
    ["agent", env.agent.name, game.agent.episode],
  ];
  if (game.rival) rows.push(["rival", words.name, game.rival.episode]);
  for (const rival of [game.agent, game.rival]) rival?.reach("time_elapsed", state.time_elapsed);
  find("deeds").innerHTML =
    rows
      .map(
        ([who, name, episode]) =>
          `<div class="deeds ${who}"><p class="name"><i class="swatch"></i>${escaped(bare(name))}</p><div class="strip">${deedsRow(
            env,
            episode,
            view,
            26,
            state.time_elapsed,
          )}</div></div>`,
      )
      .join("") + `<div class="deeds axis"><p></p><div class="strip">${clockAxis(view)}</div></div>`;
}

function noteOf(gauge, { states, events, params }) {
  const [state, event] = [states.at(-1), events.at(-1)];
  if (gauge.field === "alertness")
    return `${feeling(state.alertness, params.anxiety_threshold)}, up ${number(state.time_since_slept / 2, 1).replace(".0", "")} h`;
  if (gauge.field === "hypertension") return event ? `risk ${percent(event.risk)}` : "calm";
  const before = states.at(-2);
  const step = before ? state[gauge.field] - before[gauge.field] : 0;
  return Math.abs(step) < 0.5 * 10 ** -gauge.decimals ? "steady" : `${signed(step, gauge.decimals)}${gauge.unit}`;
}

/** What each is ahead of the rival, or of the agent where there is none, decision by decision. */
function renderRace(game) {
  const { env, player, agent, rival, params } = game;
  const words = rivalWords(env, params);
  const base = rival ?? (words ? null : agent);
  find("race").hidden = !base || !player.actions.length;
  if (find("race").hidden) return;
  const every = Math.ceil(player.states.length / MOST_POINTS);
  const shown = player.totals
    .map((totals, i) => [player.states[i], totals.total])
    .filter((_, i) => i % every === 0 || i === player.states.length - 1);
  const lines = [{ who: "you", values: shown.map(([state, total]) => total - base.totalsAt(state).total) }];
  if (base !== agent)
    lines.unshift({
      who: "agent",
      values: shown.map(([state]) => agent.totalsAt(state).total - base.totalsAt(state).total),
    });
  const name = base === agent ? env.agent.name : words.name;
  const last = signed(lines.at(-1).values.at(-1), 3);
  const width = Math.max(find("race").clientWidth, 160);
  find("race").innerHTML =
    `<p class="quiet">return so far, less that of ${escaped(the(name))}</p>` +
    raceChart(lines, width, 120, `Return so far less that of ${the(name)}: you are at ${last}`);
}

function renderAdvice(game, shows, wantsAdvice) {
  find("ask").setAttribute("aria-pressed", String(wantsAdvice));
  find("advice").hidden = !shows;
  const asked = shows
    ? {
        agent: adviceOf(game.agentPolicy, game.player),
        rival: game.rivalPolicy && adviceOf(game.rivalPolicy, game.player),
      }
    : null;
  if (shows) find("advice").innerHTML = advice(game, asked);
  find("hint").innerHTML = hint(game, asked);
  find("buttons")
    .querySelectorAll("button")
    .forEach((button, i) => button.classList.toggle("advised", shows && asked.agent.action === i));
}

function renderLength(game) {
  const { env, params } = game;
  const now = params[env.limit.name];
  const days = (value) => `${number(value / 48, value % 48 ? 2 : 0)} day${value === 48 ? "" : "s"}`;
  const words = (value) => (env.limit.counts === "num_steps" ? `${number(value, 0)} decisions` : days(value));
  const values = [...new Set([...LENGTHS[env.limit.counts], env.params[env.limit.name], now])].sort((a, b) => a - b);
  const options = values
    .map((value) => `<option value="${value}"${value === now ? " selected" : ""}>${words(value)}</option>`)
    .join("");
  if (find("length").innerHTML !== options) find("length").innerHTML = options;
}
