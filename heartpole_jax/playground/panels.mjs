// The panels beside the game as HTML: tiles, the table of players, advice, the end, and what each number is.
import { isCertified, isDefault } from "./game.mjs";
import { escaped, icon } from "./icons.mjs";
import { bare, capital, number, percent, the } from "./words.mjs";

/** What the rival is called, and what it is called to be behind it: regret only where that is proven to be regret. */
export function rivalWords(env, params) {
  if (env.best && isDefault(env, params))
    return { name: env.best.name, behind: `behind the ${env.best.name}`, proven: false };
  if (env.rival === null) return null;
  if (env.rival !== "optimum") return { name: `“${env.rival}”`, behind: `behind “${env.rival}”`, proven: false };
  const proven = isCertified(env, params);
  return proven
    ? { name: "optimum", behind: "regret", proven }
    : { name: "best without drinks", behind: "behind the best without drinks", proven };
}

const penaltyOf = (risk, params) => risk * params.heart_attack_penalty;
const decimalsOf = (value) => (Math.abs(value) >= 1000 ? 1 : 3);

/** The four numbers below the clock. */
export function tiles(game) {
  const { env, player } = game;
  const [sums, event] = [player.totals.at(-1), player.events.at(-1)];
  const isScore = env.limit.counts === "num_steps";
  const tile = (name, value, note, kind = "") =>
    `<div class="tile ${kind}"><dt>${name}</dt><dd><b>${value}</b><span>${note}</span></dd></div>`;
  return [
    isScore
      ? tile("Score", number(sums.gain, 3), "work per half-hour")
      : tile("Work done", number(sums.gain, 1), "productive half-hours"),
    tile("Risk", event ? percent(event.risk) : "–", "in the last decision", event?.risk > 0.05 ? "hot" : ""),
    tile("Heart attacks", `${icon("heart")}${sums.attacks}`, `${number(sums.risk, 2)} expected`, "hearts"),
    tile("Return so far", number(sums.total, decimalsOf(sums.total)), "each risk at its price"),
  ].join("");
}

/** You, the agent and the rival after as many decisions: a table. */
export function board(game) {
  const { env, params, player, agent, rival } = game;
  const state = player.states.at(-1);
  const words = rivalWords(env, params);
  const rows = [
    ["you", "you", player.totals.at(-1)],
    ["agent", env.agent.name, agent.totalsAt(state)],
  ];
  if (words) rows.push(["rival", words.name, rival ? rival.totalsAt(state) : null]);
  const known = rows.filter(([, , sums]) => sums);
  const most = Math.max(...known.map(([, , sums]) => sums.total));
  const isScore = env.limit.counts === "num_steps";
  const row = ([who, name, sums]) => {
    const first = sums && known.length > 1 && player.actions.length && sums.total >= most - 1e-12;
    const cells = sums
      ? [number(sums.gain, isScore ? 3 : 1), number(sums.risk, 3), number(sums.total, decimalsOf(sums.total))]
      : game.unsolvable
        ? ["–", "–", "–"]
        : ["…", "…", "…"];
    return `<tr class="${who}${first ? " first" : ""}"><th scope="row"><span><i class="swatch"></i>${escaped(bare(name))}</span></th>${cells
      .map((cell) => `<td>${cell}</td>`)
      .join("")}</tr>`;
  };
  const after = isScore
    ? `after ${number(player.actions.length, 0)} decision${player.actions.length === 1 ? "" : "s"}`
    : `after ${number(state.time_elapsed / 2, state.time_elapsed % 2 ? 1 : 0)} hours`;
  const note = game.unsolvable
    ? `<p class="quiet">With these constants more rest makes less productive, and the best without drinks cannot be computed.</p>`
    : words && !rival
      ? `<p class="quiet">Computing the best without drinks for these constants …</p>`
      : "";
  return `<table><caption>Players on the same noise, ${after}</caption>
<thead><tr><th scope="col">${after}</th><th scope="col">${isScore ? "score" : "work"}</th>
<th scope="col">attacks<br>expected</th><th scope="col">return<br>so far</th></tr></thead>
<tbody>${rows.map(row).join("")}</tbody></table>${note}${standing(game, words)}`;
}

