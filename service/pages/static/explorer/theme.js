/** Light or dark: as the system has it, until the button says otherwise, for this browser. */

const KEPT = "chainrule-theme";
const page = document.documentElement;

/** "light" or "dark", as it is now. */
export const theme = () => page.dataset.theme ?? system();

/** Take up what was chosen in an earlier visit; `changed` is called when the system's own taste changes. */
export function start(changed) {
  put(inStorage((storage) => storage.getItem(KEPT)));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
}

/** The other one. Where that is what the system has, it is not kept: the page follows the system again. */
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
    if (error instanceof DOMException) return null; // a browser that keeps nothing
    throw error;
  }
}
