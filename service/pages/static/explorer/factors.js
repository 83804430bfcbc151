/** The chosen weight: its three factors and their product, the sums behind them, the samples. */

import { html, nothing, svg } from "./vendor/lit-html.js";
import { complaintAt } from "./complaints.js";
import * as formula from "./formula.js";
import { textOf } from "./json.js";
import { at, pathOf } from "./network.js";
import { unitName, weightName } from "./names.js";
import { full, shown, sign } from "./numbers.js";

const MOST_ROWS = 48; // of a sum; the largest terms of a longer one
const NUDGE = 0.01;

/** The panel below the drawing. */
export function factors(state, act, known) {
  const { result, chosen } = state;
  if (!chosen) return nothing;
  const view = { state, act, known, result, chosen, name: nameIn(result), coupled: result.coupled[chosen.layer][chosen.to] };
  return html`
    <section class="card chosen" aria-label="The chosen weight">
      ${heading(view)}
      ${state.whole && result.many
        ? html`<div class="factors whole">${everySample(view)}${operator("=")}${product(view)}</div>`
        : html`<div class="factors ${view.coupled ? "coupled" : ""}">
            ${view.coupled ? firstAndSecond(view) : html`${first(view)}${operator("×")}${second(view)}`}
            ${operator("×")}${third(view)}${operator("=")}${product(view)}
          </div>`}
      ${view.coupled ? groupSum(view) : chosen.layer < result.last ? hiddenSum(view) : nothing}
      ${result.many ? sampleSum(view) : nothing}
    </section>`;
}

const nameIn = (result) => (layer, unit) => unitName(result.layers.length, layer, unit);
const operator = (sign_) => html`<span class="operator" aria-hidden="true">${sign_}</span>`;

function heading({ state, act, result, chosen }) {
  const path = pathOf(state.request, chosen);
  const complaint = complaintAt(state, path);
  return html`
    <header>
      <h2>${chosen.from === null ? "" : "Weight "}<strong>${capital(weightName(result.layers.length, chosen), chosen.from === null)}</strong></h2>
      <label class="inline">value
        <input class="number" inputmode="text" autocomplete="off" spellcheck="false" .value=${textOf(at(state.request, path))}
          aria-invalid=${complaint ? "true" : "false"} aria-describedby="value-complaint"
          @input=${(event) => act.edit(path, event.target.value)} @keydown=${(event) => act.nudge(event, path)}>
      </label>
      <span class="complaint" id="value-complaint" role="status">${complaint ?? ""}</span>
      ${result.many ? sampleSwitch(state, act) : nothing}
    </header>`;
}

const capital = (text, first) => (first ? text[0].toUpperCase() + text.slice(1) : text);

function sampleSwitch({ whole, sample, result }, act) {
  return html`
    <div class="samples">
      <div class="switch" role="group" aria-label="What the gradient is of">
        <button aria-pressed=${whole ? "false" : "true"} @click=${() => act.update({ whole: false })}>this sample</button>
        <button aria-pressed=${whole ? "true" : "false"} @click=${() => act.update({ whole: true })}>whole batch</button>
      </div>
      <span class="stepper">
        <button aria-label="Previous sample" ?disabled=${sample === 0} @click=${() => act.update({ sample: sample - 1 })}>‹</button>
        <span>sample ${sample + 1} of ${result.samples}</span>
        <button aria-label="Next sample" ?disabled=${sample === result.samples - 1} @click=${() => act.update({ sample: sample + 1 })}>›</button>
      </span>
    </div>`;
}

/** A card: its digit, formula, value, origin and meaning. It has no value before the step that computes it. */
function card({ digit, kind, math, value, made, means, colour = "" }) {
  return html`
    <article class="factor ${kind}">
      ${digit ? html`<span class="digit">${digit}</span>` : nothing}
      <div class="math">${math}</div>
      <p class="value ${colour}" title=${value === undefined ? "not known yet" : full(value)} @copy=${copyAll}>${value === undefined ? html`<span class="unknown">…</span>` : shown(value)}</p>
      ${value === undefined ? nothing : html`<p class="made">${made}</p>`}
      <p class="means">${means}</p>
    </article>`;
}

/** Copy all digits of a shortened number. */
export function copyAll(event) {
  event.clipboardData.setData("text/plain", event.currentTarget.title);
  event.preventDefault();
}

function first(view) {
  const { result, chosen, state, known, name } = view;
  const value = known.factor(chosen.layer, 1) ? result.dE_do(chosen.layer, chosen.to, state.sample) : undefined;
  const paths = result.widths[chosen.layer + 2];
  const made = chosen.layer === result.last ? `directly from the loss, ${words(result.lossName)}`
    : paths === 1 ? "one path to the loss, below" : `${paths} paths to the loss, added up below`;
  return card({ digit: "1", kind: "one", math: formula.dE_do(), value, made: value === null ? beyond(view) : made, means: `how E changes with the output of ${name(chosen.layer, chosen.to)}` });
}

