/** What a person can do: every action, each of which changes the store. */

import { askingOf } from "./asking.js";
import { choosingOf } from "./choosing.js";
import { comparingOf } from "./comparing.js";
import { descendingOf } from "./descending.js";
import { editingOf } from "./editing.js";
import { leavingOf } from "./leaving.js";
import { toggle } from "./theme.js";

/** All actions, over a store. */
export function actionsOf(store) {
  const leaving = leavingOf(store);
  const asking = askingOf(store, leaving.note);
  return {
    ...leaving, ...asking, ...choosingOf(store), ...comparingOf(store), ...descendingOf(store, asking), ...editingOf(store, asking),
    update: store.update,
    open: (tab) => store.update({ tab }),
    toggleTheme: () => { toggle(); store.update({}); },
  };
}
