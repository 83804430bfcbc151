/** The whole page, drawn from the state. */

import { html, nothing } from "./vendor/lit-html.js";
import { check } from "./check.js";
import { complaints, startsWith } from "./complaints.js";
import { descent } from "./descent.js";
import { drawing } from "./drawing.js";
import { editor } from "./editor.js";
import { factors } from "./factors.js";
import { form } from "./form.js";
import { pretty } from "./json.js";
import { REASONS, styleOf } from "./layout.js";
import { matrices } from "./matrix.js";
import { layerName } from "./names.js";
import { full, power, shown } from "./numbers.js";
import { LONGEST } from "./share.js";
import { isLong, LANGUAGES } from "./snippets.js";
import { Known } from "./steps.js";
import { table } from "./table.js";
import { tabs } from "./tabs.js";
import { theme } from "./theme.js";

const MOST_SHOWN = 4000; // weights times samples of an answer that is shown as text
const STRIP_FROM = 4; // layers from which the largest gradient of each is shown beside the others

/** The page. */
export function page(state, act) {
  const known = state.result ? new Known(state.result.layers.length, state.step) : null;
  return html`
    <a class="skip" href="#drawing">Skip to the drawing</a>
    ${header(act)}
    <div class="columns">
      <aside aria-label="The request">${request(state, act)}</aside>
      <main>
        ${banner(state, act)}
        ${state.result ? html`
          <div class="result ${state.pending || state.problem || state.away ? "stale" : ""}" aria-busy=${state.pending ? "true" : "false"}>
            ${picture(state, act, known)}
            ${factors(state, act, known)}
            ${descent(state, act)}
            ${details(state, act, known)}
          </div>` : html`<section class="card empty"><p>${state.away || state.problem ? "There is no result yet." : "Asking the service …"}</p></section>`}
      </main>
    </div>
    <div class="unseen" role="status" aria-live="polite">${state.said}</div>
    <div class="note ${state.note ? "shown" : ""}" role="status">${state.note}</div>`;
}

function header(act) {
  const next = theme() === "dark" ? "Light" : "Dark";
  return html`
    <header class="top">
      <h1>Chainrule</h1><p>every gradient, factor by factor</p>
      <nav aria-label="Service"><a href="/docs">API</a><a href="/openapi.json">OpenAPI</a><button @click=${act.toggleTheme} aria-label="${next} colours">${next}</button></nav>
    </header>`;
}

function banner(state, act) {
  if (state.problem?.status === 401) {
    return html`<div class="banner" role="alert"><p>This service asks for an API key. It is kept for this visit alone.</p>
      <form @submit=${(event) => { event.preventDefault(); act.useKey(event.target.elements.key.value); }}>
        <label class="inline">API key <input name="key" type="password" autocomplete="off"></label><button>Use it</button></form></div>`;
  }
  if (!state.away) return nothing;
  return html`<div class="banner" role="alert"><p>${state.away} ${state.result ? "What you see is the last result." : ""}</p><button @click=${act.retry}>Try again</button></div>`;
}

function request(state, act) {
  const { examples, example, view } = state;
  return html`
    <section class="card request">
      <label><span class="label">Example</span>
        <select id="example" @change=${(event) => act.pick(event.target.value)}>
          ${example ? nothing : html`<option value="" .selected=${true}>your own</option>`}
          ${examples.map((each) => html`<option value=${each.name} .selected=${each.name === example}>${words(each.name)}</option>`)}
        </select>
      </label>
      ${example ? html`<p class="hint">${examples.find((each) => each.name === example)?.title}</p>` : nothing}
      <details class="folding" ?open=${state.wide || state.unfolded || state.problem !== null} @toggle=${(event) => act.unfold(event.target.open)}>
        <summary>Network and data</summary>
        ${tabs("view", [["form", "Form"], ["json", "JSON"]], view, act.show, state.request === null ? nothing : view === "json" ? editor(state, act) : html`${unplaced(state)}${form(state, act)}`)}
      </details>
    </section>`;
}

const words = (name) => name[0].toUpperCase() + name.slice(1).replaceAll("-", " ");

/** Complaints that no field of the form is the place of. */
function unplaced(state) {
  const { problem } = state;
  if (!problem || problem.status === 401) return nothing;
  if (!problem.errors.length) return html`<p class="complaint" role="alert">${problem.document.detail}</p>`;
  const layer = (place) => startsWith(place, ["network", "layers"]) && ["activation", "weights", "biases"].includes(place[3]) && state.request?.network?.layers?.[place[2]];
  const left = complaints(state).filter(([place]) => !(layer(place) || ["inputs", "targets", "loss"].includes(place[0]) || startsWith(place, ["step", "learning_rate"])));
  return left.length ? html`<ul class="complaints" role="alert">${left.map(([, detail, pointer]) => html`<li class="complaint"><code>${pointer}</code> ${detail}</li>`)}</ul>` : nothing;
}

function picture(state, act, known) {
  const style = styleOf(state.result.widths);
  const lines = style === "roomy" || style === "close";
  return html`
    <section class="card picture" aria-label="The network">
      ${stepBar(state, act, known)}
      <div class="scroller" id="scroller">${lines ? drawing(state, act, known) : matrices(state, act, known, style === "binned")}</div>
      ${state.result.layers.length >= STRIP_FROM ? strip(state, known) : nothing}
      ${legend(state, lines)}
      ${REASONS[style] ? html`<p class="hint">${REASONS[style]}</p>` : nothing}
      ${warnings(state, known)}
    </section>`;
}

