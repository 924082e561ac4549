// The last day or two as strips, one a gauge, a row of what each player did, and the race: SVG as text.
import { isDone } from "./game.mjs";
import { escaped, picture } from "./icons.mjs";
import { clockOf, number } from "./words.mjs";

/** The window of all strips: the last `span` half-hours, at `width` pixels; `x` is where a time stands in it. */
export function windowOf(now, span, width) {
  const first = Math.max(now - span, 0);
  const pixels = width / span;
  return { first, last: first + span, width, pixels, x: (time) => (time - first) * pixels };
}

const svg = (width, height, inside, label) =>
  `<svg viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
  `${label ? `role="img" aria-label="${escaped(label)}"` : 'aria-hidden="true"'}>${inside}</svg>`;

const round = (value) => Math.round(value * 10) / 10;

/** Ten in the evening to six in the morning, darker. */
function nights(view, height) {
  let bands = "";
  for (let time = view.first - 16; time < view.last; time++) {
    if ((time + 16) % 48 !== 44) continue; // the clock begins at eight
    const [left, right] = [Math.max(view.x(time), 0), Math.min(view.x(time + 16), view.width)];
    if (right > left)
      bands += `<rect class="night" x="${round(left)}" y="0" width="${round(right - left)}" height="${height}"/>`;
  }
  return bands;
}

/** The place of the last state before the window: what is older is not drawn, and costs nothing. */
function firstShown(episode, view) {
  let i = episode.states.length - 1;
  while (i > 0 && episode.states[i].time_elapsed > view.first) i -= 1;
  return i;
}

function attackLines(view, episode, height, until = Infinity) {
  let lines = "";
  for (let i = firstShown(episode, view); i < episode.events.length; i++) {
    const time = episode.states[i + 1].time_elapsed;
    if (episode.events[i].attack && time > view.first && time <= until)
      lines += `<path class="attack" d="M${Math.min(round(view.x(time)), view.width - 1)} 0V${height}"/>`;
  }
  return lines;
}

/** One gauge's course: a line over its area, reference lines, arrows where it leaves the strip. */
export function gaugeStrip(gauge, episode, view, height) {
  const levels = gauge.levels.map((level) => ({
    ...level,
    value: typeof level.at === "number" ? level.at : episode.params[level.at],
  }));
  const low = gauge.range[0];
  const high = Math.max(gauge.range[1], ...levels.map((level) => level.value * level.headroom));
  const y = (value) => round((height - 13) * (1 - (Math.min(Math.max(value, low), high) - low) / (high - low)) + 6.5);
  const shown = episode.states.slice(firstShown(episode, view));
  const points = shown.map((state) => [round(view.x(state.time_elapsed)), y(state[gauge.field])]);
  const line = points.map(([left, top], i) => `${i ? "L" : "M"}${left} ${top}`).join("");
  const area = `${line}L${points.at(-1)[0]} ${y(Math.max(low, 0))}L${points[0][0]} ${y(Math.max(low, 0))}Z`;
  const beyond = shown
    .filter((state) => state[gauge.field] > high || state[gauge.field] < low)
    .map((state) => {
      const [left, up] = [round(view.x(state.time_elapsed)), state[gauge.field] > high];
      return `<path class="beyond" d="${up ? `M${left - 3} 6h6l-3-5z` : `M${left - 3} ${height - 6}h6l-3 5z`}"/>`;
    })
    .join("");
  const references = levels
    .filter(({ value }) => value >= low && value <= high)
    .map(({ value, name }, i) => {
      const [x, anchor] = i % 2 ? [view.width - 6, "end"] : [6, "start"];
      const above = y(value) > 15 ? y(value) - 4 : y(value) + 12;
      return [
        `<path class="level" d="M0 ${y(value)}H${view.width}"/>`,
        `<text class="level-name" x="${x}" y="${above}" text-anchor="${anchor}">${escaped(name)}</text>`,
      ];
    });
  const [left, top] = points.at(-1);
  const inside =
    `${nights(view, height)}${references.map(([line]) => line).join("")}<g class="${gauge.colour}"><path class="area" d="${area}"/>` +
    `<path class="line" d="${line}"/>${beyond}</g>${attackLines(view, episode, height)}` +
    references.map(([, name]) => name).join("") +
    `<circle class="now ${gauge.colour}" cx="${Math.min(Math.max(left, 5), view.width - 5)}" cy="${top}" r="4.5"/>`;
  return svg(view.width, height, inside);
}

/** What one player did, half-hour by half-hour: pictures, bands for breaks, dots for work alone. */
export function deedsRow(env, episode, view, height, until) {
  const middle = height / 2;
  let inside = nights(view, height);
  for (let i = firstShown(episode, view); i < episode.actions.length; i++) {
    const [begin, end] = [episode.states[i].time_elapsed, episode.states[i + 1].time_elapsed];
    if (begin >= until) break;
    const action = env.actions[episode.actions[i]];
    const [left, right] = [Math.max(view.x(begin), 0), view.x(Math.min(end, until))];
    if (action.half_hours >= 4) {
      inside += `<rect class="break" x="${round(left + 1)}" y="4" width="${round(right - left - 2)}" height="${height - 8}" rx="5"/>`;
      if (right - left > 30) inside += placed(action, (left + right) / 2, middle, 14);
    } else if (action.idles) inside += `<circle class="dot" cx="${round((left + right) / 2)}" cy="${middle}" r="1.6"/>`;
    else inside += placed(action, (left + right) / 2, middle, Math.min(16, Math.max(view.pixels * 1.3, 8)));
  }
  const end = episode.states.at(-1).time_elapsed;
  const from = Math.max(view.x(end), 0) + 8;
  if (isDone(episode) && end < until && view.width - from > 160)
    inside += `<text class="hour" x="${round(from)}" y="${middle + 4}">finished on day ${clockOf(end).day}, ${clockOf(end).text}</text>`;
  return svg(view.width, height, inside + attackLines(view, episode, height, until));
}

const placed = (action, x, y, size) =>
  `<svg class="deed" x="${round(x - size / 2)}" y="${round(y - size / 2)}" width="${round(size)}"
