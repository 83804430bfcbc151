/** The request as a form: sizes, activations, weights, loss, data. Typed text goes into the request unchanged. */

import { html, nothing } from "./vendor/lit-html.js";
import { complaintAt, complaintLines, complaintsWithin } from "./complaints.js";
import { textOf } from "./json.js";
import { at, isBatch, isTransposed, LAYERS, layersOf, nameOf, pathOf, row, samplesOf, widthsOf } from "./network.js";
import { layerName, unitName, weightName } from "./names.js";
import { asTyped } from "./numbers.js";

const MOST_FIELDS = 9; // inputs or units of a matrix that is edited field by field
const MOST_UNITS = 4096; // of a layer that is made by typing a number; a matrix of as many as that takes long to draw
const MOST_SAMPLES = 24; // that have a row of their own
const MOST_TEXT = 400; // characters of a sample's row; longer ones are edited as JSON

/** The form. */
export function form(state, act) {
  const { request } = state;
  const widths = widthsOf(request);
  return html`
    <div class="form">
      <div class="head">${sizeRow(state, act, widths, 0, "Inputs")}<span class="remove"></span></div>
      ${layersOf(request).map((layer, k) => layerRow(state, act, widths, layer, k))}
      <button class="quiet wide" @click=${() => act.addLayer(widths.length - 2, [...widths.slice(0, -1), 2, widths.at(-1)])}>+ add a hidden layer</button>
      ${lossFields(state, act)}
      ${dataFields(state, act)}
    </div>`;
}

function sizeRow(state, act, widths, column, label) {
  const change = (size) => act.resize(widths.map((width, index) => (index === column ? size : width)));
  return html`
    <div class="size" role="group" aria-label="${label}: how many">
      <span class="label">${label}</span>
      <span class="counter">
        <button aria-label="One fewer: ${label}" ?disabled=${widths[column] <= 1} @click=${() => change(widths[column] - 1)}>−</button>
        <input class="count" inputmode="numeric" autocomplete="off" aria-label="How many: ${label}" .value=${String(widths[column])}
          @change=${(event) => {
            const size = Number(event.target.value);
            const holds = Number.isInteger(size) && size > 0 && size <= MOST_UNITS;
            if (holds) change(size);
            else act.update({ refused: { column, words: `"${event.target.value}" is not a size: enter a whole number from 1 to ${MOST_UNITS}` } });
            event.target.value = String(holds ? size : widths[column]);
          }}>
        <button aria-label="One more: ${label}" @click=${() => change(widths[column] + 1)}>+</button>
      </span>
      ${state.refused?.column === column ? html`<p class="complaint" role="status">${state.refused.words}</p>` : nothing}
    </div>`;
}

function layerRow(state, act, widths, layer, k) {
  const count = widths.length - 1;
  const label = k === count - 1 ? "Output" : `Layer ${k + 1}`;
  const path = [...LAYERS, k];
  const perUnit = Array.isArray(layer.activation);
  return html`
    <fieldset class="layer">
      <legend class="unseen">${layerName(count, k)}</legend>
      <div class="head">
        ${sizeRow(state, act, widths, k + 1, label)}
        ${count > 1 && k < count - 1 ? html`<button class="remove" aria-label="Remove layer ${k + 1}" title="Remove this layer" @click=${() => act.removeLayer(k)}>×</button>` : html`<span class="remove"></span>`}
      </div>
      ${perUnit ? nothing : activationField(state, act, [...path, "activation"], layer.activation, `Activation of ${layerName(count, k)}`, () => act.perUnit(k, widths[k + 1]))}
      ${perUnit ? html`
        <div class="units">${layer.activation.map((spec, j) => activationField(state, act, [...path, "activation", j], spec, `Activation of ${unitName(count, k, j)}`, null, unitName(count, k, j)))}</div>
        <button class="quiet" @click=${() => act.edit([...path, "activation"], layer.activation[0], true)}>one activation for all</button>` : nothing}
      ${complaintAt(state, [...path, "activation"]) && perUnit ? complaintLines(state, [...path, "activation"], `activation-${k}`) : nothing}
      ${weightFields(state, act, widths, layer, k)}
    </fieldset>`;
}

