/** Wide networks as matrices, a cell a weight: units down, what comes in across. Wider ones in blocks, on a canvas. */

import { html, nothing, svg } from "./vendor/lit-html.js";
import { largestOf, lineValues } from "./drawing.js";
import { layerName, weightName } from "./names.js";
import { full, sign } from "./numbers.js";

const STRIP = 26; // for the factors beside the cells
const [MOST_ACROSS, MOST_DOWN] = [196, 96]; // blocks of a canvas
const RATIO = 2; // of its pixels to the page's

/** The matrices of all layers; `binned` draws each on a canvas, which `paint` fills. */
export function matrices(state, act, known, binned) {
  const { result, chosen } = state;
  const valueOf = lineValues(state, known);
  const view = { state, act, known, valueOf, largest: largestOf(state, valueOf) };
  const told = chosen ? `Chosen: ${weightName(result.layers.length, chosen)}.` : "";
  return html`
    <div class="matrices" role="application" aria-roledescription="drawing" tabindex="0" id="drawing" @keydown=${act.walk}
      aria-label="Weights of the network as matrices; arrow keys walk along them. ${told}">
      ${result.layers.map((_, layer) => html`
        <figure>
          <figcaption><strong>${capital(layerName(result.layers.length, layer))}</strong> ${result.widths[layer + 1]} units down, ${result.widths[layer]} ${layer ? "units" : "inputs"} across</figcaption>
          ${binned ? canvas(view, layer) : cells(view, layer)}
        </figure>`)}
    </div>`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function cells(view, layer) {
  const { state: { result, chosen, sample, whole, width }, act, known, valueOf, largest } = view;
  const [across, down] = [result.widths[layer], result.widths[layer + 1]];
  const side = Math.max(7, Math.min(19, Math.floor((Math.min(width, 620) - STRIP - 8) / Math.max(across, 12))));
  const strips = !(result.many && whole) && known.factor(layer, 2);
  const [left, top] = [STRIP + 4, STRIP + 4];
  const layerWeights = [...result.weightsOf(layer)].filter((weight) => weight.from !== null);
  return html`
    <svg class="cells" width=${left + across * side + 2} height=${top + down * side + 2} aria-hidden="true" @click=${(event) => pick(event, act)}>
      ${strips ? svg`
        <text class="strip three" x=${left} y="10">3: what comes in</text><text class="strip one" x="0" y=${top - 6}>1·2</text>
        ${strip(Array.from({ length: across }, (_, i) => result.da_dw({ layer, from: i }, sample)), known.factor(layer, 3), (i) => [left + i * side, top - 14, side - 1, 9])}
        ${strip(result.units(layer).map((j) => result.dE_da(layer, j, sample)), true, (j) => [left - 14, top + j * side, 9, side - 1])}` : nothing}
      ${layerWeights.map((weight) => cell(weight, valueOf(weight), largest, left + weight.from * side, top + weight.to * side, side, result))}
      ${chosen?.layer === layer && chosen.from !== null ? svg`
        <rect class="mark" x=${left + chosen.from * side - 1} y=${top + chosen.to * side - 1} width=${side + 1} height=${side + 1}></rect>` : nothing}
    </svg>`;
}

function cell(weight, value, largest, x, y, side, result) {
  const kind = value === null ? "unknown" : sign(value);
  return svg`<g class="cell ${kind}"><rect data-at="${weight.layer} ${weight.from} ${weight.to}" x=${x} y=${y} width=${side - 1} height=${side - 1} rx="1.5" fill-opacity=${value === null ? 1 : strength(value, largest)}>
      <title>${weightName(result.layers.length, weight)}: ${value === null ? "not known yet" : full(value)}</title></rect>
    ${kind === "negative" && side > 9 ? svg`<path class="minus" d="M${x + side * 0.3} ${y + (side - 1) / 2}h${side * 0.36}"></path>` : nothing}</g>`;
}

/** Colour by the square root of the size, as lines have their width. */
const strength = (value, largest) => (value === 0 || largest === 0 ? 1 : 0.12 + 0.88 * Math.sqrt(Math.abs(value) / largest));

function strip(values, isKnown, place) {
  const largest = Math.max(...values.map(Math.abs));
  return values.map((value, index) => {
    const [x, y, width, height] = place(index);
    return svg`<g class="cell ${isKnown ? sign(value) : "unknown"}"><rect x=${x} y=${y} width=${width} height=${height} rx="1" fill-opacity=${isKnown ? strength(value, largest) : 1}><title>${isKnown ? full(value) : "not known yet"}</title></rect></g>`;
  });
}

function pick(event, act) {
  const place = event.target.dataset?.at;
  if (!place) return;
  const [layer, from, to] = place.split(" ").map(Number);
  act.choose({ layer, from, to });
}

/** The blocks that a layer is drawn in: how many weights each is across and down, and its pixels. */
function blocksOf(result, layer, width) {
  const [across, down] = [result.widths[layer], result.widths[layer + 1]];
  const [bins, rows] = [Math.ceil(across / MOST_ACROSS), Math.ceil(down / MOST_DOWN)];
  const [columns, lines] = [Math.ceil(across / bins), Math.ceil(down / rows)];
  const side = Math.max(2, Math.min(16, Math.floor(Math.min(width - 8, 900) / columns), Math.floor(480 / lines)));
  return { bins, rows, columns, lines, side };
}

function canvas({ state: { result, width }, act, valueOf }, layer) {
  const blocks = blocksOf(result, layer, width);
  const { bins, rows, columns, lines, side } = blocks;
  const size = bins * rows > 1 ? html`<p class="hint">A cell is the largest of ${bins} × ${rows} weights.</p>` : nothing;
  return html`
    <canvas data-layer=${layer} width=${columns * side * RATIO} height=${lines * side * RATIO} @click=${(event) => {
      const box = event.target.getBoundingClientRect();
      const [i, j] = [((event.clientX - box.left) / box.width) * columns, ((event.clientY - box.top) / box.height) * lines];
      act.choose(largestIn(result, layer, blocks, Math.floor(i), Math.floor(j), valueOf));
    }}></canvas>${size}`;
}

/** The weight of a block whose value is largest. */
function largestIn(result, layer, { bins, rows }, column, line, valueOf) {
  let best = null;
  for (let to = line * rows; to < Math.min((line + 1) * rows, result.widths[layer + 1]); to += 1) {
    for (let from = column * bins; from < Math.min((column + 1) * bins, result.widths[layer]); from += 1) {
      const weight = { layer, from, to };
      if (best === null || Math.abs(valueOf(weight) ?? 0) > Math.abs(valueOf(best) ?? 0)) best = weight;
    }
  }
  return best;
}

/** A block of which nothing is known yet. */
function outline(pen, x, y, side, colour) {
  pen.globalAlpha = 0.22;
  pen.strokeStyle = colour;
  pen.lineWidth = 1;
  pen.strokeRect(x + 0.5, y + 0.5, side - 2, side - 2);
}

/** Fill the canvases, once they stand in the page. Their colours are those of the legend. */
export function paint(root, state, known) {
  const valueOf = lineValues(state, known);
  const colours = Object.fromEntries(["positive", "negative", "zero"].map((kind) => [kind, getComputedStyle(root.querySelector(`.legend .${kind}`)).color]));
  const largest = largestOf(state, valueOf);
  for (const canvasOf of root.querySelectorAll("canvas[data-layer]")) {
    paintLayer(canvasOf, state, Number(canvasOf.dataset.layer), valueOf, largest, colours);
  }
}

function paintLayer(element, { result, chosen, width }, layer, valueOf, largest, colours) {
  const blocks = blocksOf(result, layer, width);
  const pen = element.getContext("2d");
  const side = blocks.side * RATIO;
  pen.clearRect(0, 0, element.width, element.height);
  for (let line = 0; line < blocks.lines; line += 1) {
    for (let column = 0; column < blocks.columns; column += 1) {
      const weight = largestIn(result, layer, blocks, column, line, valueOf);
      const value = valueOf(weight);
      if (value === null) { outline(pen, column * side, line * side, side, colours.zero); continue; }
      pen.globalAlpha = value === 0 ? 0.12 : strength(value, largest);
      pen.fillStyle = colours[sign(value)];
      pen.fillRect(column * side, line * side, side - 1, side - 1);
    }
  }
  if (chosen?.layer !== layer || chosen.from === null) return;
  pen.globalAlpha = 1;
  pen.strokeStyle = getComputedStyle(element).color;
  pen.lineWidth = 3;
  pen.strokeRect(Math.floor(chosen.from / blocks.bins) * side - 2, Math.floor(chosen.to / blocks.rows) * side - 2, side + 3, side + 3);
}
