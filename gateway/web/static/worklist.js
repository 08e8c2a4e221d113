// The worklist: j and k (or the arrows) go from note to note; the link has the focus, so Enter opens it.

import { $, $$, isTyping, keysAreOn, start } from "./common.js";

start();
const table = $("[data-worklist]");
const links = $$("a.to", table ?? document.createElement("div"));

function go(step) {
  const at = links.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + step));
  links[next]?.focus();
}

const STEPS = { j: 1, k: -1, ArrowDown: 1, ArrowUp: -1 };
document.addEventListener("keydown", (event) => {
  const step = STEPS[event.key];
  if (!step || !links.length || isTyping(event)) return;
  const isArrow = event.key.startsWith("Arrow");
  if (isArrow ? !table.contains(document.activeElement) : !keysAreOn()) return;
  event.preventDefault();
  go(step);
});

table?.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-note]");
  if (row && !event.target.closest("a") && !getSelection().toString()) $("a.to", row).click();
});
