/**
 * JSON that keeps numbers as they were typed, and is written so that a matrix is read as one.
 *
 * What a person types into a field of numbers goes into the request as it is: "0.10" stays 0.10, and "abc" becomes the
 * string "abc", which the service then explains. So there is no second set of checks here.
 */

const NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
const WIDEST = 88; // characters that a list may take on one line

/** A leaf whose text is not what JavaScript would write for its number. */
export class Typed {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }
}

/** The leaf for a text from a field: a number where nothing is lost by that. */
export function typed(text) {
  const plain = text.trim().replace(/^[−–]/, "-");
  return NUMBER.test(plain) && String(Number(plain)) === plain ? Number(plain) : new Typed(plain);
}

/** The text of a leaf, for a field. */
export function textOf(leaf) {
  if (leaf instanceof Typed) return leaf.text;
  return leaf === undefined || leaf === null ? "" : String(leaf);
}

/** The number of a leaf; NaN where it is none. */
export function numberOf(leaf) {
  if (!(leaf instanceof Typed)) return typeof leaf === "number" ? leaf : NaN;
  return NUMBER.test(leaf.text) ? Number(leaf.text) : NaN;
}

/** Parse JSON; numbers keep their text where the browser tells it. Throws SyntaxError. */
export function parse(text) {
  return JSON.parse(text, (_key, value, context) =>
    typeof value === "number" && context?.source !== undefined ? typed(context.source) : value);
}

/** Whether a text is no JSON object: what the service has to be asked about as it stands. */
export function isUnreadable(text) {
  try {
    const value = JSON.parse(text);
    return typeof value !== "object" || value === null || Array.isArray(value);
  } catch (error) {
    if (error instanceof SyntaxError) return true;
    throw error;
  }
}

/** JSON with two spaces a level, in which a list of numbers is one line. */
export function pretty(value, indent = "") {
  const flat = compact(value, ", ", ": ");
  if (isLeaf(value) || (isFlat(value) && flat.length + indent.length <= WIDEST) || isRow(value)) return flat;
  const deeper = `${indent}  `;
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  const parts = Array.isArray(value)
    ? value.map((each) => deeper + pretty(each, deeper))
    : Object.entries(value).map(([key, each]) => `${deeper}${JSON.stringify(key)}: ${pretty(each, deeper)}`);
  return parts.length ? `${open}\n${parts.join(",\n")}\n${indent}${close}` : open + close;
}

/** JSON on one line. */
export function compact(value, comma = ",", colon = ":") {
  if (value instanceof Typed) return NUMBER.test(value.text) ? value.text : JSON.stringify(value.text);
  if (Array.isArray(value)) return `[${value.map((each) => compact(each, comma, colon)).join(comma)}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, each]) => each !== undefined);
  return `{${members.map(([key, each]) => `${JSON.stringify(key)}${colon}${compact(each, comma, colon)}`).join(comma)}}`;
}

/** A copy of a document in which one place is changed; the rest is shared. */
export function changed(document, path, value) {
  if (path.length === 0) return value;
  const [step, ...rest] = path;
  const copy = Array.isArray(document) ? [...document] : { ...document };
  copy[step] = changed(document?.[step] ?? {}, rest, value);
  return copy;
}

/** The steps of a JSON Pointer fragment such as #/network/layers/0. */
export function steps(pointer) {
  return pointer.replace(/^#/, "").split("/").slice(1)
    .map((step) => decodeURIComponent(step).replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Where in a JSON text the value at a pointer stands: [start, end], or null. Of text that can be parsed. */
export function locate(text, pointer) {
  const wanted = steps(pointer);
  let at = 0;
  const skip = () => { while (/[\s,:]/.test(text[at] ?? "")) at += 1; };
  const string = () => {
    const from = at;
    for (at += 1; text[at] !== '"'; at += 1) if (text[at] === "\\") at += 1;
    at += 1;
    return JSON.parse(text.slice(from, at));
  };
  /** Read the value here; the range of what is wanted in it, if it is there. */
  const value = (depth) => {
    skip();
    const from = at;
    let found = null;
    if (text[at] === "{" || text[at] === "[") {
      const object = text[at] === "{";
      at += 1;
      for (let index = 0; skip(), text[at] !== "}" && text[at] !== "]"; index += 1) {
        const key = object ? string() : String(index);
        const inner = value(depth >= 0 && key === wanted[depth] ? depth + 1 : -1);
        found ??= inner;
      }
      at += 1;
    } else if (text[at] === '"') string();
    else while (at < text.length && !/[\s,\]}]/.test(text[at])) at += 1;
    return depth === wanted.length ? [from, at] : found;
  };
  return value(0);
}

const isLeaf = (value) => typeof value !== "object" || value === null || value instanceof Typed;
const isRow = (value) => Array.isArray(value) && value.every((each) => isLeaf(each) && typeof each !== "string");
const isFlat = (value) => Object.values(value).every((each) => isLeaf(each) || isRow(each) || (Array.isArray(each) && each.every(isRow)));
