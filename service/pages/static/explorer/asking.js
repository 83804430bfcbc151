/** What is asked of the service, when, and what becomes of the answers. */

import { reveal } from "./choosing.js";
import { curveAddress } from "./curves.js";
import { isUnreadable, textOf } from "./json.js";
import { MOST_UNITS } from "./layout.js";
import { isObject, samplesOf, unpacked, weightsIn } from "./network.js";
import { Result } from "./result.js";
import { Away, get, post, Problem } from "./service.js";
import { fragmentOf, requestIn } from "./share.js";

export const PAUSE = 250; // milliseconds without a key until the service is asked
const MOST_RECORDS = 2000; // weights times samples that are answered one by one
const LONG = 20_000; // weights of a network that no link holds, however well it is packed
const CATALOGUE = ["/v1/activations", "/v1/losses", "/v1/examples"];

/** The actions that ask; `note` says something for a while. */
export function askingOf(store, note) {
  const state = () => store.state;
  const { update } = store;
  let waiting = 0; // the timer of a pause
  let asking = new AbortController();

  /** Ask for what the request says, after a pause in which nothing else is typed. What was asked before is taken back. */
  function ask(pause = PAUSE) {
    clearTimeout(waiting);
    asking.abort();
    asking = new AbortController();
    update({ pending: true });
    const { signal } = asking;
    return new Promise((done) => { waiting = setTimeout(() => compute(signal).then(done), pause); });
  }

  async function compute(signal) {
    const { request, text, key } = state();
    const posted = text !== null && isUnreadable(text) ? text : withBreakdown(request);
    await guarded(async () => received(store, posted, await post("/v1/gradients", posted, key, signal)));
  }

  /** Do what asks the service; say what goes wrong, but not that a request was taken back. */
  async function guarded(work) {
    try {
      await work();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error instanceof Problem) update({ pending: false, problem: error, away: null });
      else if (error instanceof Away) update({ pending: false, away: error.message });
      else throw error;
    }
  }

  /** Take a new request. What was typed before is forgotten, and what was descended, too. */
  function take(request, change = {}, pause = 0) {
    update({ request, text: null, example: "", refused: null, descent: { ...state().descent, losses: [], start: null }, ...change });
    return ask(pause);
  }

  /** Take a request that has nothing to do with the one before. */
  function load(request, example = "") {
    const descent = { rate: textOf(request?.step?.learning_rate) || "0.5", losses: [], start: null };
    const view = { chosen: null, sample: 0, whole: false, page: 0, step: Infinity, shows: "gradients" };
    return take(unpacked(request), { ...view, example, descent, drafts: {}, opened: [] });
  }

  /** Read the catalogue, then begin with the request of the address, or else with the first example. */
  async function start() {
    await guarded(async () => {
      const [{ activations }, { losses }, { examples }] = await Promise.all(CATALOGUE.map((path) => get(path, state().key)));
      update({ activations, losses, examples, problem: null, away: null });
      const shared = await sharedRequest(note);
      await (shared === null ? load(examples[0].request, examples[0].name) : load(shared));
    });
  }

  return {
    ask, guarded, take, load, start,
    retry: () => (state().activations.length ? ask(0) : start()),
    useKey: (key) => { update({ key }); start(); },
  };
}

/** An answer is there: what was chosen stays chosen, where the network still has it. */
function received(store, posted, answer) {
  const { activations, chosen, sample, whole } = store.state;
  const result = new Result(posted, answer, new Map(activations.map((row) => [row.name, row])));
  store.update({
    result, pending: false, problem: null, away: null,
    chosen: result.has(chosen) ? chosen : result.first(),
    sample: Math.min(sample, result.samples - 1),
    whole: result.many && whole,
  });
  queueMicrotask(() => reveal(store.state.chosen)); // once it is drawn
  fetchCurves(store, result);
  pack(store);
}

function fetchCurves(store, result) {
  if (Math.max(...result.widths) > MOST_UNITS) return; // matrices have no curves
  const addresses = new Set(result.layers.flatMap((_, k) => result.units(k).map((j) => curveAddress(result, k, j))));
  for (const address of addresses) if (address !== null && !store.state.curves.has(address)) fetchCurve(store, address);
}

/** A unit is drawn without its curve where the service has none, or is away: the numbers do not need it. */
async function fetchCurve(store, address) {
  let curve = null;
  try {
    curve = await get(address, store.state.key);
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Away)) throw error;
  }
  if (curve !== null) store.update({ curves: new Map(store.state.curves).set(address, curve) });
}

/** Find out whether the request fits into a link. */
async function pack(store) {
  const { request } = store.state;
  const share = weightsIn(request) > LONG ? null : await fragmentOf(request);
  if (store.state.request === request) store.update({ share });
}

/** The request that the page's address holds; null where it holds none. */
async function sharedRequest(note) {
  try {
    const shared = await requestIn(location.hash);
    return isObject(shared) ? shared : null;
  } catch (error) {
    if (!(error instanceof SyntaxError || error instanceof TypeError || error instanceof DOMException)) throw error;
    note("The link is damaged: the request that it holds cannot be read.");
    return null;
  }
}

/** The request as it is posted: with factors, in JSON, and weight by weight only where there are few. */
function withBreakdown(request) {
  const records = weightsIn(request) * samplesOf(request).length;
  const asked = { ...request };
  if (asked.breakdown === "none" || (asked.breakdown === undefined && records > MOST_RECORDS)) asked.breakdown = "per_unit";
  if (asked.encoding === "base64") delete asked.encoding;
  return asked;
}
