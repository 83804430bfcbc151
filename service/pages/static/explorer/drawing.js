/** The drawing of the network: lines for weights or gradients, units with their curves, the loss. */

import { html, nothing, svg } from "./vendor/lit-html.js";
import { barsPicture, curveAddress, curvePicture } from "./curves.js";
import { textOf } from "./json.js";
import { layoutOf, lineTo, thickness } from "./layout.js";
import { at, pathOf } from "./network.js";
import { unitName, weightName } from "./names.js";
import { full, inBrief, shown, sign } from "./numbers.js";
import { isSame } from "./result.js";

/** The values of the lines: weights, or gradients (null if not computed yet). */
export function lineValues(state, known) {
  const { result, shows, whole, sample } = state;
  if (shows === "weights") return (weight) => result.value(weight);
  return (weight) => {
    if (!known.gradient(weight.layer)) return null;
    return whole ? result.dE_dw(weight) : result.part(weight, sample);
  };
}

/** The largest absolute value, over ALL layers: a scale for each layer would hide that gradients vanish. */
export function largestOf(state, valueOf) {
  let largest = 0;
  for (const weight of state.result.weights) largest = Math.max(largest, Math.abs(valueOf(weight) ?? 0));
  return largest;
}

/** The id of a weight's element. */
export const idOf = ({ layer, from, to }) => `w-${layer}-${from ?? "b"}-${to}`;

/** The drawing with lines. */
export function drawing(state, act, known) {
  const { result, chosen } = state;
  const place = layoutOf(result.widths, result.layers.map((_, k) => result.hasBias(k)), targetsOf(state).length, state.width);
  const valueOf = lineValues(state, known);
  const view = { state, act, known, place, valueOf, largest: largestOf(state, valueOf) };
  const weights = result.weights;
  return html`
    <svg class="network ${place.roomy ? "roomy" : "close"}" width=${place.width} height=${place.height} viewBox="0 0 ${place.width} ${place.height}"
      role="listbox" tabindex="0" id="drawing" aria-label="Weights of the network; arrow keys walk along them"
      aria-activedescendant=${chosen ? idOf(chosen) : nothing} @keydown=${act.walk}>
      <g aria-hidden="true">${outputLines(view)}</g>
      ${weights.map((weight) => (isSame(weight, chosen) ? nothing : line(view, weight)))}
      ${chosen ? line(view, chosen) : nothing}
      <g aria-hidden="true">
        ${place.inputs.map((box, index) => inputBox(view, box, index))}
        ${place.units.map((boxes, layer) => boxes.map((box, unit) => unitBox(view, layer, unit, box)))}
        ${targetBoxes(view)}
        ${lossBox(view)}
        ${badges(view)}
        ${place.roomy ? nothing : chosenNumber(view)}
      </g>
    </svg>`;
}

/** A weight as an option of the listbox: its line, its number at the port, and an area to click. */
function line(view, weight) {
  const { state, act, place, valueOf, known } = view;
  const value = valueOf(weight);
  const own = isSame(weight, state.chosen);
  const on = isPathOf(state.chosen, weight);
  const kind = value === null ? "unknown" : sign(value);
  const route = routeOf(place, weight, own);
  const name = weightName(state.result.layers.length, weight);
  const told = value === null ? "not known yet" : full(value);
  const words = `${name}: ${state.shows === "weights" ? "weight" : "gradient"} ${told}`;
  return svg`
    <g role="option" id=${idOf(weight)} aria-selected=${own ? "true" : "false"} aria-label=${words}
      class="weight ${kind} ${own ? "chosen" : ""} ${on ? "path" : ""} ${isNow(known, weight.layer) ? "now" : ""}"
      @click=${() => act.choose(weight)}>
      <title>${words}</title>
      <path class="reach" d=${route.path}></path>
      ${own ? svg`<path class="halo" d=${route.path}></path>` : nothing}
      <path class="line" d=${route.path} stroke-width=${value === null ? 1 : thickness(value, view.largest, place.roomy)}></path>
      ${route.end ? svg`<text class="one" x=${route.end.x} y=${route.end.y}>1</text>` : nothing}
      ${value !== null && place.roomy ? label(route.label, lineText(state, weight, value), own) : nothing}
    </g>`;
}

/** Whether the current step computes something of this layer; false after the last step. */
const isNow = (known, layer) => !known.all && known.layer === layer;

function lineText(state, weight, value) {
  return state.shows === "weights" ? inBrief(textOf(at(state.result.request, pathOf(state.result.request, weight)))) : shown(value, 3);
}

function label({ x, y, anchor }, text, own) {
  const width = (own ? 8.1 : 7.4) * text.length + 10;
  const left = anchor === "end" ? x - width + 5 : x - 5;
  return svg`<rect class="behind" x=${left} y=${y - 9} width=${width} height="17" rx="3"></rect>
    <text class="number" x=${x} y=${y + 4} text-anchor=${anchor}>${text}</text>`;
}