/** How far the player is ahead or behind, in a sentence. */
function standing(game, words) {
  const { player, rival } = game;
  if (!words || !rival || !player.actions.length) return "";
  const gap = rival.totalsAt(player.states.at(-1)).total - player.totals.at(-1).total;
  const text =
    Math.abs(gap) < 5e-5
      ? `You are level with ${the(words.name)}.`
      : `You are <b>${number(Math.abs(gap), gap > 10 ? 1 : 4)}</b> ${gap > 0 ? "behind" : "ahead of"} ${the(words.name)}.`;
  return `<p class="standing">${text}</p>`;
}

/** What the agent and the rival would do now. */
export function advice(game, asked) {
  const { env, params } = game;
  const { values, action } = asked.agent;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const bars = env.actions
    .map((each, i) => {
      const share = high > low ? Math.round((100 * (values[i] - low)) / (high - low)) : 100;
      return `<li class="${i === action ? "best" : ""}"><span>${icon(each.name, each.label)}${escaped(each.label)}</span>
<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
<rect width="${Math.max(share, 1)}" height="6" rx="1"/></svg></li>`;
    })
    .join("");
  let rival = "";
  const words = rivalWords(env, params);
  if (asked.rival) {
    const { bedtime } = asked.rival;
    const when =
      bedtime === undefined || bedtime === -Infinity
        ? ""
        : ` It goes to bed ${bedtime === Infinity ? "now, however alert" : `when alertness is below ${number(bedtime)}`}.`;
    rival = `<p>${capital(the(words.name))} would choose <b>${escaped(env.actions[asked.rival.action].label)}</b>.${when}</p>`;
  }
  return `<h3>What would the agent do?</h3>
<p>${escaped(capital(the(env.agent.name)))} would choose <b>${escaped(env.actions[action].label)}</b>.</p>
<p class="quiet">How good it takes each action to be, from the worst to the best:</p><ul class="bars">${bars}</ul>${rival}`;
}

/** The same in one line, below the buttons; before the first decision, what the game is. */
export function hint(game, asked) {
  const { env, params, player } = game;
  if (asked) {
    const label = (chosen) => `<b>${escaped(env.actions[chosen.action].label)}</b>`;
    const rival = asked.rival ? `; ${the(rivalWords(env, params).name)}, ${label(asked.rival)}` : "";
    return `${escaped(capital(the(env.agent.name)))} would choose ${label(asked.agent)}${rival}.`;
  }
  if (player.actions.length) return "";
  return "Half an hour of work, a drink before it or not; or eight hours of sleep first. Drinks raise your blood pressure.";
}

/** The end of an episode: the regret, and what it is made of. */
export function ending(game) {
  const { env, params, player, rival, agent } = game;
  const [state, mine] = [player.states.at(-1), player.totals.at(-1)];
  const words = rivalWords(env, params);
  const theirs = rival?.totalsAt(state);
  const machine = agent.totalsAt(state);
  const isScore = env.limit.counts === "num_steps";
  const facts = [
    [isScore ? "Score" : "Work done", number(mine.gain, isScore ? 4 : 1)],
    ["Heart attacks", `${mine.attacks}, ${number(mine.risk, 3)} expected`],
    ["Drinks", number(mine.drinks, 0)],
    ["Your return", number(mine.total, 3)],
    [`Return of ${the(env.agent.name)}`, number(machine.total, 3)],
  ];
  let headline = `<p class="verdict"><b>${number(mine.total, 3)}</b><span>your return</span></p>`;
  let text = "";
  if (theirs) {
    const gap = theirs.total - mine.total;
    const [work, risk] = [theirs.gain - mine.gain, penaltyOf(mine.risk - theirs.risk, params)];
    headline = `<p class="verdict"><b>${number(gap, Math.abs(gap) >= 10 ? 2 : 4)}</b><span>${words.behind}, on this noise</span></p>`;
    const [digits, costs] = [
      isScore ? 4 : 2,
      `your risks cost <b>${number(Math.abs(risk), isScore ? 4 : 2)}</b> ${risk < 0 ? "less" : "more"}`,
    ];
    const onlyInTheMean = words.proven ? ", which is the best only in the mean over all noise" : "";
    text = `<p>Against ${the(words.name)}, ${
      isScore
        ? `your score is <b>${number(Math.abs(work), digits)}</b> ${work > 0 ? "lower" : "higher"}`
        : `you did <b>${number(Math.abs(work), digits)}</b> ${work > 0 ? "less" : "more"} work`
    } and ${costs}.
${gap < 0 ? `Below zero: on this noise you did better than ${the(words.name)}${onlyInTheMean}.` : ""}</p>`;
    facts.push([`Return of ${the(words.name)}`, number(theirs.total, 3)]);
  }
  return `<div><h3 id="end-title">The episode is over</h3>${headline}${text}</div>
<dl class="headline">
${facts.map(([name, value]) => `<div><dt>${escaped(name)}</dt><dd>${value}</dd></div>`).join("")}</dl>
<div class="row"><button type="button" class="primary" data-end="new">Another seed</button>
<button type="button" data-end="again">Same seed again</button><button type="button" data-end="undo">Undo</button>
<button type="button" data-end="share">Copy link</button></div>`;
}

