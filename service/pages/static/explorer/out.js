/** What leaves the page: texts that are copied, files that are downloaded. */

/** The browser does not let the page copy. */
export class NoClipboard extends Error {}

/** Copy a text. Pages of http:// addresses, as in a classroom, have no clipboard of the newer kind. */
export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new NoClipboard();
  return undefined;
}

/** Offer a text as a file. */
export function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}
