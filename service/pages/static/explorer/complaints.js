/** The errors that the service reports, found by the field that their pointer names. */

import { html, nothing } from "./vendor/lit-html.js";
import { steps } from "./json.js";

/** The errors as [path, sentence, pointer]. */
export function complaints(state) {
  return (state.problem?.errors ?? []).map((error) => [steps(error.pointer), error.detail, error.pointer]);
}

/** The error of the value at exactly this path; null if there is none. */
export function complaintAt(state, path) {
  const found = complaints(state).find(([place]) => place.length === path.length && startsWith(place, path));
  return found ? found[1] : null;
}

/** A sentence for each error at a path or below it. `called` names the place by the rest of its path. */
export function complaintsWithin(state, path, called = inWords) {
  const found = complaints(state).filter(([place]) => startsWith(place, path));
  return found.map(([place, detail]) => (place.length === path.length ? detail : `${called(place.slice(path.length))}: ${detail}`));
}

/** The lines below a field, one for each error. */
export function complaintLines(state, path, id, called = inWords) {
  const found = complaintsWithin(state, path, called);
  return found.length ? html`<p class="complaint" id=${id} role="status">${found.map((line) => html`<span>${line}</span>`)}</p>` : nothing;
}

export const startsWith = (place, path) => path.every((step, index) => String(step) === place[index]);

/** A path in words; positions are counted from 1. */
const inWords = (way) => way.map((step) => (/^\d+$/.test(step) ? `no. ${Number(step) + 1}` : step.replaceAll("_", " "))).join(", ");
