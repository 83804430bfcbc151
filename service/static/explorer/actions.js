/** What a person can do. Each changes the store; what is computed anew is asked of the service. */

import { curveAddress } from "./curves.js";
import { idOf } from "./drawing.js";
import { changed, numberOf, parse, pretty, textOf, typed } from "./json.js";
import { at, isObject, layersOf, listOf, nameOf, resized, row, samplesOf, unpacked, widthsOf, withSamples } from "./network.js";
import { weightName } from "./names.js";
import { shown } from "./numbers.js";
import { copy, download, NoClipboard } from "./out.js";
import { isSame, Result } from "./result.js";
import { Away, get, post, Problem } from "./service.js";
import { fragmentOf, requestIn } from "./share.js";
import { Known } from "./steps.js";
import { ROWS } from "./table.js";
import { toggle } from "./theme.js";

const PAUSE = 250; // milliseconds without a key until the service is asked
const NOTED = 4000; // milliseconds that a note is shown
const MOST_RECORDS = 2000; // weights times samples that are answered one by one
const LONG = 20_000; // weights of a network that no link holds, however well it is packed

/** All actions, over a store. */
export function actionsOf(store) {
  const state = () => store.state;
  const { update } = store;
  let waiting = 0; // the timer of a pause
  let noted = 0; // that of a note
  let asking = new AbortController();

  /** Ask the service for what the request says, after a pause in which nothing else is typed. */
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
    await guarded({ pending: false }, async () => {
      const answer = await post("/v1/gradients", posted, key, signal);
      received(posted, answer);
    });
  }

  /** Do what asks the service; say what goes wrong, but not that a request was taken back. */
  async function guarded(after, work) {
    try {
      await work();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error instanceof Problem) update({ ...after, problem: error, away: null });
      else if (error instanceof Away) update({ ...after, away: error.message });
      else throw error;
    }
  }

  function received(posted, answer) {
    const { activations, chosen, sample } = state();
    const result = new Result(posted, answer, new Map(activations.map((row_) => [row_.name, row_])));
    update({
      result, pending: false, problem: null, away: null,
      chosen: result.has(chosen) ? chosen : result.first(),
      sample: Math.min(sample, result.samples - 1),
      whole: result.many && state().whole,
    });
    queueMicrotask(() => reveal(state().chosen));
    fetchCurves(result);
    pack();
  }

  function fetchCurves(result) {
    if (Math.max(...result.widths.slice(1)) > 9) return; // matrices have no curves
    const addresses = new Set(result.layers.flatMap((_, k) => result.units(k).map((j) => curveAddress(result, k, j))));
    for (const address of addresses) {
      if (address === null || state().curves.has(address)) continue;
      guarded({}, async () => {
        const curve = await get(address, state().key);
        update({ curves: new Map(state().curves).set(address, curve) });
      });
    }
  }

  async function pack() {
    const { request } = state();
    const long = widthsOf(request).reduce((sum, units, k, all) => sum + units * (all[k + 1] ?? 0), 0) > LONG;
    const share = long ? null : await fragmentOf(request);
    if (state().request === request) update({ share });
  }

  /** Take a new request. What was typed before is forgotten, and what was descended, too. */
  function take(request, change = {}, pause = 0) {
    update({ request, text: null, example: "", refused: null, descent: { ...state().descent, losses: [], start: null }, ...change });
    return ask(pause);
  }

  function load(request, example = "") {
    const rate = textOf(request?.step?.learning_rate) || "0.5";
    return take(unpacked(request), { example, chosen: null, sample: 0, whole: false, page: 0, drafts: {}, opened: [], step: Infinity, shows: "gradients", descent: { rate, losses: [], start: null } });
  }

  function choose(weight) {
    const { result, step, sample, whole } = state();
    const known = new Known(result.layers.length, step);
    const value = whole ? result.dE_dw(weight) : result.part(weight, sample);
    const told = known.gradient(weight.layer) ? `, gradient ${shown(value)}` : "";
    const page = Math.floor(result.weights.findIndex((each) => isSame(each, weight)) / ROWS);
    update({ chosen: weight, page, said: `${weightName(result.layers.length, weight)}${told}` });
    reveal(weight);
  }

  /** Bring a weight into view, where the drawing is wider than its frame. */
  function reveal(weight) {
    const [scroller, element] = [document.getElementById("scroller"), document.getElementById(idOf(weight))];
    if (!element || !scroller || scroller.scrollWidth <= scroller.clientWidth) return;
    const [frame, box] = [scroller.getBoundingClientRect(), element.getBoundingClientRect()];
    scroller.scrollLeft += box.left + box.width / 2 + 40 - (frame.left + frame.width / 2);
  }

  function step(to) {
    const { result, chosen } = state();
    const count = result.layers.length;
    const known = new Known(count, to);
    const before = new Known(count, state().step);
    const turned = (before.step > count + 1) !== (known.step > count + 1);
    update({
      step: known.all ? Infinity : known.step,
      ...(turned || known.step === 0 ? { shows: known.step > count + 1 ? "gradients" : "weights" } : {}),
      chosen: known.number > 0 && !known.all && known.step > before.step ? follow(result, chosen, known.layer) : chosen,
    });
    reveal(state().chosen);
  }

  /** The way down: from the chosen weight to one that ends where it begins, until the layer is reached. */
  function follow(result, chosen, layer) {
    let weight = chosen;
    while (weight.layer > layer) weight = result.largest(weight.layer - 1, weight.from === null ? {} : { to: weight.from });
    return weight.layer < layer ? result.largest(layer) : weight;
  }

  const WAYS = {
    ArrowUp: (result, weight) => beside(result, weight, -1),
    ArrowDown: (result, weight) => beside(result, weight, 1),
    ArrowLeft: (result, weight) => (weight.layer === 0 ? weight : result.largest(weight.layer - 1, weight.from === null ? {} : { to: weight.from })),
    ArrowRight: (result, weight) => (weight.layer === result.last ? weight : result.largest(weight.layer + 1, { from: weight.to })),
    Home: (result) => result.largest(0),
    End: (result) => result.largest(result.last),
  };

  function beside(result, weight, way) {
    const all = [...result.weightsOf(weight.layer)];
    const index = all.findIndex((each) => isSame(each, weight));
    return all[(index + way + all.length) % all.length];
  }

  function walk(event) {
    if (event.key === "Enter") document.querySelector(".chosen input")?.focus();
    if (event.key === "Enter" || !WAYS[event.key]) return;
    event.preventDefault();
    choose(WAYS[event.key](state().result, state().chosen));
  }

  function edit(path, value, whole = false) {
    return take(changed(state().request, path, whole ? value : typed(value)), {}, whole ? 0 : PAUSE);
  }

  function nudge(event, path) {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const value = numberOf(at(state().request, path));
    if (!way || Number.isNaN(value)) return;
    event.preventDefault();
    edit(path, String(Number((value + 0.01 * way).toPrecision(12))));
  }

  function editList(path, text, list) {
    const leaves = listOf(text);
    const value = list || leaves.length > 1 ? leaves : typed(text);
    take(changed(state().request, path, value), { drafts: { [path.join("/")]: text } }, PAUSE);
  }

  function parameter(path, name, key, text, whole = false) {
    const spec = at(state().request, path);
    const given = typeof spec === "object" && spec !== null ? spec : { name };
    edit(path, { ...given, name: given.name ?? name, [key]: whole ? text : typed(text) }, true);
  }

  function type(text) {
    clearTimeout(waiting);
    if (isUnreadable(text)) update({ text, example: "" });
    else update({ text, request: unpacked(parse(text)), example: "", descent: { ...state().descent, losses: [], start: null } });
    ask();
  }

  function show(view) {
    const { text } = state();
    update({ view, text: view === "form" && text !== null && !isUnreadable(text) ? null : text });
  }

  async function descend(count) {
    const before = state().descent;
    const rate = typed(before.rate);
    const losses = [...before.losses];
    const start = before.start ?? state().request;
    let { request } = state();
    await guarded({ pending: false }, async () => {
      update({ pending: true });
      for (let index = 0; index < count; index += 1) {
        const { encoding: _encoding, verify: _verify, ...asked } = request;
        const answer = await post("/v1/gradients", { ...asked, breakdown: "none", step: { learning_rate: rate } }, state().key);
        if (losses.length === 0 || index > 0) losses.push(answer.loss);
        request = stepped(request, answer.updated_network);
      }
      await take(request, { descent: { ...before, start, losses } });
      if (state().problem === null) update({ descent: { ...state().descent, losses: [...losses, state().result.loss] } });
    });
  }

  const rate = (text) => {
    const { problem, descent } = state();
    update({ descent: { ...descent, rate: text }, problem: problem?.errors.some(({ pointer }) => pointer.startsWith("#/step")) ? null : problem });
  };

  async function compare() {
    const { request, check, key } = state();
    update({ check: { ...check, pending: true, answer: null, problem: null } });
    const { breakdown: _b, step: _s, verify: _v, encoding: _e, ...asked } = request;
    const own = isUnreadable(check.text) ? null : parse(check.text);
    try {
      // Text that is no JSON goes as it is, so that the service says what is wrong with it.
      const answer = await post("/v1/gradient-checks", own === null ? check.text : { ...asked, candidate: own }, key);
      update({ check: { ...state().check, pending: false, answer, given: JSON.parse(check.text) } });
    } catch (error) {
      if (error instanceof Problem) update({ check: { ...state().check, pending: false, problem: error } });
      else if (error instanceof Away) update({ check: { ...state().check, pending: false }, away: error.message });
      else throw error;
    }
  }

  const fillCandidate = () => {
    const layers = state().result.layers.map(({ dE_dw, dE_db }) => ({ dE_dw, dE_db }));
    update({ check: { ...state().check, text: pretty({ layers: layers.map(withoutEmpty) }), answer: null, problem: null } });
  };

  /** Say something, to be seen and heard, for a while. */
  function note(words) {
    clearTimeout(noted);
    update({ note: words });
    noted = setTimeout(() => update({ note: "" }), NOTED);
  }

  async function copyText(text, words) {
    try {
      await copy(text);
      note(words);
    } catch (error) {
      if (!(error instanceof DOMException || error instanceof NoClipboard)) throw error;
      note("The browser does not let the page copy. Select the text, and copy it yourself.");
    }
  }

  async function copyLink() {
    const fragment = await fragmentOf(state().request);
    if (fragment === null) note("The request is too long for a link.");
    else await copyText(location.origin + location.pathname + fragment, "The link is copied.");
  }

  const samples = () => samplesOf(state().request);

  async function start() {
    await guarded({}, async () => {
      const { key } = state();
      const [{ activations }, { losses }, { examples }, { limits }] = await Promise.all(
        ["/v1/activations", "/v1/losses", "/v1/examples", "/v1/limits"].map((path) => get(path, key)));
      update({ activations, losses, examples, limits: new Map(limits.map(({ name, value }) => [name, value])), problem: null, away: null });
      await begin(examples);
    });
  }

  /** With the request of the address, or else with the first example. */
  async function begin(examples) {
    let shared = null;
    try {
      shared = await requestIn(location.hash);
    } catch (error) {
      if (!(error instanceof SyntaxError || error instanceof TypeError || error instanceof DOMException)) throw error;
      note("The link is damaged: the request that it holds cannot be read.");
    }
    if (isObject(shared)) await load(shared);
    else await load(examples[0].request, examples[0].name);
  }

  return {
    update, choose, walk, step, edit, nudge, editList, parameter, type, show, descend, rate, compare, fillCandidate, load, start,
    chooseIfThere: (weight) => { if (state().result?.has(weight)) choose(weight); },
    pick: (name) => load(state().examples.find((each) => each.name === name).request, name),
    resize: (widths, inserted) => take(resized(inserted === undefined ? state().request : withLayer(state().request, inserted), widths)),
    removeLayer: (k) => {
      const widths = widthsOf(state().request);
      const layers = layersOf(state().request).filter((_, index) => index !== k);
      take(resized({ ...state().request, network: { ...state().request.network, layers } }, widths.filter((_, index) => index !== k + 1)));
    },
    perUnit: (k, units) => edit(["network", "layers", k, "activation"], row(units, () => layersOf(state().request)[k].activation), true),
    opened: (k, open) => { if (state().opened.includes(k) !== open) update({ opened: open ? [...state().opened, k] : state().opened.filter((each) => each !== k) }); },
    unfold: (open) => { if (state().unfolded !== open) update({ unfolded: open }); },
    addSample: () => take(withSamples(state().request, [...samples(), structuredCloneOf(samples().at(-1))])),
    removeSample: (s) => take(withSamples(state().request, samples().filter((_, index) => index !== s))),
    undoDescent: () => take(state().descent.start),
    candidate: (text) => update({ check: { ...state().check, text } }),
    open: (tab) => update({ tab }),
    retry: () => (state().activations.length ? ask(0) : start()),
    useKey: (key) => { update({ key }); start(); },
    toggleTheme: () => { toggle(); update({}); },
    copy: copyText,
    copyLink,
    downloadAnswer: () => download("gradients.json", JSON.stringify(state().result.answer, null, 1)),
    downloadRequest: () => download("request.json", pretty(state().request)),
  };
}

