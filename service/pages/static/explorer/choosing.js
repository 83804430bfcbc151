/** The chosen weight: by click, by the keyboard, or step by step down the backward pass. */

import { idOf } from "./drawing.js";
import { weightName } from "./names.js";
import { shown } from "./numbers.js";
import { isSame } from "./result.js";
import { Known } from "./steps.js";
import { ROWS } from "./table.js";

/** The weight that each key leads to. */
const WAYS = {
  ArrowUp: (result, weight) => beside(result, weight, -1),
  ArrowDown: (result, weight) => beside(result, weight, 1),
  ArrowLeft: (result, weight) => below(result, weight) ?? weight,
  ArrowRight: (result, weight) => (weight.layer === result.last ? weight : result.largest(weight.layer + 1, { from: weight.to })),
  Home: (result) => result.largest(0),
  End: (result) => result.largest(result.last),
};

/** The actions that choose. */
export function choosingOf(store) {
  const state = () => store.state;

  function choose(weight) {
    const { result, step, sample, whole } = state();
    const known = new Known(result.layers.length, step);
    const value = whole ? result.dE_dw(weight) : result.part(weight, sample);
    const told = known.gradient(weight.layer) ? `, gradient ${shown(value)}` : "";
    const page = Math.floor(result.weights.findIndex((each) => isSame(each, weight)) / ROWS);
    store.update({ chosen: weight, page, said: `${weightName(result.layers.length, weight)}${told}` });
    reveal(weight);
  }

  function walk(event) {
    if (event.key === "Enter") document.querySelector(".chosen input")?.focus();
    if (event.key === "Enter" || !WAYS[event.key]) return;
    event.preventDefault();
    choose(WAYS[event.key](state().result, state().chosen));
  }

  /** Go to a step. After the loss the lines show gradients instead of weights, and the choice moves down with the backward pass. */
  function step(to) {
    const { result, chosen } = state();
    const count = result.layers.length;
    const [before, known] = [new Known(count, state().step), new Known(count, to)];
    const turned = before.backward !== known.backward || known.step === 0;
    const follows = known.backward && !known.all && known.step > before.step;
    store.update({
      step: known.all ? Infinity : known.step,
      ...(turned ? { shows: known.backward ? "gradients" : "weights" } : {}),
      chosen: follows ? followed(result, chosen, known.layer) : chosen,
    });
    reveal(state().chosen);
  }

  return { choose, walk, step, chooseIfThere: (weight) => { if (state().result?.has(weight)) choose(weight); } };
}

/** Scroll a weight into view if the drawing is wider than its frame. */
export function reveal(weight) {
  const [scroller, element] = [document.getElementById("scroller"), document.getElementById(idOf(weight))];
  if (!element || !scroller || scroller.scrollWidth <= scroller.clientWidth) return;
  const [frame, box] = [scroller.getBoundingClientRect(), element.getBoundingClientRect()];
  scroller.scrollLeft += box.left + box.width / 2 + 40 - (frame.left + frame.width / 2);
}

/** The next or the last weight of the same layer. */
function beside(result, weight, way) {
  const all = [...result.weightsOf(weight.layer)];
  const index = all.findIndex((each) => isSame(each, weight));
  return all[(index + way + all.length) % all.length];
}

/** Of the weights that end at the unit where this one begins, the one with the largest derivative; null in the first layer. */
function below(result, { layer, from }) {
  return layer === 0 ? null : result.largest(layer - 1, from === null ? {} : { to: from });
}

/** The weight of a layer that is reached from the chosen one by repeated `below`. */
function followed(result, chosen, layer) {
  let weight = chosen;
  while (weight.layer > layer) weight = below(result, weight);
  return weight.layer < layer ? result.largest(layer) : weight;
}
