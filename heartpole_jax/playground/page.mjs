// The page: one game, drawn anew after each decision. All that it shows follows from { env, seed, params, actions }.
import { makeFields } from "./fields.mjs";
import {
  adviceOf, advance, beginEpisode, coffeeAndExercise, isDefault, isDone, makeRival, networkPolicy, problemOf,
  problemOfSeed, readAddress, soberPolicy, undo, writeAddress,
} from "./game.mjs";
import { escaped, icon, picture } from "./icons.mjs";
import { makeNetwork } from "./network.mjs";
import { solveSober } from "./optimum.mjs";
import { advice, board, ending, facts, hint, rivalWords, tiles } from "./panels.mjs";
import { clockAxis, deedsRow, gaugeStrip, raceChart, windowOf } from "./strips.mjs";
import { episodeNoise } from "./threefry.mjs";
import { bare, capital, clockOf, feeling, number, percent, sentence, signed, the } from "./words.mjs";

const find = (id) => document.getElementById(id);
const MOST_POINTS = 400; // of the race
const SLICE = 8; // milliseconds of computing between two breaths of the page
const LENGTHS = { num_steps: [24, 120, 1000], time_elapsed: [48, 336, 1344] };

let data;
let game;
let networks = {};
let wantsAdvice = false;

/** Begins a game: `actions` are played at once, where they still fit. */
function begin(env, seed, params, actions = []) {
  const noise = episodeNoise(seed);
  networks[env.name] ??= makeNetwork(env.agent.network);
  const agentPolicy = networkPolicy(env, networks[env.name]);
  game = { env, seed, params, noise, agentPolicy, agent: makeRival(agentPolicy, env, params, noise), rival: null,
           rivalPolicy: null, unsolvable: false, marks: [], // decisions before each move: what undo goes back to
           player: beginEpisode(env, params, noise) };
  for (const action of actions)
    if (!isDone(game.player)) {
      game.marks.push(game.player.actions.length);
      advance(game.player, action);
    }
  if (env.best && isDefault(env, params)) {
    networks.best ??= makeNetwork(env.best.network);
    seat(networkPolicy(env, networks.best));
  } else if (env.rival === "optimum") solve(game);
  else if (env.rival !== null) seat(coffeeAndExercise(env));
}

function seat(policy) {
  game.rivalPolicy = policy;
  game.rival = makeRival(policy, game.env, game.params, game.noise);
}

/** Solves for the optimum in slices, so that clicks meanwhile are answered at once. */
function solve(mine) {
  const steps = solveSober(mine.params);
  const slice = () => {
    if (game !== mine) return;
    const end = performance.now() + SLICE;
    let step;
    do step = steps.next();
    while (!step.done && performance.now() < end);
    if (!step.done) return void setTimeout(slice);
    if (step.value === null) game.unsolvable = true;
    else seat(soberPolicy(step.value));
    render();
  };
  setTimeout(slice);
}

// -- what the player does

function play(action) {
  if (isDone(game.player)) return;
  game.marks.push(game.player.actions.length);
  advance(game.player, action);
  afterMove();
}

function afterMove() {
  render();
  say(`${sentence(game.env, game.player)} ${isDone(game.player) ? "The episode is over." : find("hint").textContent}`);
  if (isDone(game.player)) find("end").focus({ preventScroll: false });
}

function takeBack() {
  if (!game.player.actions.length) return;
  const wasOver = isDone(game.player);
  const mark = game.marks.pop();
  while (game.player.actions.length > mark) undo(game.player);
  render();
  if (wasOver) find("buttons").firstElementChild.focus();
  say(`Taken back. ${sentence(game.env, game.player)}`);
}

/** The agent plays on in the player's place: one decision, until it sleeps, or to the end. */
function playOn(how) {
  const { player, env, agentPolicy } = game;
  if (isDone(player)) return;
  game.marks.push(player.actions.length);
  let action;
  do {
    action = agentPolicy.act(player.states.at(-1)).action;
    advance(player, action);
  } while (!isDone(player) && (how === "end" || (how === "night" && !env.actions[action].wakes_up)));
  afterMove();
}

function restart(seed = game.seed, params = game.params, env = game.env, actions = []) {
  const sameEnv = game.env === env;
  begin(env, seed, params, actions);
  if (!sameEnv) build();
  history.replaceState(null, "", writeAddress(env, seed, params));
  render();
}

const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000;

