/** A request as a document: what it holds where. Nothing is computed here, but the sizes of lists. */

import { changed, numberOf, Typed, typed } from "./json.js";

export const LAYERS = ["network", "layers"];

/** Where a value stands. `from` null is the bias of unit `to`. */
export function pathOf(request, { layer, from, to }) {
  if (from === null) return [...LAYERS, layer, "biases", to];
  const place = isTransposed(request) ? [to, from] : [from, to];
  return [...LAYERS, layer, "weights", ...place];
}

/** What stands at a path; undefined where there is nothing. */
export function at(document, path) {
  return path.reduce((value, step) => value?.[step], document);
}

/** Whether matrices are written out × in, as PyTorch does. */
export const isTransposed = (request) => request?.network?.weights_layout === "out_in";

/** The layers, or none; what is no layer at all as an empty one, until the service says so. */
export function layersOf(request) {
  const layers = request?.network?.layers;
  return Array.isArray(layers) ? layers.map((layer) => (isObject(layer) ? layer : {})) : [];
}

/** Whether a value is a JSON object. */
export const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Typed);

/** Inputs and units of a layer, as its matrix has them. */
export function sizeOf(request, layer) {
  const weights = layersOf(request)[layer]?.weights;
  const rows = Array.isArray(weights) ? weights.length : 0;
  const columns = Array.isArray(weights?.[0]) ? weights[0].length : 0;
  return isTransposed(request) ? { inputs: columns, units: rows } : { inputs: rows, units: columns };
}

/** The sizes of a network: its inputs, then the units of each layer. */
export function widthsOf(request) {
  const layers = layersOf(request);
  return [sizeOf(request, 0).inputs, ...layers.map((_, layer) => sizeOf(request, layer).units)];
}

/** How many weights a network has, without its biases. */
export function weightsIn(request) {
  const widths = widthsOf(request);
  return widths.slice(1).reduce((sum, units, k) => sum + units * widths[k], 0);
}

/** Whether inputs are a batch. */
export const isBatch = (request) => Array.isArray(request?.inputs) && Array.isArray(request.inputs[0]);

/** The samples, with their targets: `{input, target}`, each a list or one leaf. */
export function samplesOf(request) {
  if (!isBatch(request)) return [{ input: request?.inputs, target: request?.targets }];
  return request.inputs.map((input, index) => ({ input, target: request.targets?.[index] }));
}

/** A request with its samples replaced; it stays one sample as long as it is one and was posted as one. */
export function withSamples(request, samples) {
  const batch = isBatch(request) || samples.length > 1;
  return {
    ...request,
    inputs: batch ? samples.map((sample) => sample.input) : samples[0].input,
    targets: batch ? samples.map((sample) => sample.target) : samples[0].target,
  };
}

/** The name of a spec: "tanh", or {"name": "tanh"}. */
export const nameOf = (spec) => (typeof spec === "string" ? spec : spec?.name);

/** The value of a request's leaf as a number. */
export const valueAt = (request, weight) => numberOf(at(request, pathOf(request, weight)));

/** A request whose network has layers of these sizes; what was there is kept, new weights are drawn small. */
export function resized(request, widths) {
  const layers = widths.slice(1).map((units, index) => {
    const old = layersOf(request)[index] ?? { activation: "tanh", biases: [] };
    return fitted(request, old, index, widths[index], units);
  });
  const network = { ...request.network, layers };
  return refitted({ ...request, network }, widths);
}

/** A request with one more hidden layer, of which nothing is set yet but its activation. */
export function withLayer(request, index) {
  const layers = layersOf(request);
  const like = layers.length > 1 ? nameOf(layers[Math.max(0, index - 1)].activation) : undefined;
  const fresh = { activation: like ?? "tanh", weights: [], biases: [] };
  return changed(request, LAYERS, [...layers.slice(0, index), fresh, ...layers.slice(index)]);
}

function fitted(request, old, index, inputs, units) {
  const given = sizeOf(request, index);
  const keep = (from, to) => (from < given.inputs && to < given.units
    ? at(request, pathOf(request, { layer: index, from, to })) : small(index, from, to, inputs));
  const matrix = isTransposed(request)
    ? grid(units, inputs, (to, from) => keep(from, to)) : grid(inputs, units, keep);
  const layer = { ...old, weights: matrix };
  if (old.biases) layer.biases = row(units, (to) => old.biases[to] ?? 0);
  if (Array.isArray(old.activation)) layer.activation = row(units, (to) => old.activation[to] ?? old.activation.at(-1));
  return layer;
}

function refitted(request, widths) {
  const [inputs, outputs] = [widths[0], widths.at(-1)];
  const samples = samplesOf(request).map(({ input, target }) => ({
    input: row(inputs, (i) => input?.[i] ?? small(7, i, 0, 1)),
    target: Array.isArray(target) ? row(outputs, (i) => target[i] ?? 0) : target,
  }));
  return withSamples(request, samples);
}

/** A weight that is not there yet: the same at every visit, between ±√(1/inputs), to two digits. */
function small(layer, from, to, inputs) {
  const mixed = Math.sin(12.9898 * (from + 1) + 78.233 * (to + 1) + 37.719 * (layer + 1)) * 43758.5453;
  return Number(((2 * (mixed - Math.floor(mixed)) - 1) / Math.sqrt(inputs)).toPrecision(2));
}

/** Text such as "0.5, -1" as a list of leaves; one leaf where a single one is wanted. */
export function listOf(text) {
  return text.split(/[\s,;]+/).filter(Boolean).map(typed);
}

/** A document in which arrays that are written as base64 are lists of numbers. */
export function unpacked(value) {
  if (value instanceof Typed || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.some((each) => typeof each === "object") ? value.map(unpacked) : value;
  if (typeof value.base64 === "string" && Array.isArray(value.shape)) return decoded(value) ?? value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, unpacked(each)]));
}

function decoded({ shape, base64 }) {
  const bytes = /^[A-Za-z0-9+/]*={0,2}$/.test(base64) && base64.length % 4 === 0
    ? Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)) : new Uint8Array();
  const sizes = shape.map(numberOf);
  if (bytes.length !== 8 * sizes.reduce((product, size) => product * size, 1)) return null; // the service says why
  const view = new DataView(bytes.buffer);
  const flat = row(bytes.length / 8, (index) => view.getFloat64(8 * index, true));
  return sizes.length === 2 ? row(sizes[0], (i) => flat.slice(i * sizes[1], (i + 1) * sizes[1])) : flat;
}

export const row = (length, make) => Array.from({ length }, (_, index) => make(index));
const grid = (rows, columns, make) => row(rows, (i) => row(columns, (j) => make(i, j)));

/** A request with one value changed. */
export const withValue = (request, weight, text) => changed(request, pathOf(request, weight), typed(text));
