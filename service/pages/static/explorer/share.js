/** A request in the fragment of an address, deflated. A fragment never reaches the server. */

import { compact, parse } from "./json.js";

export const LONGEST = 8000; // characters; longer addresses do not survive mail and chat
const MARK = "#request=";

/** The fragment that holds a request; null where it would be too long. */
export async function fragmentOf(request) {
  const bytes = await through(new TextEncoder().encode(compact(request)), new CompressionStream("deflate-raw"));
  const letters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  const fragment = MARK + btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return fragment.length > LONGEST ? null : fragment;
}

/** Whether a fragment is one of these, and not the name of a place in the page. */
export const holdsRequest = (fragment) => fragment.startsWith(MARK);

/** The request in a fragment; null where there is none. Throws where it is damaged. */
export async function requestIn(fragment) {
  if (!holdsRequest(fragment)) return null;
  const letters = atob(fragment.slice(MARK.length).replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
  return parse(new TextDecoder().decode(await through(bytes, new DecompressionStream("deflate-raw"))));
}

const through = async (bytes, stream) =>
  new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
