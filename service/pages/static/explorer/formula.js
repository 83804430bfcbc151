/** The formulas, in MathML. */

import { html, mathml } from "./vendor/lit-html.js";

const sub = (base, index) => mathml`<msub><mi>${base}</mi><mrow>${[...index].map((letter) => mathml`<mi>${letter}</mi>`)}</mrow></msub>`;
const partial = (above, below) => mathml`<mfrac><mrow><mi mathvariant="normal">∂</mi>${above}</mrow><mrow><mi mathvariant="normal">∂</mi>${below}</mrow></mfrac>`;
const sum = (index) => mathml`<munder><mo>∑</mo><mi>${index}</mi></munder>`;
const E = mathml`<mi>E</mi>`;
const is = mathml`<mo>=</mo>`;
const times = mathml`<mo>·</mo>`;
const math = (inner, block = false) => html`<math display=${block ? "block" : "inline"}>${inner}</math>`;

const w = (bias) => (bias ? sub("b", "j") : sub("w", "ij"));

/** The factors and their product. */
export const dE_do = () => math(partial(E, sub("o", "j")), true);
export const do_da = () => math(partial(sub("o", "j"), sub("a", "j")), true);
export const da_dw = (bias) => math(partial(sub("a", "j"), w(bias)), true);
export const dE_dw = (bias) => math(partial(E, w(bias)), true);

/** The first two factors of a unit of a group: a sum over its units m. */
export const coupled = () => math(mathml`${partial(E, sub("a", "j"))}${is}${sum("m")}${partial(E, sub("o", "m"))}${partial(sub("o", "m"), sub("a", "j"))}`, true);

/** The first factor of a hidden unit: a sum over the units l that it feeds. */
export const hidden = () => math(mathml`${partial(E, sub("o", "j"))}${is}${sum("l")}${partial(E, sub("a", "l"))}${times}${sub("w", "jl")}`, true);

/** The gradient over a batch: a sum over the samples b. */
export const batch = (bias) => math(mathml`${partial(E, w(bias))}${is}${sum("b")}${partial(E, sub("a", "bj"))}${times}${bias ? mathml`<mn>1</mn>` : sub("o", "bi")}`, true);
