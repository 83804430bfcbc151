/** Gradient descent, a step at a time, and the losses on the way. The service takes the steps. */

import { html, nothing, svg } from "./vendor/lit-html.js";
import { complaintLines } from "./complaints.js";
import { full, shown } from "./numbers.js";

const [WIDTH, HEIGHT] = [140, 40];

/** The panel. */
export function descent(state, act) {
  const { rate, losses } = state.descent;
  return html`
    <section class="card descent" aria-label="Gradient descent">
      <h2>Gradient descent</h2>
      <label class="inline">rate <input class="number" inputmode="text" autocomplete="off" .value=${rate} @input=${(event) => act.rate(event.target.value)}></label>
      <button class="primary" ?disabled=${!state.result || state.pending} @click=${() => act.descend(1)}>one step</button>
      <button ?disabled=${!state.result || state.pending} @click=${() => act.descend(10)}>ten steps</button>
      ${losses.length > 1 ? html`
        <span class="losses">${curve(losses)}</span>
        <span class="hint">E <span title=${full(losses[0])}>${shown(losses[0])}</span> → <strong title=${full(losses.at(-1))}>${shown(losses.at(-1))}</strong> after ${losses.length - 1} ${losses.length === 2 ? "step" : "steps"}</span>
        <button @click=${act.undoDescent}>start again</button>` : html`<span class="hint">each weight moves against its gradient: w − rate · ∂E/∂w</span>`}
      ${complaintLines(state, ["step", "learning_rate"], "rate-complaint")}
    </section>`;
}

function curve(losses) {
  const [low, high] = [Math.min(0, ...losses), Math.max(...losses)];
  const x = (index) => 4 + (index * (WIDTH - 8)) / Math.max(1, losses.length - 1);
  const y = (loss) => 4 + ((high - loss) / (high - low || 1)) * (HEIGHT - 8);
  return html`<svg width=${WIDTH} height=${HEIGHT} viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="The loss after each step">
    <line class="axis" x1="4" x2=${WIDTH - 4} y1=${y(0)} y2=${y(0)}></line>
    <polyline points=${losses.map((loss, index) => `${x(index)},${y(loss)}`).join(" ")}></polyline>
    ${losses.length <= 30 ? losses.map((loss, index) => svg`<circle cx=${x(index)} cy=${y(loss)} r="2"></circle>`) : nothing}
    <circle class="last" cx=${x(losses.length - 1)} cy=${y(losses.at(-1))} r="3.5"></circle>
  </svg>`;
}
