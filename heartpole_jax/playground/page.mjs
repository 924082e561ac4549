// The page: one game, { env, seed, params, actions }, and what a click, a key and the address do to it.
import {
  advance,
  beginEpisode,
  coffeeAndExercise,
  isDefault,
  isDone,
  makeRival,
  networkPolicy,
  problemOf,
  problemOfSeed,
  readAddress,
  soberPolicy,
  undo,
  writeAddress,
} from "./game.mjs";
import { escaped } from "./icons.mjs";
import { makeNetwork } from "./network.mjs";
import { solveSober } from "./optimum.mjs";
import { episodeNoise } from "./threefry.mjs";
import { build, buildFields, find, render } from "./views.mjs";
import { sentence } from "./words.mjs";

const SLICE = 8; // milliseconds of computing between two breaths of the page

let data;
let game;
let networks = {};
let wantsAdvice = false;

const current = () => game.params;
const show = () => render(game, wantsAdvice);

/** Begins a game: `actions` are played at once, where they still fit. */
function begin(env, seed, params, actions = []) {
  const noise = episodeNoise(seed);
  networks[env.name] ??= makeNetwork(env.agent.network);
  const agentPolicy = networkPolicy(env, networks[env.name]);
  game = {
    env,
    seed,
    params,
    noise,
    agentPolicy,
    agent: makeRival(agentPolicy, env, params, noise),
    rival: null,
    rivalPolicy: null,
    unsolvable: false,
    marks: [], // decisions before each move: what undo goes back to
    player: beginEpisode(env, params, noise),
  };
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
    show();
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
  show();
  say(`${sentence(game.env, game.player)} ${isDone(game.player) ? "The episode is over." : find("hint").textContent}`);
  if (isDone(game.player)) find("end").focus({ preventScroll: false });
}

function takeBack() {
  if (!game.player.actions.length) return;
  const wasOver = isDone(game.player);
  const mark = game.marks.pop();
  while (game.player.actions.length > mark) undo(game.player);
  show();
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
  if (!sameEnv) build(game, current, change);
  history.replaceState(null, "", writeAddress(env, seed, params));
  show();
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
<button type="button" id="dismiss">Close</button></div>`
    : "";
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

// -- events

const THEMES = [
  ["", "as the system", "◐"],
  ["light", "light", "☀"],
  ["dark", "dark", "☾"],
];

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
  show();
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
      buildFields(game.env, current, change);
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
    buildFields(game.env, current, change);
  });
  find("envs").addEventListener("change", ({ target }) => {
    const env = data.environments[target.value];
    restart(game.seed, { ...env.params }, env);
  });
  addEventListener("hashchange", () => open(location.hash));
  let waiting = 0;
  addEventListener("resize", () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(show);
  });
}

/** Opens the game that an address asks for. */
function open(hash) {
  const { env, seed, params, problems } = readAddress(hash, data);
  notify(problems);
  begin(env, seed, params);
  build(game, current, change);
  show();
  if (problems.length) history.replaceState(null, "", writeAddress(env, seed, params));
}

function start() {
  data = JSON.parse(find("data").textContent);
  find("envs").insertAdjacentHTML(
    "beforeend",
    Object.keys(data.environments)
      .map(
        (name) =>
          `<label><input type="radio" name="env" value="${name}"><span>${name.replace("HeartPole-", "")}</span></label>`,
      )
      .join(""),
  );
  showTheme(THEMES[0]);
  find("main").hidden = false;
  listen();
  open(location.hash);
}

try {
  start();
} catch (error) {
  find("main").hidden = true;
  notify([
    `The page cannot start: ${error.message}. Its file may be damaged, or the browser too old; build it again with ` +
      "python -m heartpole_jax playground, or open it in a newer browser.",
  ]);
}
