/** A person's own gradients, sent to be compared. */

import { isUnreadable, parse, pretty } from "./json.js";
import { Away, post, Problem } from "./service.js";

/** The actions that compare. */
export function comparingOf(store) {
  const state = () => store.state;
  const change = (check) => store.update({ check: { ...state().check, ...check } });

  async function compare() {
    const { request, check: { text }, key } = state();
    change({ pending: true, answer: null, problem: null });
    const { breakdown: _b, step: _s, verify: _v, encoding: _e, ...asked } = request;
    // Text that is no JSON goes as it is, so that the service says what is wrong with it.
    const body = isUnreadable(text) ? text : { ...asked, candidate: parse(text) };
    try {
      const answer = await post("/v1/gradient-checks", body, key);
      change({ answer, given: JSON.parse(text) });
    } catch (error) {
      if (error instanceof Problem) change({ problem: error });
      else if (error instanceof Away) store.update({ away: error.message });
      else throw error;
    } finally {
      change({ pending: false });
    }
  }

  /** The service's own gradients, to be changed. */
  function fillCandidate() {
    const layers = state().result.layers.map(({ dE_dw, dE_db }) => (dE_db === undefined ? { dE_dw } : { dE_dw, dE_db }));
    change({ text: pretty({ layers }), answer: null, problem: null });
  }

  return { compare, fillCandidate, candidate: (text) => change({ text }) };
}
