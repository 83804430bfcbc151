/** The request, changed: what is typed into fields and into the JSON, layers, units, samples. */

import { PAUSE } from "./asking.js";
import { changed, isUnreadable, numberOf, parse, typed } from "./json.js";
import { at, LAYERS, layersOf, listOf, resized, row, samplesOf, unpacked, widthsOf, withLayer, withSamples } from "./network.js";

const NUDGE = 0.01; // that an arrow key in a value's field adds

/** The actions that edit, by those that ask. */
export function editingOf(store, { ask, take, load }) {
  const state = () => store.state;
  const request = () => state().request;

  /** A text that is typed at a path; or a value as a whole, which need not wait for further keys. */
  const edit = (path, value, whole = false) => take(changed(request(), path, whole ? value : typed(value)), {}, whole ? 0 : PAUSE);

  function nudge(event, path) {
    const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    const value = numberOf(at(request(), path));
    if (!way || Number.isNaN(value)) return;
    event.preventDefault();
    edit(path, String(Number((value + NUDGE * way).toPrecision(12))));
  }

  /** A list is kept as it is typed, too: "1, " must not lose its comma while the next number is on its way. */
  function editList(path, text, list) {
    const leaves = listOf(text);
    const value = list || leaves.length > 1 ? leaves : typed(text);
    take(changed(request(), path, value), { drafts: { [path.join("/")]: text } }, PAUSE);
  }

  function parameter(path, name, key, text, whole = false) {
    const spec = at(request(), path);
    const given = typeof spec === "object" && spec !== null ? spec : { name };
    edit(path, { ...given, name: given.name ?? name, [key]: whole ? text : typed(text) }, true);
  }

  /** JSON as it is being typed. What cannot be read goes to the service as it is, which says why. */
  function type(text) {
    const descent = { ...state().descent, losses: [], start: null };
    store.update({ text, example: "", ...(isUnreadable(text) ? {} : { request: unpacked(parse(text)), descent }) });
    ask();
  }

  function show(view) {
    const { text } = state();
    store.update({ view, text: view === "form" && text !== null && !isUnreadable(text) ? null : text });
  }

  const pick = (name) => load(state().examples.find((each) => each.name === name).request, name);

  return { edit, nudge, editList, parameter, type, show, pick, ...shapingOf(store, { take, edit }) };
}

/** The actions that change sizes. */
function shapingOf(store, { take, edit }) {
  const request = () => store.state.request;
  const samples = () => samplesOf(request());
  return {
    resize: (widths) => take(resized(request(), widths)),
    addLayer: (index, widths) => take(resized(withLayer(request(), index), widths)),
    removeLayer(k) {
      const layers = layersOf(request()).filter((_, index) => index !== k);
      take(resized(changed(request(), LAYERS, layers), widthsOf(request()).filter((_, index) => index !== k + 1)));
    },
    perUnit: (k, units) => edit([...LAYERS, k, "activation"], row(units, () => layersOf(request())[k].activation), true),
    addSample: () => take(withSamples(request(), [...samples(), samples().at(-1)])),
    removeSample: (s) => take(withSamples(request(), samples().filter((_, index) => index !== s))),
    opened(k, open) {
      const { opened } = store.state;
      if (opened.includes(k) !== open) store.update({ opened: open ? [...opened, k] : opened.filter((each) => each !== k) });
    },
    unfold: (open) => { if (store.state.unfolded !== open) store.update({ unfolded: open }); },
  };
}