function newSeed() {
  restart(randomSeed());
  find("seed").value = game.seed;
  showSeedProblem(null);
  say(`Seed ${game.seed}. ${sentence(game.env, game.player)}`);
}

function change(name, value) {
  restart(game.seed, { ...game.params, [name]: value }, game.env, game.player.actions);
}

async function share(button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
    say("The address is copied: it has the version, the seed and the constants.");
  } catch {
    notify([`Your browser does not let the page copy. The address to share: ${location.href}`]);
  }
  setTimeout(() => (button.textContent = before), 1500);
}

const say = (text) => (find("live").textContent = text);

function notify(problems) {
  find("notices").innerHTML = problems.length
    ? `<div class="notice"><div>${problems.map((text) => `<p>${escaped(text)}</p>`).join("")}</div>
<button type="button" id="dismiss">Close</button></div>` : "";
}

function dismiss() {
  notify([]);
  find("seed").focus();
}

function showSeedProblem(wrong) {
  find("seed-problem").textContent = wrong ? `${wrong} It stays ${game.seed}.` : "";
  find("seed").toggleAttribute("aria-invalid", Boolean(wrong));
  if (wrong) find("seed").setAttribute("aria-invalid", "true");
}

// -- what the page shows

/** What depends on the version alone: buttons, keys, rows of the strips, fields of the constants. */
function build() {
  const { env } = game;
  find("envs").querySelectorAll("input").forEach((input) => (input.checked = input.value === env.name));
  find("buttons").className = `buttons of-${env.actions.length > 4 ? "many" : "four"}`;
  find("buttons").innerHTML = env.actions
    .map((action, i) => {
      const keys = [i < 9 ? String(i + 1) : "", action.key].filter(Boolean);
      const lasts = action.half_hours ? `${number((action.half_hours + 1) / 2, 1).replace(".0", "")} h` : "½ h";
      return `<button type="button" data-action="${i}" aria-keyshortcuts="${keys.join(" ")}" title="${escaped(capital(action.done))}">
${icon(action.name, action.label)}<span>${escaped(capital(action.label))}</span><small>${lasts}</small>${keys.length
        ? `<kbd aria-hidden="true">${keys.at(-1).toUpperCase()}</kbd>` : ""}</button>`;
    })
    .join("");
  find("gauges").innerHTML = env.gauges
    .map((gauge) => `<div class="gauge"><p class="name"><i class="swatch ${gauge.colour}"></i>${escaped(gauge.name)}</p>
<p class="value" id="value-${gauge.field}"></p><p class="note" id="note-${gauge.field}"></p><div class="strip" id="strip-${gauge.field}"></div></div>`)
    .join("");
  find("keys").innerHTML = env.actions.map((action, i) =>
    `<span><kbd>${i + 1}</kbd>${action.key ? ` or <kbd>${action.key.toUpperCase()}</kbd>` : ""} ${escaped(action.label)}</span>`).join("") +
    `<span><kbd>U</kbd> undo</span><span><kbd>H</kbd> what would the agent do?</span><span><kbd>A</kbd> the agent’s decision</span>`;
  buildFields();
  find("seed").value = game.seed;
}

const buildFields = () => makeFields(find("groups"), game.env, () => game.params, change);

function render() {
  const { env, params, player } = game;
  const state = player.states.at(-1);
  const over = isDone(player);
  renderSky(state);
  find("tiles").innerHTML = tiles(game);
  renderStrips(state);
  find("board").innerHTML = board(game);
  renderRace();
  find("actions").hidden = over;
  find("end").hidden = !over;
  if (over) find("end").innerHTML = ending(game);
  find("undo").disabled = !player.actions.length;
  find("auto").querySelectorAll("[data-auto]").forEach((button) => (button.disabled = over));
  renderAdvice(over);
  renderLength();
  const others = Object.keys(env.constants).filter((name) => params[name] !== env.params[name]).length;
  find("changed").textContent = others ? `${others} changed` : "all as they are by default";
  find("defaults").disabled = !others;
  find("facts").innerHTML = facts(game);
}

const SKIES = [[0, "#141830"], [5, "#2a2f63"], [6, "#f4b48c"], [8, "#cfe3f3"], [10, "#aad6f5"], [17, "#bcdcf0"],
               [19, "#f6b183"], [20.5, "#f0966e"], [21.5, "#1d2145"], [24, "#141830"]];

/** The sky of an hour. Between two colours it steps and does not blend: text stays readable on each. */
const skyOf = (hour) => SKIES.reduce((found, [from, colour]) => (hour >= from ? colour : found), SKIES[0][1]);

