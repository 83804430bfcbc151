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

/** What is wrong at a path or in what it holds: a sentence each. `called` names the place by the rest of its way. */
export function complaintsWithin(state, path, called = inWords) {
  const found = complaints(state).filter(([place]) => startsWith(place, path));
  return found.map(([place, detail]) => (place.length === path.length ? detail : `${called(place.slice(path.length))}: ${detail}`));
}

/** A line for each, for beneath a field. */
export function complaintLines(state, path, id, called = inWords) {
  const found = complaintsWithin(state, path, called);
  return found.length ? html`<p class="complaint" id=${id} role="status">${found.map((line) => html`<span>${line}</span>`)}</p>` : nothing;
}

export const startsWith = (place, path) => path.every((step, index) => String(step) === place[index]);

/** A way in words; positions as people count them, from 1. */
const inWords = (way) => way.map((step) => (/^\d+$/.test(step) ? `no. ${Number(step) + 1}` : step.replaceAll("_", " "))).join(", ");
