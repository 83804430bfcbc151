/** The explorer: joins the store, the actions and the page. */

import { render } from "./vendor/lit-html.js";
import { actionsOf } from "./actions.js";
import { styleOf } from "./layout.js";
import { paint } from "./matrix.js";
import { page } from "./page.js";
import { Known } from "./steps.js";
import { holdsRequest } from "./share.js";
import { INITIAL, storeOf } from "./store.js";
import { start as startTheme } from "./theme.js";

const NARROW = "(max-width: 900px)";

const root = document.getElementById("page");
const narrow = matchMedia(NARROW);
const store = storeOf({ ...INITIAL, wide: !narrow.matches });
const act = actionsOf(store);
let due = false;

/** Draw once for all changes of a frame. */
function draw() {
  due = false;
  const { state } = store;
  render(page(state, act), root);
  const scroller = document.getElementById("scroller");
  if (scroller && scroller.clientWidth !== state.width) store.update({ width: scroller.clientWidth });
  if (state.result && styleOf(state.result.widths) === "binned") paint(root, state, new Known(state.result.layers.length, state.step));
}

store.watch(() => {
  if (due) return;
  due = true;
  queueMicrotask(draw);
});

startTheme(() => store.update({}));
narrow.addEventListener("change", () => store.update({ wide: !narrow.matches }));
new ResizeObserver(() => store.update({})).observe(root);
addEventListener("hashchange", () => { if (holdsRequest(location.hash)) act.start(); });
addEventListener("online", () => act.retry());
draw();
act.start();
