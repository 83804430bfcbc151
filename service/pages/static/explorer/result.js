/**
 * An answer together with its request, with access by weight.
 *
 * All numbers come from the service. This file only multiplies two of them, for the terms of a sum;
 * the sum itself comes from the service, too.
 */

import { isBatch, isTransposed, nameOf, unpacked, valueAt, widthsOf } from "./network.js";

/** @typedef {{layer: number, from: number | null, to: number}} Weight  `from` null is the bias. */

export class Result {
  #weights;

  /**
   * @param request the document that was posted
   * @param answer the service's answer, broken down per unit or per weight
   * @param {Map<string, object>} activations the catalogue
   */
  constructor(request, answer, activations) {
    this.request = unpacked(request);
    this.answer = answer;
    this.batch = isBatch(this.request);
    this.widths = widthsOf(this.request);
    this.layers = answer.layers;
    this.loss = answer.loss;
    this.lossName = answer.loss_function.name;
    this.transposed = isTransposed(this.request);
    this.specs = answer.layers.map((layer, k) => this.units(k).map((j) =>
      (Array.isArray(layer.activation) ? layer.activation[j] : layer.activation)));
    this.coupled = this.specs.map((specs) => specs.map((spec) => activations.get(spec.name)?.elementwise === false));
  }

  get samples() { return this.batch ? this.request.inputs.length : 1; }

  /** Whether there are several samples, so that a sample's part and the whole differ. */
  get many() { return this.samples > 1; }

  get last() { return this.layers.length - 1; }

  /** The indices of the units of a layer. */
  units(layer) { return Array.from({ length: this.widths[layer + 1] }, (_, j) => j); }

  /** One sample of an array; the array has a samples axis only if a batch was posted. */
  #of(array, sample) { return this.batch ? array[sample] : array; }

  input(sample) { return this.#of(this.request.inputs, sample); }

  target(sample) { return this.#of(this.request.targets, sample); }

  sampleLoss(sample) { return this.#of(this.answer.sample_losses, sample); }

  a(layer, unit, sample) { return this.#of(this.layers[layer].a, sample)[unit]; }

  o(layer, unit, sample) { return this.#of(this.layers[layer].o, sample)[unit]; }

  dE_da(layer, unit, sample) { return this.#of(this.layers[layer].dE_da, sample)[unit]; }

  dE_do(layer, unit, sample) { return this.#of(this.layers[layer].factors.dE_do, sample)[unit]; }

  /** do_m/da_j. For a layer of single units the answer has only m = j. */
  do_da(layer, unit, sample, m = unit) {
    const slopes = this.#of(this.layers[layer].factors.do_da, sample);
    return Array.isArray(slopes[unit]) ? slopes[m][unit] : slopes[unit];
  }

  /** da/dw of a weight; 1 for a bias. */
  da_dw({ layer, from }, sample) {
    return from === null ? 1 : this.#of(this.layers[layer].factors.da_dw, sample)[from];
  }

  value(weight) { return valueAt(this.request, weight); }

  hasBias(layer) { return this.layers[layer].dE_db !== undefined; }

  /** The derivative over the whole batch. */
  dE_dw({ layer, from, to }) {
    const { dE_dw, dE_db } = this.layers[layer];
    if (from === null) return dE_db[to];
    return this.transposed ? dE_dw[to][from] : dE_dw[from][to];
  }

  /** The part of one sample in it: dE/da_j · da_j/dw_ij of that sample. */
  part(weight, sample) {
    return this.batch ? this.dE_da(weight.layer, weight.to, sample) * this.da_dw(weight, sample) : this.dE_dw(weight);
  }

  /** The units that share an activation with this one: those of its softmax, or itself alone. */
  group(layer, unit) {
    if (!this.coupled[layer][unit]) return [unit];
    const spec = JSON.stringify(this.specs[layer][unit]);
    return this.units(layer).filter((other) => JSON.stringify(this.specs[layer][other]) === spec);
  }

  activation(layer, unit) { return nameOf(this.specs[layer][unit]); }

  /** The weights of a layer, each unit's in the order of its ports: those from the units below, then the bias. */
  *weightsOf(layer) {
    for (const to of this.units(layer)) {
      for (let from = 0; from < this.widths[layer]; from += 1) yield { layer, from, to };
      if (this.hasBias(layer)) yield { layer, from: null, to };
    }
  }

  /** All weights, layer by layer. */
  get weights() {
    this.#weights ??= this.layers.flatMap((_, layer) => [...this.weightsOf(layer)]);
    return this.#weights;
  }

  /** Whether the network has such a weight. */
  has(weight) {
    return weight !== null && weight.layer <= this.last && weight.to < this.widths[weight.layer + 1]
      && (weight.from === null ? this.hasBias(weight.layer) : weight.from < this.widths[weight.layer]);
  }

  /** The weight with the largest derivative in a layer; optionally only of those that end at `to` or begin at `from`. */
  largest(layer, { to = null, from } = {}) {
    let best = null;
    for (const weight of this.weightsOf(layer)) {
      if ((to !== null && weight.to !== to) || (from !== undefined && weight.from !== from) || weight.from === null) continue;
      if (best === null || Math.abs(this.dE_dw(weight)) > Math.abs(this.dE_dw(best))) best = weight;
    }
    return best;
  }

  /** The weight to show first: the largest derivative of the last layer that has a non-zero one. */
  first() {
    for (let layer = this.last; layer >= 0; layer -= 1) {
      const weight = this.largest(layer);
      if (this.dE_dw(weight) !== 0) return weight;
    }
    return this.largest(this.last);
  }
}

/** Whether two objects name the same weight. */
export const isSame = (one, other) =>
  one !== null && other !== null && one.layer === other.layer && one.from === other.from && one.to === other.to;
