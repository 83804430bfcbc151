/** Light or dark: as in the system, unless the user has chosen otherwise in this browser. */

const KEPT = "chainrule-theme";
const page = document.documentElement;

/** "light" or "dark", as it is now. */
export const theme = () => page.dataset.theme ?? system();

/** Restore the choice of an earlier visit; `changed` is called when the system's setting changes. */
export function start(changed) {
  put(inStorage((storage) => storage.getItem(KEPT)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}

/** Switch to the other theme. If it is the system's, it is not stored: the page follows the system again. */
export function toggle() {
  const next = theme() === "dark" ? "light" : "dark";
  const own = next === system() ? null : next;
  put(own);
  inStorage((storage) => (own === null ? storage.removeItem(KEPT) : storage.setItem(KEPT, own)));
}

const system = () => (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");

function put(value) {
  if (value === "light" || value === "dark") page.dataset.theme = value;
  else delete page.dataset.theme;
}

function inStorage(use) {
  try {
    return use(localStorage);
  } catch (error) {
    if (error instanceof DOMException) return null; // a browser that blocks storage
    throw error;
  }
}
