/** What leaves the page, copied or downloaded, and the notes that say so. */

import { pretty } from "./json.js";
import { copy, download, NoClipboard } from "./out.js";
import { fragmentOf } from "./share.js";

const NOTED = 4000; // milliseconds that a note is shown

/** The actions that take something along. */
export function leavingOf(store) {
  const state = () => store.state;
  let noted = 0; // the timer of a note

  /** Say something, to be seen and heard, for a while. */
  function note(words) {
    clearTimeout(noted);
    store.update({ note: words });
    noted = setTimeout(() => store.update({ note: "" }), NOTED);
  }

  async function copyText(text, words) {
    try {
      await copy(text);
      note(words);
    } catch (error) {
      if (!(error instanceof DOMException || error instanceof NoClipboard)) throw error;
      note("The browser does not let the page copy. Select the text, and copy it yourself.");
    }
  }

  async function copyLink() {
    const fragment = await fragmentOf(state().request);
    if (fragment === null) note("The request is too long for a link.");
    else await copyText(location.origin + location.pathname + fragment, "The link is copied.");
  }

  return {
    note, copyLink, copy: copyText,
    downloadAnswer: () => download("gradients.json", JSON.stringify(state().result.answer, null, 1)),
    downloadRequest: () => download("request.json", pretty(state().request)),
  };
}