function activationField(state, act, path, spec, label, perUnit, short) {
  const name = nameOf(spec);
  const known = state.activations.find((each) => each.name === name || each.aliases.includes(name));
  const wrong = complaintsWithin(state, path).length > 0;
  const id = path.join("-");
  return html`
    <div class="activation">
      <label>${short ? html`<span class="short">${short}</span>` : nothing}
        <select aria-label=${label} aria-invalid=${wrong ? "true" : "false"} aria-describedby=${id}
          @change=${(event) => (event.target.value === "" ? perUnit() : act.edit(path, event.target.value, true))}>
          ${known ? nothing : html`<option .selected=${true} value=${String(name)}>${String(name ?? "choose")}</option>`}
          ${state.activations.map((each) => html`<option value=${each.name} .selected=${each === known}>${each.name.replaceAll("_", " ")}</option>`)}
          ${perUnit ? html`<option value="">per unit …</option>` : nothing}
        </select>
      </label>
      ${known ? parameterFields(state, act, path, spec, known, short !== undefined) : nothing}
      ${complaintLines(state, path, id)}
    </div>`;
}

/** The parameters of an activation or a loss; `brief` leaves out those that the request does not set. */
function parameterFields(state, act, path, spec, known, brief = false) {
  const given = typeof spec === "object" ? spec : {};
  return known.parameters.filter((parameter) => given[parameter.name] !== undefined || (!brief && parameter.default !== null)).map((parameter) => html`
    <label class="parameter" title=${parameter.meaning}><span>${parameter.name.replaceAll("_", " ")}</span>
      ${parameter.choices
        ? html`<select @change=${(event) => act.parameter(path, known.name, parameter.name, event.target.value, true)}>
            ${parameter.choices.map((choice) => html`<option .selected=${choice === (given[parameter.name] ?? parameter.default)}>${choice}</option>`)}</select>`
        : html`<input class="number" inputmode="text" autocomplete="off" aria-invalid=${complaintAt(state, [...path, parameter.name]) ? "true" : "false"}
            .value=${textOf(given[parameter.name] ?? parameter.default)} @input=${(event) => act.parameter(path, known.name, parameter.name, event.target.value)}>`}
    </label>`);
}

function weightFields(state, act, widths, layer, k) {
  const [inputs, units] = [widths[k], widths[k + 1]];
  const path = [...LAYERS, k];
  const wrong = [...complaintsWithin(state, [...path, "weights"]), ...complaintsWithin(state, [...path, "biases"])].length > 0;
  const biased = layer.biases !== undefined;
  const complained = html`
    ${complaintLines(state, [...path, "weights"], `weights-${k}`, (way) => calledWeight(state, widths, k, way))}
    ${complaintLines(state, [...path, "biases"], `biases-${k}`, (way) => `bias of ${unitName(widths.length - 1, k, Number(way[0]))}`)}`;
  if (inputs > MOST_FIELDS || units > MOST_FIELDS) {
    return html`<p class="hint">${inputs} × ${units} weights: edit them as JSON, or choose a weight to edit it.</p>${complained}`;
  }
  const count = widths.length - 1;
  return html`
    <details .open=${wrong || state.opened.includes(k)} @toggle=${(event) => act.opened(k, event.target.open)}>
      <summary>Weights${biased ? " and biases" : ""}</summary>
      <div class="scroll"><table class="grid">
        <thead><tr><td></td>${row(units, (j) => html`<th scope="col">${unitName(count, k, j)}</th>`)}</tr></thead>
        <tbody>
          ${row(inputs, (i) => html`<tr><th scope="row">${unitName(count, k - 1, i)}</th>${row(units, (j) => cell(state, act, { layer: k, from: i, to: j }, `${unitName(count, k - 1, i)} to ${unitName(count, k, j)}`))}</tr>`)}
          ${biased ? html`<tr><th scope="row">bias</th>${row(units, (j) => cell(state, act, { layer: k, from: null, to: j }, `bias of ${unitName(count, k, j)}`))}</tr>` : nothing}
        </tbody>
      </table></div>
      <button class="quiet" @click=${() => act.edit([...path, "biases"], biased ? undefined : row(units, () => 0), true)}>${biased ? "without biases" : "with biases"}</button>
      ${complained}
    </details>`;
}

/** The name of a weight, or of a row, by its position in the matrix. */
function calledWeight({ request }, widths, k, [row_, column]) {
  const count = widths.length - 1;
  if (column === undefined) return `row ${Number(row_) + 1}`;
  const [from, to] = isTransposed(request) ? [column, row_] : [row_, column];
  return weightName(count, { layer: k, from: Number(from), to: Number(to) });
}

