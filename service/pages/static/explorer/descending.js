/** Gradient descent: the service takes the steps, the page keeps the losses. */

import { typed } from "./json.js";
import { layersOf } from "./network.js";
import { post } from "./service.js";

/** The actions that descend, by those that ask. */
export function descendingOf(store, { guarded, take }) {
  const state = () => store.state;

  async function descend(count) {
    const before = state().descent;
    const losses = [...before.losses];
    let { request } = state();
    const start = before.start ?? request;
    await guarded(async () => {
      store.update({ pending: true });
      for (let index = 0; index < count; index += 1) {
        const answer = await post("/v1/gradients", withStep(request, before.rate), state().key);
        if (losses.length === 0 || index > 0) losses.push(answer.loss); // that before the step
        request = stepped(request, answer.updated_network);
      }
      await take(request, { descent: { ...before, start, losses } });
      if (state().problem === null) store.update({ descent: { ...state().descent, losses: [...losses, state().result.loss] } });
    });
  }

  /** A new rate; a complaint of the old one is gone with it. */
  function rate(text) {
    const { problem, descent } = state();
    const complained = problem?.errors.some(({ pointer }) => pointer.startsWith("#/step"));
    store.update({ descent: { ...descent, rate: text }, problem: complained ? null : problem });
  }

  return { descend, rate, undoDescent: () => take(state().descent.start) };
}

/** The request, with a step to be taken and nothing else to be answered. */
function withStep(request, rate) {
  const { encoding: _encoding, verify: _verify, ...asked } = request;
  return { ...asked, breakdown: "none", step: { learning_rate: typed(rate) } };
}

/** A request with the weights and biases of another network; how they are written else stays the person's own. */
function stepped(request, { layers }) {
  const own = layersOf(request).map((layer, k) => ({ ...layer, weights: layers[k].weights, ...(layer.biases ? { biases: layers[k].biases } : {}) }));
  return { ...request, network: { ...request.network, layers: own } };
}