function stepBar(state, act, known) {
  const button = (label, to, icon, off) => html`<button aria-label=${label} title=${label} ?disabled=${off} @click=${() => act.step(to)}><svg width="14" height="14" viewBox="0 0 14 14" aria-hidden="true"><path d=${icon}></path></svg></button>`;
  return html`
    <div class="bar">
      <div class="steps" role="group" aria-label="Steps of the two passes">
        ${button("To the beginning", 0, "M2 2h2v10h-2zM12 2v10l-7-5z", known.step === 0)}
        ${button("One step back", known.step - 1, "M11 2v10l-7-5z", known.step === 0)}
        ${button("One step on", known.step + 1, "M3 2v10l7-5z", known.all)}
        ${button("To the end", known.count, "M2 2v10l7-5zM10 2h2v10h-2z", known.all)}
      </div>
      <p class="sentence" role="status"><span class="count">${known.step}/${known.count}</span> ${known.sentence}</p>
      <div class="switch" role="group" aria-label="What the lines show">
        ${["weights", "gradients"].map((each) => html`<button aria-pressed=${state.shows === each ? "true" : "false"} @click=${() => act.update({ shows: each })}>${each}</button>`)}
      </div>
    </div>`;
}

function legend({ shows, result }, lines) {
  const noun = shows === "weights" ? "weight" : "gradient";
  const sample = (kind) => html`<span class=${kind}>${lines
    ? html`<svg width="34" height="8" viewBox="0 0 34 8" aria-hidden="true"><path class="line" d="M1 4H33" stroke-width="3.5"></path></svg>`
    : html`<svg width="13" height="13" viewBox="0 0 13 13" aria-hidden="true"><rect class="cell" width="13" height="13" rx="2"></rect>${kind === "negative" ? html`<svg><path class="minus" d="M4 6.5h5"></path></svg>` : nothing}</svg>`}
    </span>`;
  return html`<p class="legend">
    ${sample("positive")} positive ${noun} ${sample("negative")} negative ${noun} ${sample("zero")} zero
    <span class="right">${lines ? "thicker" : "stronger colour"} = larger, one scale for ${result.layers.length > 1 ? "all layers" : "all weights"}</span></p>`;
}

/** The largest gradient of each layer, side by side on a scale of powers of ten: how gradients vanish or explode. */
function strip({ result }, known) {
  const largest = result.layers.map((_, layer) => (known.gradient(layer) ? Math.max(...result.weights.filter((w) => w.layer === layer).map((w) => Math.abs(result.dE_dw(w)))) : null));
  const seen = largest.filter((value) => value).map(Math.log10);
  const [low, high] = [Math.floor(Math.min(...seen)) , Math.ceil(Math.max(...seen))];
  const share = (value) => (high > low ? Math.max(0.02, (Math.log10(value) - low) / (high - low)) : 1);
  return html`<div class="layers">
    <p class="hint">Largest gradient in each layer${seen.length ? `, on a scale of powers of ten from ${power(low)} to ${power(high)}` : ""}</p>
    <ol>${largest.map((value, layer) => html`<li><span>${layerName(result.layers.length, layer)}</span>
      <svg width="100%" height="8" preserveAspectRatio="none" viewBox="0 0 100 8" aria-hidden="true"><rect class="ground" width="100" height="8"></rect>${value ? html`<svg><rect width=${100 * share(value)} height="8"></rect></svg>` : nothing}</svg>
      <strong title=${value === null ? "not known yet" : full(value)}>${value === null ? "…" : shown(value, 2)}</strong></li>`)}</ol></div>`;
}

function warnings({ result }, known) {
  return known.all && result.answer.warnings.length
    ? html`<ul class="warnings">${result.answer.warnings.map((warning) => html`<li>${warning.detail}</li>`)}</ul>` : nothing;
}

function details(state, act, known) {
  const panels = { table: () => table(state, act, known), request: () => code(state, act), response: () => response(state, known), check: () => check(state, act) };
  const names = [["table", "Every gradient"], ["request", "Request"], ["response", "Response"], ["check", "Check your own"]];
  return html`
    <section class="card details" aria-label="Details">
      <div class="actions">
        <button @click=${act.downloadAnswer}>Download response</button>
        <button ?disabled=${state.share === null} title=${state.share === null ? `A link holds up to ${LONGEST.toLocaleString("en")} characters; this request is longer` : "A link that holds the request"} @click=${act.copyLink}>Copy link</button>
      </div>
      ${tabs("tab", names, state.tab, act.open, panels[state.tab]())}
    </section>`;
}

function code(state, act) {
  const { language, result } = state;
  const text = LANGUAGES[language].write(result.request, `${location.origin}/v1/gradients`);
  return html`
    <div class="bar"><div class="switch" role="group" aria-label="Language">
      ${Object.entries(LANGUAGES).map(([name, { title }]) => html`<button aria-pressed=${name === language ? "true" : "false"} @click=${() => act.update({ language: name })}>${title}</button>`)}</div>
      ${isLong(result.request) ? html`<button @click=${act.downloadRequest}>Download request.json</button>` : nothing}
      <button @click=${() => act.copy(text, "The request is copied.")}>Copy</button></div>
    <pre tabindex="0" aria-label="The request in ${LANGUAGES[language].title}"><code>${text}</code></pre>`;
}

function response({ result }, known) {
  if (!known.all) return html`<p class="hint">The answer is shown once the last step is done.</p>`;
  if (result.weights.length * result.samples > MOST_SHOWN) return html`<p class="hint">The answer is long: download it.</p>`;
  return html`<pre tabindex="0" aria-label="The response"><code>${pretty(result.answer)}</code></pre>`;
}