function cell(state, act, weight, label) {
  const path = pathOf(state.request, weight);
  return html`<td><input class="number" inputmode="text" autocomplete="off" spellcheck="false" aria-label=${label}
    aria-invalid=${complaintAt(state, path) ? "true" : "false"} .value=${textOf(at(state.request, path))}
    @focus=${() => act.chooseIfThere(weight)} @input=${(event) => act.edit(path, event.target.value)}></td>`;
}

function lossFields(state, act) {
  const spec = state.request.loss ?? "half_squared_error";
  const name = nameOf(spec);
  const alias = state.losses.find((each) => each.aliases.some((other) => other.name === name));
  const known = state.losses.find((each) => each.name === name) ?? alias;
  const reduction = (typeof spec === "object" && spec.reduction) || alias?.aliases.find((other) => other.name === name)?.reduction || "sum";
  return html`
    <fieldset class="loss">
      <label><span class="label">Loss</span>
        <select aria-invalid=${complaintsWithin(state, ["loss"]).length ? "true" : "false"} aria-describedby="loss-complaint" @change=${(event) => act.edit(["loss"], event.target.value, true)}>
          ${known ? nothing : html`<option .selected=${true}>${String(name)}</option>`}
          ${state.losses.map((each) => html`<option value=${each.name} .selected=${each === known}>${each.name.replaceAll("_", " ")}</option>`)}
        </select>
      </label>
      ${isBatch(state.request) || reduction !== "sum" ? html`<label><span class="label">Reduction</span>
        <select @change=${(event) => act.parameter(["loss"], known?.name ?? name, "reduction", event.target.value, true)}>
          ${["sum", "mean", "batch_mean"].map((each) => html`<option value=${each} .selected=${each === reduction}>${each.replace("_", " ")}</option>`)}
        </select></label>` : nothing}
      ${known ? parameterFields(state, act, ["loss"], spec, known) : nothing}
      ${complaintLines(state, ["loss"], "loss-complaint")}
    </fieldset>`;
}

function dataFields(state, act) {
  const samples = samplesOf(state.request);
  const batch = isBatch(state.request);
  return html`
    <fieldset class="data">
      <legend class="label">Data</legend>
      <div class="rows">
        <span class="column" aria-hidden="true"></span><span class="column" aria-hidden="true">inputs</span><span class="column" aria-hidden="true">target</span><span></span>
        ${samples.slice(0, MOST_SAMPLES).map((sample, s) => sampleRow(state, act, sample, s, batch, samples.length))}
      </div>
      ${samples.length > MOST_SAMPLES ? html`<p class="hint">and ${samples.length - MOST_SAMPLES} more samples; edit them as JSON</p>` : nothing}
      ${complaintLines(state, ["inputs"], "inputs-complaint")}
      ${complaintLines(state, ["targets"], "targets-complaint")}
      <button class="quiet" @click=${act.addSample}>+ add a sample</button>
    </fieldset>`;
}

function sampleRow(state, act, { input, target }, s, batch, count) {
  return html`
    <button class="sample" aria-pressed=${s === state.sample ? "true" : "false"} aria-label="Show sample ${s + 1}" @click=${() => act.update({ sample: s })}>${s + 1}</button>
    ${listField(state, act, input, batch ? ["inputs", s] : ["inputs"], `Inputs of sample ${s + 1}`)}
    ${listField(state, act, target, batch ? ["targets", s] : ["targets"], `Target of sample ${s + 1}`)}
    ${count > 1 ? html`<button class="remove" aria-label="Remove sample ${s + 1}" @click=${() => act.removeSample(s)}>×</button>` : html`<span></span>`}`;
}

function listField(state, act, leaf, path, label) {
  const list = Array.isArray(leaf);
  const draft = state.drafts?.[path.join("/")];
  const text = draft ?? (list ? leaf.map(textOf).join(", ") : textOf(leaf));
  if (text.length > MOST_TEXT) return html`<span class="hint">${leaf.length} values</span>`;
  return html`<input class="number" inputmode="text" autocomplete="off" spellcheck="false" aria-label=${label} title=${asTyped(text)}
    aria-invalid=${complaintsWithin(state, path).length ? "true" : "false"} .value=${text}
    @input=${(event) => act.editList(path, event.target.value, list)} @blur=${() => act.update({ drafts: {} })}>`;
}
