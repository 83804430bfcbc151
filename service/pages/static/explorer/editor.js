/** The request as JSON, with each complaint of the service and the place it is about. */

import { html, nothing } from "./vendor/lit-html.js";
import { locate, pretty } from "./json.js";

const LONGEST = 400_000; // characters; beyond, a field of text is too slow to type in

/** The view. The text is the person's own, as long as it is being typed. */
export function editor(state, act) {
  const text = state.text ?? pretty(state.request);
  if (text.length > LONGEST) return html`<p class="hint">${(text.length / 1e6).toFixed(1)} million characters: too long to be edited here. Download the request, change it, and post it.</p>`;
  return html`
    <div class="editor">
      <label class="unseen" for="json">The request as JSON</label>
      <textarea id="json" spellcheck="false" autocomplete="off" autocapitalize="off" wrap="off" .value=${text}
        aria-invalid=${state.problem ? "true" : "false"} aria-describedby="json-complaints" @input=${(event) => act.type(event.target.value)}></textarea>
      <div id="json-complaints" role="status">${complaintsOf(state, text)}</div>
    </div>`;
}

function complaintsOf(state, text) {
  const { problem } = state;
  if (!problem) return nothing;
  const malformed = /^line (\d+), column (\d+)/.exec(problem.document.detail ?? "");
  if (malformed) return html`<p class="complaint">${place(() => placeOf(text, Number(malformed[1]), Number(malformed[2])), problem.document.detail)}</p>`;
  if (!problem.errors.length) return html`<p class="complaint">${problem.document.detail}</p>`;
  return html`<ul class="complaints">${problem.errors.map((error) => {
    const range = rangeOf(text, error.pointer);
    return html`<li class="complaint">${place(() => range, `${lineOf(text, range)}${error.pointer}`)} <span>${error.detail}</span></li>`;
  })}</ul>`;
}

/** A button that goes to the place. */
const place = (range, words) => html`<button class="link" @click=${() => select(range())}>${words}</button>`;

function select(range) {
  const field = document.getElementById("json");
  if (range === null) return;
  field.focus();
  field.setSelectionRange(...range);
  const line = field.value.slice(0, range[0]).split("\n").length;
  field.scrollTop = (line - 4) * parseFloat(getComputedStyle(field).lineHeight);
}

function placeOf(text, line, column) {
  const start = text.split("\n").slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
  return [start, start + 1];
}

/** Where a pointer leads; the nearest place above it where there is nothing, as for a field that is missing. */
function rangeOf(text, pointer) {
  try {
    JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
  for (let part = pointer; ; part = part.slice(0, part.lastIndexOf("/"))) {
    const range = locate(text, part);
    if (range !== null || !part.includes("/")) return range;
  }
}

const lineOf = (text, range) => (range === null ? "" : `line ${text.slice(0, range[0]).split("\n").length}: `);
