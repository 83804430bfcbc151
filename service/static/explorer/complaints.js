/** What the service complains of, found by the field that its pointer names. */

import { html, nothing } from "./vendor/lit-html.js";
import { steps } from "./json.js";

/** The complaints as [path, sentence]. */
export function complaints(state) {
  return (state.problem?.errors ?? []).map((error) => [steps(error.pointer), error.detail, error.pointer]);
}

/** What is wrong with the value at a path itself; null where nothing is. */
export function complaintAt(state, path) {
  const found = complaints(state).find(([place]) => place.length === path.length && startsWith(place, path));
  return found ? found[1] : null;
}

/** What is wrong at a path or in what it holds, or null; told with the rest of the way. */
export function complaintsWithin(state, path) {
  const found = complaints(state).filter(([place]) => startsWith(place, path));
  return found.map(([place, detail]) => (place.length === path.length ? detail : `${place.slice(path.length).map(asWord).join(" ")}: ${detail}`));
}

/** A line for each, for beneath a field. */
export function complaintLines(state, path, id) {
  const found = complaintsWithin(state, path);
  return found.length ? html`<p class="complaint" id=${id} role="status">${found.map((line) => html`<span>${line}</span>`)}</p>` : nothing;
}

export const startsWith = (place, path) => path.every((step, index) => String(step) === place[index]);

/** A step as people count: positions from 1. */
const asWord = (step) => (/^\d+$/.test(step) ? `no. ${Number(step) + 1},` : step.replaceAll("_", " "));
