/**
 * The steps of the two passes, and what is known after each: forward layer by layer, the loss, then backward three
 * steps a layer, one for each factor.
 */

import { layerName } from "./names.js";

const FACTORS = ["how the loss changes with each output", "the slope of each activation", "what came in"];

/** How many steps there are. Step 0 is before all of them. */
export const countOf = (layers) => layers + 1 + 3 * layers;

/** What is known after a step. */
export class Known {
  constructor(layers, step) {
    this.layers = layers;
    this.count = countOf(layers);
    this.step = Math.min(step, this.count);
  }

  get all() { return this.step === this.count; }

  get loss() { return this.step > this.layers; }

  /** Whether the step is one of the backward pass. */
  get backward() { return this.step > this.layers + 1; }

  /** a and o of a layer. */
  forward(layer) { return this.step > layer; }

  /** A factor, 1 to 3, of all weights of a layer. */
  factor(layer, number) { return this.step >= this.layers + 1 + 3 * (this.layers - 1 - layer) + number; }

  /** dE/dw of a layer. */
  gradient(layer) { return this.factor(layer, 3); }

  /** The layer that the step is about; null before the first and at the loss. */
  get layer() {
    if (this.step === 0 || this.step === this.layers + 1) return null;
    if (this.step <= this.layers) return this.step - 1;
    return this.layers - 1 - Math.floor((this.step - this.layers - 2) / 3);
  }

  /** The factor that the step brings; 0 in the forward pass. */
  get number() { return !this.backward ? 0 : ((this.step - this.layers - 2) % 3) + 1; }

  /** One sentence. */
  get sentence() {
    if (this.step === 0) return "The network as it stands: weights, inputs, targets. Nothing is computed yet.";
    if (this.step === this.layers + 1) return "The loss: how far the outputs are from the targets.";
    const name = layerName(this.layers, this.layer);
    if (this.number === 0) return `Forward, ${name}: each unit adds up what comes in, and bends it.`;
    const end = !this.all ? "" : this.layers === 1 ? " Every weight has its gradient." : " Now every weight has its gradient.";
    const named = this.number === 3 && this.layer > 0 ? ": the gradients of this layer" : "";
    return `Backward, ${name}, factor ${this.number}: ${FACTORS[this.number - 1]}${named}.${end}`;
  }
}