/** If there is no room for all numbers: only the chosen weight's number, on top of everything else. */
function chosenNumber({ state, valueOf, place }) {
  const value = state.chosen && valueOf(state.chosen);
  if (value === null) return nothing;
  const { x, y, anchor } = routeOf(place, state.chosen, true).label;
  return svg`<text class="number over ${sign(value)}" x=${x} y=${y + 4} text-anchor=${anchor}>${lineText(state, state.chosen, value)}</text>`;
}

function routeOf(place, { layer, from, to }, own) {
  const unit = place.units[layer][to];
  if (from === null) {
    const [x, y, length] = [unit.x + (place.roomy ? 34 : 16), unit.y + unit.height, place.roomy ? 25 : 9];
    return { path: `M${x} ${y + length}V${y}`, end: { x, y: y + length + (place.roomy ? 11 : 9) }, label: { x: x + 10, y: y + length - (place.roomy ? 10 : 2), anchor: "start" } };
  }
  const source = layer === 0 ? place.inputs[from] : place.units[layer - 1][from];
  const port = { x: unit.x, y: unit.ports[from] };
  const straight = place.roomy ? 74 : own ? 12 : 4;
  return { path: lineTo(source, port, straight), label: { x: port.x - 9, y: port.y, anchor: "end" } };
}

/** Whether a weight lies on one of the chosen weight's paths to the loss, where its first factor comes from. */
const isPathOf = (chosen, weight) => chosen !== null && weight.layer === chosen.layer + 1 && weight.from === chosen.to;

function inputBox({ state }, box, index) {
  const text = textOf(inputLeaf(state, index));
  const layers = state.result.layers.length;
  return svg`<g class="box input">
    <title>${unitName(layers, -1, index)} = ${text}</title>
    <rect x=${box.x} y=${box.y} width=${box.width} height=${box.height} rx="9"></rect>
    <text class="name" x=${box.x + box.width / 2} y=${box.centre - 6}>${unitName(layers, -1, index)}</text>
    <text class="value" x=${box.x + box.width / 2} y=${box.centre + 13}>${inBrief(text)}</text>
  </g>`;
}

/** A number with this many digits, or with fewer if it does not fit. */
const fitted = (value, digits, room) => (digits === 1 || shown(value, digits).length <= room ? shown(value, digits) : fitted(value, digits - 1, room));

const inputLeaf = ({ result, sample }, index) => result.input(sample)[index];

function unitBox(view, layer, unit, box) {
  const { state, known, place } = view;
  const { result, sample } = state;
  const computed = known.forward(layer);
  const inner = place.roomy ? { x: box.x + 11, y: box.centre - 22, width: 46, height: 44 } : { x: box.x + 7, y: box.centre - 12, width: 26, height: 24 };
  const text = box.x + (place.roomy ? 68 : 38);
  const name = unitName(result.layers.length, layer, unit);
  const activation = result.activation(layer, unit);
  return svg`<g class="box unit ${isNow(known, layer) ? "now" : ""} ${isEnd(state.chosen, layer, unit)}">
    <title>${name}, ${activation}${computed ? `: a = ${full(result.a(layer, unit, sample))}, o = ${full(result.o(layer, unit, sample))}` : ""}</title>
    <rect x=${box.x} y=${box.y} width=${box.width} height=${box.height} rx="9"></rect>
    ${picture(view, layer, unit, inner)}
    <text class="name" x=${text} y=${box.centre - (place.roomy ? 20 : 5)}>${name}</text>
    ${place.roomy ? svg`<text class="activation" x=${box.x + box.width - 9} y=${box.centre - 20}>${activation.length <= 11 ? activation : `${activation.slice(0, 10)}…`}</text>` : nothing}
    ${computed ? svg`<text class="value" x=${text} y=${box.centre + (place.roomy ? 2 : 11)}>${place.roomy ? fitted(result.o(layer, unit, sample), 4, 8) : fitted(result.o(layer, unit, sample), 2, 5)}</text>` : nothing}
    ${place.roomy && computed ? remark(view, layer, unit, text, box.centre + 22) : nothing}
  </g>`;
}

/** The last line in a unit: its newest value. */
function remark({ state, known }, layer, unit, x, y) {
  const { result, sample } = state;
  const coupled = result.coupled[layer][unit];
  const now = known.layer === layer && !known.all ? known.number : 0;
  if (now === 1) return svg`<text class="remark factor-1" x=${x} y=${y}>∂E/∂o ${shown(result.dE_do(layer, unit, sample), 3)}</text>`;
  if (now === 2 && !coupled) return svg`<text class="remark factor-2" x=${x} y=${y}>∂o/∂a ${shown(result.do_da(layer, unit, sample), 3)}</text>`;
  if (known.factor(layer, 2)) return svg`<text class="remark" x=${x} y=${y}>∂E/∂a ${shown(result.dE_da(layer, unit, sample), 3)}</text>`;
  return svg`<text class="remark" x=${x} y=${y}>a ${shown(result.a(layer, unit, sample), 3)}</text>`;
}

