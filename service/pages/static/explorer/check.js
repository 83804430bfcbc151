/** A person's own gradients, held against the service's: where they differ, and which known mistake makes just these. */

import { html, nothing } from "./vendor/lit-html.js";
import { layerName, weightName } from "./names.js";
import { full, shown } from "./numbers.js";

const MOST_ROWS = 400; // weights that are compared one by one on the page

/** The tab. */
export function check(state, act) {
  const { text, pending } = state.check;
  return html`
    <div class="check">
      <p>Paste the gradients that your own program computes for this request. They are compared, and where they differ, the mistakes that
        make just these numbers are named.</p>
      <label for="candidate">Your gradients, as JSON</label>
      <textarea id="candidate" spellcheck="false" autocomplete="off" .value=${text} placeholder=${'{"layers": [{"dE_dw": [[0.1, -0.2]], "dE_db": [0.1, 0.3]}]}'}
        @input=${(event) => act.candidate(event.target.value)}></textarea>
      <p class="buttons">
        <button class="primary" ?disabled=${pending || !text.trim()} @click=${act.compare}>Compare</button>
        <button ?disabled=${!state.result} @click=${act.fillCandidate}>Begin with the right ones</button>
      </p>
      <div role="status">${verdict(state, act)}</div>
    </div>`;
}

function verdict(state, act) {
  const { answer, problem, pending } = state.check;
  if (pending) return html`<p class="hint">Comparing …</p>`;
  if (problem?.status === 404) return html`<p class="notice">This service does not offer the comparison.</p>`;
  if (problem) return html`<ul class="complaints">${(problem.errors.length ? problem.errors : [{ pointer: "", detail: problem.message }]).map((error) => html`<li class="complaint"><code>${error.pointer}</code> ${error.detail}</li>`)}</ul>`;
  if (!answer) return nothing;
  return html`
    <p class="verdict ${answer.agrees ? "good" : "bad"}">${answer.agrees ? "✓ Your gradients agree." : "✗ Your gradients differ."}</p>
    ${answer.verdict ? html`<p>${answer.verdict}</p>` : nothing}
    ${Number.isInteger(answer.first_wrong_layer) ? html`<p>Seen from the output, the mistake enters in ${answer.first_wrong_layer === answer.layers.length - 1 ? "the " : ""}${layerName(answer.layers.length, answer.first_wrong_layer)}.</p>` : nothing}
    ${diagnoses(answer)}
    ${comparison(state, act)}
    ${blindness(answer, act)}`;
}

function diagnoses({ agrees, diagnoses: found }) {
  if (agrees) return nothing;
  if (!found?.length) return html`<p>No known mistake makes these numbers.</p>`;
  return html`<h3>What makes these numbers</h3><ol class="diagnoses">${found.map(({ cause, detail, residual }) => html`
    <li><strong>${words(cause)}</strong><p>${detail}</p><p class="hint">replayed, it leaves a difference of ${shown(residual)}</p></li>`)}</ol>`;
}

/** Weight by weight, theirs beside the service's; whether they agree is the service's word. */
function comparison(state, act) {
  const { result, check: { answer, given } } = state;
  const rows = result.weights.slice(0, MOST_ROWS).map((weight) => {
    const part = weight.from === null ? "dE_db" : "dE_dw";
    const verdict = answer.layers[weight.layer]?.[part];
    return { weight, own: elementOf(result, given?.layers?.[weight.layer]?.[part], weight), agrees: verdict?.elements ? elementOf(result, verdict.elements, weight) : verdict?.agrees };
  }).filter(({ own }) => own !== undefined);
  return html`
    <div class="scroll"><table class="gradients">
      <thead><tr><th scope="col">weight</th><th scope="col" class="right">yours</th><th scope="col" class="right">the service's</th><td></td></tr></thead>
      <tbody>${rows.map(({ weight, own, agrees }) => html`
        <tr class=${agrees === false ? "differs" : ""} @click=${() => act.choose(weight)}>
          <th scope="row"><button class="link">${weightName(result.layers.length, weight)}</button></th>
          <td class="right" title=${full(own)}>${typeof own === "number" ? shown(own) : String(own)}</td>
          <td class="right" title=${full(result.dE_dw(weight))}>${shown(result.dE_dw(weight))}</td>
          <td>${agrees === undefined ? "" : agrees ? "✓ agrees" : "✗ differs"}</td>
        </tr>`)}</tbody>
    </table></div>`;
}

/** The element of a matrix, or of a list of biases, that belongs to a weight. */
function elementOf(result, array, { from, to }) {
  if (from === null) return array?.[to];
  return result.transposed ? array?.[to]?.[from] : array?.[from]?.[to];
}

function blindness({ blind_to: blind, better_probe: probe }, act) {
  if (!blind?.length) return nothing;
  return html`
    <h3>What this request cannot reveal</h3>
    <ul>${blind.map((each) => html`<li>${typeof each === "string" ? words(each) : html`<strong>${words(each.cause)}</strong> ${each.detail ?? ""}`}</li>`)}</ul>
    ${probe ? html`<button @click=${() => act.load(probe.request ?? probe)}>Take a request that reveals more</button>` : nothing}`;
}

const words = (cause) => String(cause).replaceAll("_", " ");