const structuredCloneOf = ({ input, target }) => ({ input: [...input], target: Array.isArray(target) ? [...target] : target });

/** A request with the weights and biases of another network; how they are written else stays the person's own. */
function stepped(request, { layers }) {
  const own = layersOf(request).map((layer, k) => ({ ...layer, weights: layers[k].weights, ...(layer.biases ? { biases: layers[k].biases } : {}) }));
  return { ...request, network: { ...request.network, layers: own } };
}

const withoutEmpty = (layer) => Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined));

function isUnreadable(text) {
  try {
    return !isObject(parse(text));
  } catch (error) {
    if (error instanceof SyntaxError) return true;
    throw error;
  }
}

/** The request as it is posted: with factors, in JSON, and one by one only where there are few. */
function withBreakdown(request) {
  const widths = widthsOf(request);
  const weights = widths.slice(1).reduce((sum, units, k) => sum + units * widths[k], 0) * samplesOf(request).length;
  const asked = { ...request };
  if (asked.breakdown === "none" || (asked.breakdown === undefined && weights > MOST_RECORDS)) asked.breakdown = "per_unit";
  if (asked.encoding === "base64") delete asked.encoding;
  return asked;
}

/** A request with one more hidden layer, of which nothing is set yet but its activation. */
function withLayer(request, index) {
  const layers = layersOf(request);
  const like = nameOf(layers[Math.max(0, index - 1)]?.activation) ?? "tanh";
  const fresh = { activation: layers.length > 1 ? like : "tanh", weights: [], biases: [] };
  return { ...request, network: { ...request.network, layers: [...layers.slice(0, index), fresh, ...layers.slice(index)] } };
}
