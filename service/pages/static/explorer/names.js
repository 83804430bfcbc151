/** What units and weights are called: x for inputs, h for hidden units (with their layer where there are several), y. */

import { indexed } from "./numbers.js";

const HIDDEN = "abcdefg";

/** The name of a unit; layer -1 is the inputs. Counted from 1, as people do. */
export function unitName(layers, layer, unit) {
  if (layer < 0) return indexed("x", unit + 1);
  if (layer === layers - 1) return indexed("y", unit + 1);
  const letter = layers === 2 ? "h" : layers - 1 <= HIDDEN.length ? HIDDEN[layer] : `h${layer + 1},`;
  return indexed(letter, unit + 1);
}

/** "h₁ → y₂", or "bias of y₂". */
export function weightName(layers, { layer, from, to }) {
  const end = unitName(layers, layer, to);
  return from === null ? `bias of ${end}` : `${unitName(layers, layer - 1, from)} → ${end}`;
}

/** "layer 1", "output layer". */
export const layerName = (layers, layer) => (layer === layers - 1 ? "output layer" : `layer ${layer + 1}`);
