/** Every gradient, a row each: the drawing's equal, for who cannot see it, and for who wants all numbers. */

import { html, nothing } from "./vendor/lit-html.js";
import { copyAll } from "./factors.js";
import { textOf } from "./json.js";
import { at, pathOf } from "./network.js";
import { weightName } from "./names.js";
import { full, inBrief, shown, sign } from "./numbers.js";
import { isSame } from "./result.js";

export const ROWS = 50; // of one page

/** The table, in pages. */
export function table(state, act, known) {
  const { result, sample, whole } = state;
  const weights = result.weights;
  const pages = Math.ceil(weights.length / ROWS);
  const page = Math.min(state.page, pages - 1);
  const head = result.many ? `sample ${sample + 1}` : "";
  return html`
    <div class="scroll"><table class="gradients">
      <caption class="unseen">Every weight with its value, its three factors${head ? ` for ${head}` : ""} and its gradient</caption>
      <thead><tr>
        <th scope="col">weight</th><th scope="col" class="right">value</th>
        <th scope="col" class="right">∂E/∂o</th><th scope="col" class="right">∂o/∂a</th><th scope="col" class="right">∂a/∂w</th>
        <th scope="col" class="right">${result.many && !whole ? "product" : "∂E/∂w"}</th>
        ${result.many && !whole ? html`<th scope="col" class="right">batch ∂E/∂w</th>` : nothing}
      </tr></thead>
      <tbody>${weights.slice(page * ROWS, (page + 1) * ROWS).map((weight) => line(state, act, known, weight))}</tbody>
    </table></div>
    ${pages > 1 ? pager(act, page, pages, weights.length) : nothing}`;
}

function line(state, act, known, weight) {
  const { result, sample, whole, chosen } = state;
  const { layer, to } = weight;
  const coupled = result.coupled[layer][to];
  const value = known.gradient(layer) ? (whole ? result.dE_dw(weight) : result.part(weight, sample)) : undefined;
  const cell = (is, number, kind = "") => html`<td class="right ${kind}" title=${is ? full(number()) : "not known yet"} @copy=${copyAll}>${is ? shown(number()) : "…"}</td>`;
  return html`
    <tr class=${isSame(weight, chosen) ? "own" : ""} @click=${() => act.choose(weight)}>
      <th scope="row"><button class="link" aria-pressed=${isSame(weight, chosen) ? "true" : "false"}>${weightName(result.layers.length, weight)}</button></th>
      <td class="right" title=${full(result.value(weight))}>${inBrief(textOf(at(result.request, pathOf(result.request, weight))), 11)}</td>
      ${coupled
        ? html`<td class="right joined" colspan="2" title=${known.factor(layer, 2) ? full(result.dE_da(layer, to, sample)) : "not known yet"}>${known.factor(layer, 2) ? html`<span class="aside">∂E/∂a</span> ${shown(result.dE_da(layer, to, sample))}` : "…"}</td>`
        : html`${cell(known.factor(layer, 1), () => result.dE_do(layer, to, sample))}${cell(known.factor(layer, 2), () => result.do_da(layer, to, sample))}`}
      ${cell(known.factor(layer, 3), () => result.da_dw(weight, sample))}
      ${cell(value !== undefined, () => value, value === undefined ? "" : `strong ${sign(value)}`)}
      ${result.many && !whole ? cell(value !== undefined, () => result.dE_dw(weight), value === undefined ? "" : sign(result.dE_dw(weight))) : nothing}
    </tr>`;
}

function pager(act, page, pages, count) {
  return html`
    <nav class="pager" aria-label="Pages of the table">
      <button ?disabled=${page === 0} @click=${() => act.update({ page: page - 1 })}>before</button>
      <span>${(page * ROWS + 1).toLocaleString("en")} to ${Math.min(count, (page + 1) * ROWS).toLocaleString("en")} of ${count.toLocaleString("en")}</span>
      <button ?disabled=${page === pages - 1} @click=${() => act.update({ page: page + 1 })}>next</button>
    </nav>`;
}