height="${round(size)}" viewBox="0 0 16 16">${picture(action.name, action.label)}</svg>`;

/** The clock below the strips. */
export function clockAxis(view) {
  const every = view.pixels * 12 > 60 ? 12 : 24;
  let inside = "";
  for (let time = view.first; time <= view.last; time++) {
    if ((time + 16) % every) continue;
    const { day, text } = clockOf(time);
    const x = round(view.x(time));
    const label = text === "00:00" ? `day ${day}` : text;
    if (x > 18 && x < view.width - 18)
      inside += `<path class="tick" d="M${x} 0v4"/><text class="hour" x="${x}" y="16" text-anchor="middle">${label}</text>`;
  }
  return svg(view.width, 20, inside);
}

/** The race: each player's expected return so far less the rival's, decision by decision. */
export function raceChart(lines, width, height, label) {
  const all = lines.flatMap(({ values }) => values);
  const [low, high] = [Math.min(0, ...all), Math.max(0, ...all)];
  const room = (high - low || 1) * 0.08;
  const [bottom, top] = [low - room, high + room];
  const count = Math.max(...lines.map(({ values }) => values.length), 2) - 1;
  const x = (i) => round(46 + (i / count) * (width - 52));
  const y = (value) => round((height - 8) * (1 - (value - bottom) / (top - bottom)) + 4);
  const digits = high - low > 20 ? 0 : high - low > 2 ? 1 : high - low > 0.2 ? 2 : 3;
  const ticks = [...new Set([low, 0, high])].filter((value) => value === 0 || Math.abs(y(value) - y(0)) > 18);
  const inside =
    ticks
      .map(
        (value) => `<path class="${value === 0 ? "zero" : "level"}" d="M46 ${y(value)}H${width}"/>
<text class="hour" x="40" y="${y(value) + 4}" text-anchor="end">${number(value, value === 0 ? 0 : digits)}</text>`,
      )
      .join("") +
    lines
      .map(({ values, who }) => {
        const path = values.map((value, i) => `${i ? "L" : "M"}${x(i)} ${y(value)}`).join("");
        return `<g class="${who}"><path class="line" d="${path}"/>
<circle class="end" cx="${x(values.length - 1)}" cy="${y(values.at(-1))}" r="3.5"/></g>`;
      })
      .join("");
  return svg(width, height, inside, label);
}
