/** The store: the state of the page. The page is rendered from it, and only `update` changes it. */

/** @returns {{state: object, update: (change: object) => void, watch: (see: (state: object) => void) => void}} */
export function storeOf(initial) {
  const watchers = [];
  const store = {
    state: initial,
    update(change) {
      store.state = { ...store.state, ...change };
      for (const see of watchers) see(store.state);
    },
    watch(see) {
      watchers.push(see);
    },
  };
  return store;
}

/** The state before the first request. */
export const INITIAL = {
  request: null, // the document as it stands in the form
  text: null, // the JSON as it is being typed, in the JSON view
  result: null, // the last good answer, see result.js
  problem: null, // why the newest request has no result
  away: null, // a sentence, if the service could not be reached
  pending: false,
  key: "", // an API key, until the page is closed
  examples: [],
  example: "", // the name of the one that was picked
  activations: [],
  losses: [],
  curves: new Map(), // address to curve
  chosen: null, // {layer, from, to}
  sample: 0,
  whole: false, // the gradient of the whole batch, or the part of one sample
  step: Infinity, // the current step of the two passes
  shows: "gradients", // or "weights"
  view: "form", // or "json"
  tab: "table", // or "request", "response", "check"
  language: "curl", // or "python", "javascript"
  page: 0, // of the table
  descent: { rate: "0.5", losses: [], start: null },
  check: { text: "", answer: null, problem: null, pending: false },
  drafts: {}, // lists as they are being typed, by path
  opened: [], // the layers whose weights are open in the form
  unfolded: false, // whether the form is unfolded on a narrow page
  wide: true, // whether the page is wide
  refused: null, // an invalid size that was typed: {column, words}
  note: "", // a message shown for a while, such as that something was copied
  said: "", // what has just happened, for screen readers
  share: null, // the address that holds the request, once asked for
  width: 960, // of the drawing, in pixels
};