/** What each number is, and where the players come from: pairs of a name and a text. */
export function facts(game) {
  const { env, params } = game;
  const isScore = env.limit.counts === "num_steps";
  const words = rivalWords(env, params);
  const pairs = [
    [
      "Noise",
      `The seed fixes every random number of the episode: how rested you wake up, how strong each drink is, when a
heart attack strikes. All players have the same. It is the noise of <code>python -m heartpole_jax episode --env ${env.name} --seed
${game.seed}</code>, bit for bit; this page computes in 64-bit floats, Python by default in 32.`,
    ],
    isScore
      ? ["Score", "Work done per half-hour since the start, asleep or awake."]
      : ["Work done", "Productive half-hours since the start."],
    ["Risk", `The probability of a heart attack in the last decision. It rises with blood pressure and is never zero.`],
    ["Expected attacks", "The sum of all risks so far. Attacks that really struck are noise around it."],
    [
      "Return so far",
      `${isScore ? "The score" : "The work done"} less ${number(params.heart_attack_penalty, 0)} for each expected attack. It counts risks, not
whether an attack struck: so one episode shows how well it was played.`,
    ],
  ];
  if (words && env.rival === "optimum")
    pairs.push(
      [
        "Optimum",
        `The best policy without drinks, computed here by dynamic programming. ${
          words.proven
            ? `With these constants it is proven that no policy at all has a larger expected return${
                isDefault(env, params) && env.best_return !== null ? ` than its ${number(env.best_return, 5)}` : ""
              }.`
            : "With these constants and this length nobody has proven that a drink never pays; in short episodes a coffee can."
        }`,
      ],
      [
        "Regret",
        `What your return lacks of the optimum’s on this noise. ${
          words.proven
            ? "In the mean over all noise nobody’s regret is below zero; on a single episode it can be."
            : "Where the optimum is not proven it is called “behind the best without drinks”, and can be below zero."
        }`,
      ],
    );
  else if (words && words.name === env.best?.name)
    pairs.push([
      capital(words.name),
      `A network that imitates the best known policy of ${env.name}, whose tables of 174 MB are too large for
a page. On average it has ${number(env.best.expected_return, 1)}, and the best known policy
${number(env.best.teacher_return, 1)}. Nobody has proven that none
is better. With other constants “${env.rival}” plays instead, the best scripted policy.`,
    ]);
  else if (words)
    pairs.push([
      capital(words.name),
      `The best scripted policy of ${env.name}: sleep after 12 hours awake, exercise when tense,
coffee when tired in the first nine hours. It is no optimum:
the best known policy is better, and plays with the constants that it was made for.`,
    ]);
  pairs.push([
    capital(env.agent.name),
    `A neural network that was trained in Python (${escaped(env.agent.about)}) and runs here.${
      isDefault(env, params)
        ? ""
        : " It has not been trained with your constants, and does not know that they have changed."
    }`,
  ]);
  pairs.push([
    "Compared when",
    isScore
      ? "All players are compared after the same number of decisions. Sleep takes 17 half-hours and counts as one."
      : "All players are compared at the same hour; decisions take them different times.",
  ]);
  return pairs.map(([name, text]) => `<div><dt>${escaped(name)}</dt><dd>${text}</dd></div>`).join("");
}