function renderSky(state) {
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
  find("done").textContent = event?.attack ? "Heart attack!" : event
    ? capital(env.actions[player.actions.at(-1)].done) : "Just woke up";
  find("progress").style.width = `${Math.min((100 * state[env.limit.counts]) / limit, 100)}%`;
}

function renderStrips(state) {
  const { env, player, params } = game;
  const width = Math.max(find(`strip-${env.gauges[0].field}`).clientWidth, 120);
  const view = windowOf(state.time_elapsed, width > 480 ? 72 : 48, width);
  const height = width > 480 ? (env.gauges.length > 3 ? 42 : 64) : 46;
  for (const gauge of env.gauges) {
    find(`strip-${gauge.field}`).innerHTML = gaugeStrip(gauge, player, view, height);
    find(`value-${gauge.field}`).textContent = `${number(state[gauge.field], gauge.decimals)}${gauge.unit}`;
    find(`note-${gauge.field}`).textContent = noteOf(gauge, state, params, player.events.at(-1));
  }
  const words = rivalWords(env, params);
  const rows = [["you", "you", player], ["agent", env.agent.name, game.agent.episode]];
  if (game.rival) rows.push(["rival", words.name, game.rival.episode]);
  for (const rival of [game.agent, game.rival]) rival?.reach("time_elapsed", state.time_elapsed);
  find("deeds").innerHTML =
    rows.map(([who, name, episode]) => `<div class="deeds ${who}"><p class="name"><i class="swatch"></i>${escaped(bare(name))}</p><div class="strip">${
      deedsRow(env, episode, view, 26, state.time_elapsed)}</div></div>`).join("") +
    `<div class="deeds axis"><p></p><div class="strip">${clockAxis(view)}</div></div>`;
}

function noteOf(gauge, state, params, event) {
  if (gauge.field === "alertness")
    return `${feeling(state.alertness, params.anxiety_threshold)}, up ${number(state.time_since_slept / 2, 1).replace(".0", "")} h`;
  if (gauge.field === "hypertension") return event ? `risk ${percent(event.risk)}` : "calm";
  const before = game.player.states.at(-2);
  const step = before ? state[gauge.field] - before[gauge.field] : 0;
  return Math.abs(step) < 0.5 * 10 ** -gauge.decimals ? "steady" : `${signed(step, gauge.decimals)}${gauge.unit}`;
}

/** What each is ahead of the rival, or of the agent where there is none, decision by decision. */
function renderRace() {
  const { env, player, agent, rival, params } = game;
  const words = rivalWords(env, params);
  const base = rival ?? (words ? null : agent);
  find("race").hidden = !base || !player.actions.length;
  if (find("race").hidden) return;
  const every = Math.ceil(player.states.length / MOST_POINTS);
  const shown = player.totals.map((totals, i) => [player.states[i], totals.total])
    .filter((_, i) => i % every === 0 || i === player.states.length - 1);
  const lines = [{ who: "you", values: shown.map(([state, total]) => total - base.totalsAt(state).total) }];
  if (base !== agent)
    lines.unshift({ who: "agent", values: shown.map(([state]) => agent.totalsAt(state).total - base.totalsAt(state).total) });
  const name = base === agent ? env.agent.name : words.name;
  const last = signed(lines.at(-1).values.at(-1), 3);
  const width = Math.max(find("race").clientWidth, 160);
  find("race").innerHTML = `<p class="quiet">return so far, less that of ${escaped(the(name))}</p>` +
    raceChart(lines, width, 120, `Return so far less that of ${the(name)}: you are at ${last}`);
}

function renderAdvice(over) {
  const shows = wantsAdvice && !over;
  find("ask").setAttribute("aria-pressed", String(wantsAdvice));
  find("advice").hidden = !shows;
  const asked = shows ? { agent: adviceOf(game.agentPolicy, game.player),
                          rival: game.rivalPolicy && adviceOf(game.rivalPolicy, game.player) } : null;
  if (shows) find("advice").innerHTML = advice(game, asked);
  find("hint").innerHTML = hint(game, asked);
  find("buttons").querySelectorAll("button").forEach((button, i) =>
    button.classList.toggle("advised", shows && asked.agent.action === i));
}

