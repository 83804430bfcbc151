/** The one store: what the page knows. Everything drawn follows from it, and it changes in `update` alone. */

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

/** What the page knows before anything has been asked. */
export const INITIAL = {
  request: null, // the document as it stands in the form
  text: null, // the JSON as it is being typed, where that is the view
  result: null, // the last good answer, see result.js
  problem: null, // why the newest request has none
  away: null, // a sentence, where the service could not be asked
  pending: false,
  key: "", // an API key, for this visit alone
  examples: [],
  example: "", // the name of the one that was picked
  activations: [],
  losses: [],
  curves: new Map(), // address to curve
  chosen: null, // {layer, from, to}
  sample: 0,
  whole: false, // the gradient of the whole batch, or the part of one sample
  step: Infinity, // how far the passes have come
  shows: "gradients", // or "weights"
  view: "form", // or "json"
  tab: "table", // or "request", "response", "check"
  language: "curl", // or "python", "javascript"
  page: 0, // of the table
  descent: { rate: "0.5", losses: [], start: null },
  check: { text: "", answer: null, problem: null, pending: false },
  drafts: {}, // lists as they are being typed, by path
  opened: [], // the layers whose weights are open in the form
  unfolded: false, // whether the form is, where it is folded on a narrow page
  wide: true, // whether the page is
  refused: null, // a size that was typed and is none: {column, words}
  note: "", // what is shown for a while: that something was copied, say
  said: "", // for who listens: what has just happened
  share: null, // the address that holds the request, once asked for
  width: 960, // of the drawing, in pixels
};
