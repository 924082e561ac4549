// Constants as sliders with fields: built once, read back with every mistake said beside its field.
import { problemOf } from "./game.mjs";
import { capital } from "./words.mjs";

const make = (tag, attributes = {}, text = "") => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
};

/** Fills `parent` with a slider and a field for each constant; `changed(name, value)` hears of new, valid values. */
export function makeFields(parent, env, current, changed) {
  const groups = new Map();
  for (const [name, constant] of Object.entries(env.constants)) {
    if (!groups.has(constant.group)) {
      const group = make("fieldset");
      group.append(make("legend", {}, capital(constant.group)));
      groups.set(constant.group, group);
    }
    groups.get(constant.group).append(fieldOf(name, constant, env, current, changed));
  }
  parent.replaceChildren(...groups.values());
}

function fieldOf(name, constant, env, current, changed) {
  const [low, high, step] = constant.slider;
  const row = make("div", { class: "field" });
  const label = make("label", { for: `field-${name}` }, constant.label);
  const slider = make("input", {
    "type": "range",
    "min": low,
    "max": high,
    step,
    "aria-label": `${constant.label}, slider`,
  });
  const field = make("input", {
    "id": `field-${name}`,
    "inputmode": "decimal",
    "maxlength": 24,
    "autocomplete": "off",
    "aria-describedby": `problem-${name}`,
  });
  const problem = make("p", { "class": "problem", "id": `problem-${name}`, "aria-live": "polite" });
  const show = (value) => {
    slider.value = value;
    field.value = value;
    row.classList.toggle("other", value !== env.params[name]);
  };
  const read = (text, isTyped) => {
    const wrong = problemOf(text, name, current(), env);
    field.toggleAttribute("aria-invalid", false);
    if (wrong) {
      field.setAttribute("aria-invalid", "true");
      problem.textContent = `${wrong} It stays ${current()[name]}.`;
      if (!isTyped) show(current()[name]);
      return;
    }
    problem.textContent = "";
    field.removeAttribute("aria-invalid");
    show(Number(text));
    changed(name, Number(text));
  };
  slider.addEventListener("input", () => read(slider.value, false));
  field.addEventListener("change", () => read(field.value, true));
  show(current()[name]);
  row.append(label, field, slider, problem);
  return row;
}