function second(view) {
  const { result, chosen, state, known } = view;
  const value = known.factor(chosen.layer, 2) ? result.do_da(chosen.layer, chosen.to, state.sample) : undefined;
  const activation = words(result.activation(chosen.layer, chosen.to));
  const a = known.forward(chosen.layer) ? ` at a = ${shown(result.a(chosen.layer, chosen.to, state.sample))}` : "";
  return card({ digit: "2", kind: "two", math: formula.do_da(), value, made: value === null ? beyond(view) : `slope of ${activation}${a}`, means: "how the output changes with the pre-activation" });
}

function firstAndSecond(view) {
  const { result, chosen, state, known } = view;
  const value = known.factor(chosen.layer, 2) ? result.dE_da(chosen.layer, chosen.to, state.sample) : undefined;
  const activation = words(result.activation(chosen.layer, chosen.to));
  return card({ digit: "1 and 2", kind: "one wide", math: formula.coupled(), value, made: `a sum over the ${result.group(chosen.layer, chosen.to).length} units of the group, below`, means: html`${activation} couples its outputs: all of them change when one a changes` });
}

function third(view) {
  const { result, chosen, state, known, name } = view;
  const value = known.factor(chosen.layer, 3) ? result.da_dw(chosen, state.sample) : undefined;
  const bias = chosen.from === null;
  const source = bias ? "" : name(chosen.layer - 1, chosen.from);
  const means = bias ? "a bias is added without a factor" : chosen.layer === 0 ? "the input itself" : "how the pre-activation changes with the weight";
  return card({ digit: "3", kind: "three", math: formula.da_dw(bias), value, made: bias ? "always 1" : `output of ${source}`.replace("output", chosen.layer === 0 ? "value" : "output"), means });
}

/** For a whole batch: the sum of the products of all samples, in place of three single factors. */
function everySample({ result, chosen }) {
  return html`
    <article class="factor one wide">
      <span class="digit">1 · 2 · 3</span>
      <div class="math">${formula.batch(chosen.from === null)}</div>
      <p class="made">${result.samples} products of three factors, one for each sample, added up below</p>
      <p class="means">choose "this sample" to see the factors of one sample</p>
    </article>`;
}

function product(view) {
  const { result, chosen, state, known } = view;
  const shows = state.whole || !result.many ? result.dE_dw(chosen) : result.part(chosen, state.sample);
  const value = known.gradient(chosen.layer) ? shows : undefined;
  const part = result.many && !state.whole;
  return card({
    kind: "product", value, colour: value === undefined ? "" : sign(value),
    math: formula.dE_dw(chosen.from === null),
    made: value === undefined ? "" : effect(view, value, part),
    means: value === undefined ? "" : part ? html`whole batch: <span class="${sign(result.dE_dw(chosen))}" title=${full(result.dE_dw(chosen))}>${shown(result.dE_dw(chosen))}</span>` : "",
  });
}

function effect({ chosen }, value, part) {
  const what = chosen.from === null ? "bias" : "weight";
  const whose = part ? "this sample's part of E" : "E";
  if (value === 0) return `raise this ${what} a little and ${whose} stays as it is`;
  return `raise this ${what} by ${NUDGE} and ${whose} ${value > 0 ? "rises" : "falls"} by about ${shown(Math.abs(NUDGE * value), 2)}`;
}

const beyond = () => "beyond float64; the product comes from a closed form and is right";
const words = (name) => name.replaceAll("_", " ");

/** The sum behind dE/do of a hidden unit: a term for every unit of the next layer. */
function hiddenSum(view) {
  const { result, chosen, state, known, name } = view;
  if (!known.factor(chosen.layer, 1)) return nothing;
  const next = chosen.layer + 1;
  const plain = result.units(next).every((l) => !result.coupled[next][l] && result.dE_do(next, l, state.sample) !== null);
  const terms = result.units(next).map((l) => {
    const w = result.value({ layer: next, from: chosen.to, to: l });
    const dE_da = result.dE_da(next, l, state.sample);
    const factored = [result.dE_do(next, l, state.sample), plain ? result.do_da(next, l, state.sample) : null];
    return { name: name(next, l), cells: [...(plain ? factored : [dE_da]), w], term: dE_da * w };
  });
  return sumTable({
    badge: "1", kind: "one", title: html`Factor 1 is a sum: one term for every unit <i>l</i> that ${name(chosen.layer, chosen.to)} feeds`, math: formula.hidden(),
    head: ["unit", ...(plain ? ["∂E/∂o", "× ∂o/∂a"] : ["∂E/∂a"]), `× w from ${name(chosen.layer, chosen.to)}`],
    terms, total: result.dE_do(chosen.layer, chosen.to, state.sample), noun: "unit",
  });
}

