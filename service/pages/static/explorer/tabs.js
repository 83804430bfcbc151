/** Tabs, of which one is open. */

import { html } from "./vendor/lit-html.js";

const KEYS = { ArrowRight: 1, ArrowLeft: -1 };

/** @param {[string, string][]} names the tabs, by key and title */
export function tabs(id, names, current, open, content) {
  const walk = (event) => {
    const way = KEYS[event.key];
    if (!way) return;
    event.preventDefault();
    const index = (names.findIndex(([name]) => name === current) + way + names.length) % names.length;
    open(names[index][0]);
    document.getElementById(`${id}-${names[index][0]}`).focus();
  };
  return html`
    <div class="tabs" role="tablist" @keydown=${walk}>
      ${names.map(([name, title]) => html`<button role="tab" id="${id}-${name}" aria-controls="${id}-panel" aria-selected=${name === current ? "true" : "false"}
        tabindex=${name === current ? "0" : "-1"} @click=${() => open(name)}>${title}</button>`)}
    </div>
    <div role="tabpanel" id="${id}-panel" aria-labelledby="${id}-${current}">${content}</div>`;
}
