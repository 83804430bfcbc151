/** The service, asked. What goes wrong comes as a Problem (the service's own words) or as Away. */

import { compact } from "./json.js";

/** A problem document (RFC 9457). */
export class Problem extends Error {
  constructor(document) {
    super(document.detail ?? document.title ?? "");
    this.document = document;
    this.status = document.status;
    this.errors = document.errors ?? [];
  }
}

/** Nobody answered, or not the service. */
export class Away extends Error {}

/** Ask by GET. */
export const get = (path, key) => ask(path, { headers: headers(key) });

/** Post a document, or a text as it stands. `signal` takes the request back. */
export function post(path, body, key, signal) {
  const text = typeof body === "string" ? body : compact(body);
  return ask(path, { method: "POST", body: text, signal, headers: { ...headers(key), "Content-Type": "application/json" } });
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Away("The service does not answer.", { cause: error });
  }
  const kind = response.headers.get("Content-Type") ?? "";
  if (!/json/.test(kind)) throw new Away(`What answers is not the service (status ${response.status}).`);
  const document = await response.json();
  if (response.status === 503) throw new Away(document.detail || "The service has too much to do.");
  if (!response.ok) throw new Problem(document);
  return document;
}

const headers = (key) => (key ? { Accept: "application/json", Authorization: `Bearer ${key}` } : { Accept: "application/json" });
