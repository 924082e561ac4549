// Small pictures, as in heartpole_jax/drawing/frames/sprites.py: SVG on a square of 16.

const CUP = `<path d="M3.9 4.4h8.2l-1 11.1H4.9z" fill="#6F4E37"/><path d="M4.3 8h7.4l-.4 4.2H4.7z" fill="#D9B48F"/>
<rect x="3.1" y="2" width="9.8" height="2.8" rx=".9" fill="#fff" stroke="#6F4E37" stroke-width=".7"/>`;
const GLASS = `<path d="M4.4 4h7.2l-.8 11.5H5.2z" fill="#E69F00" stroke="#8F5D00" stroke-width=".6"/>
<path d="M6 7h1.1l.3 6.6h-.9z" fill="#FFD980"/>
<rect x="3.6" y="1.4" width="8.8" height="3.6" rx="1.7" fill="#fff" stroke="#8F5D00" stroke-width=".6"/>`;
const CAN = `<rect x="4" y="1" width="8" height="14.5" rx="1.6" fill="#C9CED6"/><path d="M4 3.2h8v10.2H4z" fill="#0072B2"/>
<path d="M9.4 3.8 5.9 9h1.9l-.9 3.8 3.6-5.3H8.6z" fill="#FFD23F"/>`;
const MOON = `<path d="M13.6 10.2A6.2 6.2 0 1 1 6.4 2a5 5 0 0 0 7.2 8.2z" fill="#E3C84F"/>`;
const WEIGHTS = `<path d="M2 7.2h12v1.6H2z" fill="currentColor"/><g fill="currentColor"><rect x=".4" y="5.2" width="2.3" height="5.6" rx=".6"/>
<rect x="2.9" y="3.4" width="2.3" height="9.2" rx=".6"/><rect x="10.8" y="3.4" width="2.3" height="9.2" rx=".6"/>
<rect x="13.3" y="5.2" width="2.3" height="5.6" rx=".6"/></g>`;
const NAP = `<path d="M2 6.5h7l-7 7.5h7M10.6 1.8h4l-4 4.6h4" fill="none" stroke="currentColor" stroke-width="1.7"
stroke-linejoin="round" stroke-linecap="round"/>`;
const LEAF = `<g fill="#009E73">${[-100, 100, -62, 62, -30, 30, 0]
  .map((turn) => {
    const length = Math.abs(turn) > 90 ? 5 : Math.abs(turn) > 60 ? 7.2 : Math.abs(turn) > 20 ? 8.8 : 10.4;
    return `<path d="M8 12 7 ${12 - length / 2} 8 ${12 - length} 9 ${12 - length / 2}z" transform="rotate(${turn} 8 12)"/>`;
  })
  .join("")}</g><path d="M8 11.5v4" stroke="#009E73"/>`;
const WORK = `<rect x="2.2" y="2.8" width="11.6" height="8" rx="1.1" fill="none" stroke="currentColor" stroke-width="1.4"/>
<path d="M.6 13.4h14.8" stroke="currentColor" stroke-width="1.5" stroke-linecap="round"/>
<path d="M5 5.3 6.8 7 5 8.6M8.2 8.7h2.7" fill="none" stroke="currentColor" stroke-width="1.1"/>`;
const HEART = `<path d="M8 14.6 2 8.5a4.1 4.1 0 0 1 6-5.6 4.1 4.1 0 0 1 6 5.6z" fill="currentColor"/>`;
const SUN = `<circle cx="8" cy="8" r="4" fill="#F2B705"/><g stroke="#F2B705" stroke-width="1.2" stroke-linecap="round">${[
  ...Array(8),
]
  .map((_, i) => `<path d="M8 2.6V.9" transform="rotate(${i * 45} 8 8)"/>`)
  .join("")}</g>`;

const PICTURES = {
  nothing: WORK,
  coffee: CUP,
  beer: GLASS,
  sleep: MOON,
  nap: NAP,
  exercise: WEIGHTS,
  energy_drink: CAN,
  cannabis: LEAF,
  heart: HEART,
  sun: SUN,
  moon: MOON,
};

/** The inside of a picture of 16 by 16, a letter on a card where an action has none. */
export function picture(name, label = name) {
  if (name in PICTURES) return PICTURES[name];
  const letter = escaped(label.slice(0, 1).toUpperCase());
  return `<rect x="3" y="1.5" width="10" height="13" rx="2" fill="#009E73"/>
<text x="8" y="11.3" text-anchor="middle" font-size="9" font-weight="700" fill="#fff">${letter}</text>`;
}

/** A picture as an element of its own, hidden from screen readers: what stands beside it says the same. */
export const icon = (name, label) =>
  `<svg class="icon" viewBox="0 0 16 16" aria-hidden="true">${picture(name, label)}</svg>`;

/** A text that came from outside, for HTML. */
export const escaped = (text) => String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