function picture({ state, known }, layer, unit, inner) {
  const { result, sample } = state;
  const computed = known.forward(layer);
  if (result.coupled[layer][unit]) {
    const group = result.group(layer, unit);
    return computed ? barsPicture(group.map((m) => result.o(layer, m, sample)), group.indexOf(unit), inner) : nothing;
  }
  const slope = known.factor(layer, 2) ? result.do_da(layer, unit, sample) : null;
  const curve = state.curves.get(curveAddress(result, layer, unit));
  return curvePicture(curve, inner, computed ? result.a(layer, unit, sample) : null, result.o(layer, unit, sample), slope);
}

function isEnd(chosen, layer, unit) {
  if (chosen === null) return "";
  if (chosen.layer === layer && chosen.to === unit) return "end";
  return chosen.layer === layer + 1 && chosen.from === unit ? "start" : "";
}

/** The targets as they are drawn: one for each output, or one for all. */
function targetsOf({ result, sample, losses }) {
  const target = result.target(sample);
  if (Array.isArray(target) && target.length > 1) return target.map((leaf) => ({ name: "target", text: textOf(leaf) }));
  const leaf = Array.isArray(target) ? target[0] : target;
  const indexed = losses.find((loss) => loss.name === result.lossName)?.targets === "class_indices";
  return [{ name: indexed ? "class" : "target", text: textOf(leaf) }];
}

function targetBoxes({ state, place }) {
  const targets = targetsOf(state);
  return place.targets.map((box, index) => svg`<g class="box input">
    <title>${targets[index].name} ${targets[index].text}</title>
    <rect x=${box.x} y=${box.y} width=${box.width} height=${box.height} rx="9"></rect>
    <text class="name" x=${box.x + box.width / 2} y=${box.centre - 6}>${targets[index].name}</text>
    <text class="value" x=${box.x + box.width / 2} y=${box.centre + 13}>${inBrief(targets[index].text)}</text>
  </g>`);
}

function outputLines({ place }) {
  const outputs = place.units.at(-1);
  const loss = { x: place.loss.x, y: place.loss.y + place.loss.height / 2 };
  return svg`<g class="wires">
    ${outputs.map((unit, index) => {
      const target = place.targets[Math.floor((index * place.targets.length) / outputs.length)];
      return svg`<path d=${lineTo(unit, { x: target.x, y: target.centre }, 0)}></path>`;
    })}
    ${place.targets.map((target) => svg`<path d=${lineTo(target, loss, 0)}></path>`)}
  </g>`;
}

function lossBox({ state, known, place }) {
  const { x, y, width, height } = place.loss;
  const { result, whole, sample } = state;
  const value = result.many && !whole ? result.sampleLoss(sample) : result.loss;
  return svg`<g class="box loss">
    <title>${known.loss ? `E = ${full(value)}` : "the loss, not computed yet"}</title>
    <rect x=${x} y=${y} width=${width} height=${height} rx=${height / 2}></rect>
    <text class="name" x=${x + width / 2} y=${y + height / 2 - 6}>${result.many && !whole ? "part of E" : "loss E"}</text>
    <text class="value" x=${x + width / 2} y=${y + height / 2 + 13}>${known.loss ? fitted(value, 4, 8) : "…"}</text>
  </g>`;
}

/** Badges where the three factors of the chosen weight come from: with digits, because colours can look alike. */
function badges({ state, known, place }) {
  const { chosen, result } = state;
  if (!chosen) return nothing;
  const unit = place.units[chosen.layer][chosen.to];
  const spots = result.coupled[chosen.layer][chosen.to]
    ? [{ digit: "1·2", factor: 2, x: unit.x + unit.width - 12, y: unit.y }]
    : [{ digit: "2", factor: 2, x: unit.x + (place.roomy ? 34 : 20), y: unit.y }, { digit: "1", factor: 1, x: unit.x + unit.width, y: unit.y + 2 }];
  if (chosen.from !== null) {
    const source = chosen.layer === 0 ? place.inputs[chosen.from] : place.units[chosen.layer - 1][chosen.from];
    spots.push({ digit: "3", factor: 3, x: source.x + source.width, y: source.y + 2 });
  }
  return spots.filter((spot) => known.factor(chosen.layer, spot.factor)).map(({ digit, factor, x, y }) => svg`
    <g class="badge factor-${digit.length > 1 ? "12" : factor}">
      <rect x=${x - (digit.length > 1 ? 15 : 9)} y=${y - 9} width=${digit.length > 1 ? 30 : 18} height="18" rx="9"></rect>
      <text x=${x} y=${y + 4}>${digit}</text>
    </g>`);
}