function renderLength() {
  const { env, params } = game;
  const now = params[env.limit.name];
  const days = (value) => `${number(value / 48, value % 48 ? 2 : 0)} day${value === 48 ? "" : "s"}`;
  const words = (value) => (env.limit.counts === "num_steps" ? `${number(value, 0)} decisions` : days(value));
  const values = [...new Set([...LENGTHS[env.limit.counts], env.params[env.limit.name], now])].sort((a, b) => a - b);
  const options = values.map((value) =>
    `<option value="${value}"${value === now ? " selected" : ""}>${words(value)}</option>`).join("");
  if (find("length").innerHTML !== options) find("length").innerHTML = options;
}

// -- events

const THEMES = [["", "as the system", "◐"], ["light", "light", "☀"], ["dark", "dark", "☾"]];

function nextTheme() {
  const now = document.documentElement.dataset.theme ?? "";
  const next = THEMES[(THEMES.findIndex(([name]) => name === now) + 1) % THEMES.length];
  showTheme(next);
}

function showTheme([name, words, sign]) {
  if (name) document.documentElement.dataset.theme = name;
  else delete document.documentElement.dataset.theme;
  find("theme").textContent = sign;
  find("theme").setAttribute("aria-label", `Theme: ${words}`);
}

/** A single key plays, unless it is typed into a field or belongs to the browser. */
function onKey(event) {
  if (!find("keys-on").checked || event.altKey || event.metaKey || event.ctrlKey) return;
  const target = event.target;
  if (target instanceof HTMLInputElement && target.type !== "checkbox" && target.type !== "radio") return;
  if (target instanceof HTMLSelectElement) return;
  const key = event.key.toLowerCase();
  const action = game.env.actions.findIndex((each, i) => key === String(i + 1) || (each.key && key === each.key));
  if (action >= 0) play(action);
  else if (key === "u") takeBack();
  else if (key === "h") toggleAdvice();
  else if (key === "a") playOn("1");
  else return;
  event.preventDefault();
}

function toggleAdvice() {
  wantsAdvice = !wantsAdvice;
  render();
  if (wantsAdvice) say(find("hint").textContent);
}

function listen() {
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button || button.disabled) return;
    const { action, auto, end } = button.dataset;
    if (action !== undefined) play(Number(action));
    else if (auto) playOn(auto);
    else if (button.id === "undo" || end === "undo") takeBack();
    else if (button.id === "ask") toggleAdvice();
    else if (button.id === "new-seed" || end === "new") newSeed();
    else if (button.id === "restart" || end === "again") restart();
    else if (button.id === "share" || end === "share") share(button);
    else if (button.id === "theme") nextTheme();
    else if (button.id === "dismiss") dismiss();
    else if (button.id === "defaults") {
      restart(game.seed, { ...game.env.params }, game.env, game.player.actions);
      buildFields();
    }
    if (end === "new" || end === "again") find("buttons").firstElementChild.focus();
  });
  find("tools").addEventListener("submit", (event) => event.preventDefault());
  find("seed").addEventListener("change", () => {
    const text = find("seed").value.trim();
    const wrong = problemOfSeed(text);
    showSeedProblem(wrong);
    if (!wrong) restart(Number(text));
  });
  find("length").addEventListener("change", () => {
    const { name } = game.env.limit;
    const value = Number(find("length").value);
    if (problemOf(value, name, game.params, game.env)) return;
    change(name, value);
    buildFields();
  });
  find("envs").addEventListener("change", ({ target }) => {
    const env = data.environments[target.value];
    restart(game.seed, { ...env.params }, env);
  });
  addEventListener("hashchange", () => open(location.hash));
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(render);
  });
}

/** Opens the game that an address asks for. */
function open(hash) {
  const { env, seed, params, problems } = readAddress(hash, data);
  notify(problems);
  begin(env, seed, params);
  build();
  render();
  if (problems.length) history.replaceState(null, "", writeAddress(env, seed, params));
}

function start() {
  data = JSON.parse(find("data").textContent);
  find("envs").insertAdjacentHTML("beforeend", Object.keys(data.environments).map((name) =>
    `<label><input type="radio" name="env" value="${name}"><span>${name.replace("HeartPole-", "")}</span></label>`).join(""));
  showTheme(THEMES[0]);
  find("main").hidden = false;
  listen();
  open(location.hash);
}

try {
  start();
} catch (error) {
  find("main").hidden = true;
  notify([`The page cannot start: ${error.message}. Its file may be damaged, or the browser too old; build it again with ` +
          "python -m heartpole_jax playground, or open it in a newer browser."]);
}