/** The sum behind dE/da of a unit of a group: a term for every unit of the group. */
function groupSum(view) {
  const { result, chosen, state, known, name } = view;
  if (!known.factor(chosen.layer, 2)) return nothing;
  const group = result.group(chosen.layer, chosen.to);
  const terms = group.map((m) => {
    const [dE_do, do_da] = [result.dE_do(chosen.layer, m, state.sample), result.do_da(chosen.layer, chosen.to, state.sample, m)];
    return { name: name(chosen.layer, m), cells: [dE_do, do_da], term: dE_do === null || do_da === null ? null : dE_do * do_da };
  });
  return sumTable({
    badge: "1 and 2", kind: "one", title: html`One term for every output of the group, because each depends on ${name(chosen.layer, chosen.to)}`, math: nothing,
    head: ["output", "∂E/∂o", `× ∂o/∂a of ${name(chosen.layer, chosen.to)}`], terms, total: result.dE_da(chosen.layer, chosen.to, state.sample), noun: "output",
  });
}

/** The samples of a batch: a product each; together they are the gradient. */
function sampleSum(view) {
  const { result, chosen, state, known, act, coupled } = view;
  if (!known.gradient(chosen.layer)) return nothing;
  const plain = !coupled && samples(result).every((s) => result.dE_do(chosen.layer, chosen.to, s) !== null && result.do_da(chosen.layer, chosen.to, s) !== null);
  const terms = samples(result).map((s) => {
    const factored = [result.dE_do(chosen.layer, chosen.to, s), plain ? result.do_da(chosen.layer, chosen.to, s) : null];
    return {
      name: html`<button class="link" @click=${() => act.update({ sample: s, whole: false })}>${s + 1}</button>`, own: !state.whole && s === state.sample,
      cells: [...(plain ? factored : [result.dE_da(chosen.layer, chosen.to, s)]), result.da_dw(chosen, s)], term: result.part(chosen, s),
    };
  });
  return sumTable({
    title: "The batch: a product for each sample, and their sum", math: nothing,
    head: ["sample", ...(plain ? ["∂E/∂o", "× ∂o/∂a"] : ["∂E/∂a"]), chosen.from === null ? "× 1" : `× ${view.name(chosen.layer - 1, chosen.from)}`],
    terms, total: result.dE_dw(chosen), noun: "sample",
  });
}

const samples = (result) => Array.from({ length: result.samples }, (_, s) => s);

function sumTable({ badge, kind, title, math, head, terms, total, noun }) {
  const rows = terms.length <= MOST_ROWS ? terms : [...terms].sort((one, other) => Math.abs(other.term) - Math.abs(one.term)).slice(0, MOST_ROWS);
  const largest = Math.max(...terms.map(({ term }) => Math.abs(term ?? 0)));
  return html`
    <div class="sum ${kind ?? ""}">
      <div class="caption">${badge ? html`<span class="digit">${badge}</span>` : nothing}<span>${title}</span>${math}</div>
      <div class="scroll"><table>
        <thead><tr>${head.map((word, index) => html`<th scope="col" class=${index ? "right" : ""}>${word}</th>`)}<th scope="col" class="right">= term</th><td class="bars"></td></tr></thead>
        <tbody>
          ${rows.map(({ name, cells, term, own }) => html`<tr class=${own ? "own" : ""}>
            <th scope="row">${name}</th>
            ${cells.map((cell) => html`<td class="right" title=${full(cell)}>${cell === null ? "∞" : shown(cell)}</td>`)}
            <td class="right ${sign(term)}" title=${full(term)}>${term === null ? "∞" : shown(term)}</td>
            <td class="bars">${bar(term, largest)}</td></tr>`)}
          ${rows.length < terms.length ? html`<tr><td colspan=${head.length + 2} class="more">and ${terms.length - rows.length} smaller terms, one ${noun} each</td></tr>` : nothing}
        </tbody>
        <tfoot><tr><th scope="row">sum</th>${head.slice(1).map(() => html`<td></td>`)}<td class="right ${sign(total)}" title=${full(total)}>${shown(total)}</td><td class="bars"></td></tr></tfoot>
      </table></div>
    </div>`;
}

function bar(term, largest) {
  const half = 58;
  const length = largest > 0 && term !== null ? Math.max(term === 0 ? 0 : 1, (half * Math.abs(term)) / largest) : 0;
  return html`<svg width="120" height="12" viewBox="0 0 120 12" aria-hidden="true" class=${sign(term)}>
    <line class="axis" x1="60" x2="60" y1="0" y2="12"></line>
    ${length ? svg`<rect x=${term > 0 ? 60 : 60 - length} y="3" width=${length} height="6" rx="1"></rect>` : nothing}
  </svg>`;
}
