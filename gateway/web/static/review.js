// A note's page: what is selected, what is decided, and the keys.

import { $, $$, ask, failed, focusPath, isTyping, keysAreOn, restoreFocus, say, showTimes, start, warn } from "./common.js";
import { NoteText } from "./note.js";
import { CodePicker } from "./picker.js";

const TYPES = ["DIAGNOSIS", "PROCEDURE", "MEDICATION", "ANATOMY", "TEST"];
const root = $("[data-review]");
const base = `/review/notes/${encodeURIComponent(root.dataset.noteId)}`;
const part = (name) => $(`[data-part="${name}"]`);
const dialog = (name) => $(`[data-dialog="${name}"]`);
const note = new NoteText($("[data-text]"), showMarked);
const picker = new CodePicker(dialog("picker"));
let active = null; // "code" or "entity": what a, x, u are about
let code = null; // the selected code

const isFinished = () => "finished" in root.dataset;
const cards = () => $$("[data-code]", part("codes"));
const card = (name = code) => (name ? $(`[data-code="${CSS.escape(name)}"]`, part("codes")) : null);
// What the page shows of the selected entity; none while it is on its way.
const detail = () => (note.selected === null ? null : $(`[data-entity="${note.selected}"]`, part("entity")));
const nameOf = () => detail()?.dataset.name ?? "Entity";
const keysOf = (evidence) => evidence.dataset.evidence.split(" ");
const evidenceOf = (name) => $$("[data-evidence]", card(name) ?? document.createElement("i")).flatMap(keysOf);

// -- selection --

function setActive(what) {
  active = what;
  $(".entitypane").classList.toggle("active", what === "entity");
  for (const each of cards()) each.toggleAttribute("aria-current", false);
  if (what === "code") card()?.setAttribute("aria-current", "true");
}

function selectCode(name, { focus = false } = {}) {
  code = name;
  setActive("code");
  light(evidenceOf(name), []);
  note.reveal(evidenceOf(name));
  const chosen = card();
  chosen?.scrollIntoView({ block: "nearest" });
  if (focus) chosen?.focus({ preventScroll: true });
}

async function selectEntity(key, { focus = false } = {}) {
  note.select(key, { focus });
  setActive("entity");
  light([], [key]);
  try {
    const { entity } = await ask(`${base}/entities/${encodeURIComponent(key)}`);
    if (note.selected !== key) return;
    part("entity").innerHTML = entity;
    say(`${nameOf()}: ${detail().dataset.says}`);
  } catch (error) { failed(error); }
}

function deselect() {
  note.select(null);
  code = null;
  setActive(null);
  light([], []);
}

// Entities in the note, and the evidence of codes, that belong to what is selected or pointed at.
function light(keys, evidence) {
  note.light(keys);
  for (const each of $$("[data-evidence]", part("codes"))) each.classList.toggle("lit", keysOf(each).some((key) => evidence.includes(key)));
}

function lightSelected() {
  if (active === "code") light(evidenceOf(code), []);
  else light([], note.selected === null ? [] : [note.selected]);
}

function stepCode(step) {
  const all = cards();
  if (!all.length) return;
  const at = all.indexOf(card());
  const next = at < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + step));
  selectCode(all[next].dataset.code, { focus: true });
}

function stepEntity(step) {
  const key = note.neighbour(step);
  if (key !== null) selectEntity(key, { focus: true });
}

// -- decisions --

let queue = Promise.resolve(true);

// Resolves to whether it was done. One after the other, for each stands on the number of the one before.
function decide(decision, said) {
  queue = queue.then(() => send(decision, said));
  return queue;
}

async function send(decision, said) {
  const body = { version: Number(root.dataset.version), decision, selected: note.selected };
  try {
    const answer = await ask(`${base}/decisions`, { body });
    root.dataset.version = answer.version;
    root.toggleAttribute("data-finished", answer.finished);
    if (decision.kind === "add_entity") note.selected = `d${answer.version}`;
    update(answer.parts);
    warn("");
    say(said);
    return true;
  } catch (error) {
    failed(error);
    return false;
  }
}

function update(parts) {
  const kept = focusPath();
  for (const [name, html] of Object.entries(parts)) {
    part(name).innerHTML = html;
    showTimes(part(name));
  }
  if (!$("[data-entity]", part("entity"))) note.selected = null;
  note.select(note.selected);
  if (active === "code" && !card()) code = null;
  setActive(active);
  lightSelected();
  restoreFocus(kept);
}

const DONE = { accept: "accepted", reject: "rejected" };

// Accept or reject what is selected.
function judge(verb) {
  if (isFinished()) return;
  if (active === "code" && code) decide({ kind: `${verb}_code`, code }, `${code} ${DONE[verb]}`);
  else if (active === "entity" && note.selected !== null) judgeEntity(verb);
  else say("Nothing is selected");
}

const judgeEntity = (verb) => decide({ kind: `${verb}_entity`, entity: note.selected }, `${nameOf()} ${DONE[verb]}`);

function undo() {
  const isCode = active === "code" && code;
  if (isFinished() || !(isCode || note.selected !== null)) return undefined;
  const shown = isCode ? card() : detail();
  if (shown?.dataset.verdict === "undecided") return say("Nothing was decided on it");
  return decide({ kind: "clear", target: isCode ? `code:${code}` : `entity:${note.selected}` }, "Taken back");
}

function replaceCode(name = code) {
  if (!name || isFinished()) return;
  const about = `instead of ${name} ${$(".desc", card(name)).textContent}`;
  picker.open({ title: "Replace a code", about, query: name.slice(0, 3), onPick: (picked) => decide({ kind: "replace_code", code: name, new_code: picked }, `${name} replaced by ${picked}`) });
}

function addCode(query = detail()?.dataset.name ?? "") {
  if (isFinished()) return;
  const about = note.selected === null ? "without evidence; select an entity first to give one" : `with “${nameOf()}” as its evidence`;
  picker.open({ title: "Add a code", about, query, onPick: addPicked });
}

async function addPicked(picked) {
  const evidence = note.selected === null ? [] : [note.selected];
  if (await decide({ kind: "add_code", code: picked, evidence }, `${picked} added`)) selectCode(picked, { focus: true });
}

function setType(type) {
  if (isFinished()) return;
  if (note.marked) addEntity(type);
  else if (active === "entity" && note.selected !== null) decide({ kind: "change_type", entity: note.selected, type }, `Now ${type.toLowerCase()}`);
}

async function addEntity(type) {
  const decision = { kind: "add_entity", ...note.bounds(), type };
  if (await decide(decision, "Entity added")) {
    note.unmark();
    setActive("entity");
  }
}

async function setSpan() {
  if (!note.marked || note.selected === null || isFinished()) return;
  const decision = { kind: "change_span", entity: note.selected, ...note.bounds() };
  if (await decide(decision, "Span set")) note.unmark();
}

function fixSpan() {
  if (isFinished()) return;
  const shown = detail();
  note.fix(shown && !note.marked ? { start: Number(shown.dataset.start), end: Number(shown.dataset.end) } : null);
  say("Arrow keys move the start, Shift with arrow keys the end; Enter sets the span, 1 to 5 make a new entity, Escape leaves");
}

function showMarked(words) {
  const bar = $("[data-spanbar]");
  bar.hidden = words === null || isFinished();
  if (words === null) return;
  $("[data-span-words]").textContent = `“${words}”`;
  $('[data-span="set"]').hidden = note.selected === null;
}

// -- dialogs --

const leftCards = () => cards().filter((each) => each.dataset.verdict === "undecided");

function openFinish() {
  if (isFinished()) return;
  const left = leftCards().map((each) => each.dataset.code);
  const these = left.length === 1 ? "1 code is" : `${left.length} codes are`;
  $("[data-finish-left]").textContent = left.length ? `${these} not decided: ${left.join(", ")}.` : "Every code is decided.";
  $("[data-finish-go]").textContent = left.length ? `Accept the ${left.length} that remain and finish` : "Finish";
  dialog("finish").returnValue = "";
  dialog("finish").showModal();
}

async function finish() {
  for (const each of leftCards()) {
    const name = each.dataset.code;
    if (!(await decide({ kind: "accept_code", code: name }, `${name} accepted`))) return;
  }
  const comment = $("#finish-comment").value.trim();
  if (await decide({ kind: "finish", ...(comment && { comment }) }, "Review finished; n goes to the next note")) $("[data-next]").focus();
}

dialog("finish").addEventListener("close", () => { if (dialog("finish").returnValue === "finish") finish(); });

// -- events, all by delegation --

const DEEDS = {
  accept_code: (of) => decide({ kind: "accept_code", code: of }, `${of} accepted`),
  reject_code: (of) => decide({ kind: "reject_code", code: of }, `${of} rejected`),
  replace_code: (of) => replaceCode(of),
  clear: () => undo(),
  accept_entity: () => judgeEntity("accept"),
  reject_entity: () => judgeEntity("reject"),
  span: fixSpan,
  add_code: () => addCode(),
  finish: openFinish,
  reopen: () => decide({ kind: "reopen" }, "Review reopened"),
  help: () => dialog("help").showModal(),
};

document.addEventListener("click", (event) => {
  const at = event.target;
  if (at.closest("[data-close]")) return at.closest("dialog").close();
  if (at.matches("dialog")) return at.close(); // beside it
  if (at.closest("[data-reload]")) return location.reload();
  const span = at.closest("[data-span]")?.dataset.span;
  if (span) return span === "set" ? setSpan() : span === "leave" ? note.unmark() : addEntity(span);
  const evidence = at.closest("[data-evidence]");
  const of = at.closest("[data-part='codes'] [data-code]")?.dataset.code;
  if (evidence) {
    selectCode(of);
    const keys = keysOf(evidence); // the same words elsewhere, at each further click
    return selectEntity(keys[(keys.indexOf(note.selected) + 1) % keys.length]);
  }
  if (of) selectCode(of);
  else if (at.closest("[data-part='entity'] [data-entity]")) setActive("entity");
  const deed = at.closest("[data-do]")?.dataset.do;
  if (deed) return DEEDS[deed](of);
  const added = at.closest("[data-add-code]");
  if (added) return addPicked(added.dataset.addCode);
  const piece = at.closest("[data-text] [data-e]");
  if (piece && getSelection().isCollapsed) selectEntity(note.keyAt(piece));
});

document.addEventListener("change", (event) => {
  const { change } = event.target.dataset;
  const { value } = event.target;
  if (change) {
    const { entity } = event.target.closest("[data-entity]").dataset;
    decide(change === "type" ? { kind: "change_type", entity, type: value } : { kind: "change_context", entity, [change]: value }, `${change} set to ${value}`);
  } else if ("reason" in event.target.dataset) {
    const of = event.target.closest("[data-code]").dataset.code;
    decide({ kind: "reject_code", code: of, ...(value && { reason: value }) }, `Reason of ${of} set`);
  }
});

for (const name of ["mouseover", "focusin"]) {
  document.addEventListener(name, (event) => {
    const of = event.target.closest?.("[data-part='codes'] [data-code]");
    const piece = event.target.closest?.("[data-text] [data-e]");
    const evidence = event.target.closest?.("[data-evidence]");
    if (evidence) light(keysOf(evidence), []);
    else if (of) light(evidenceOf(of.dataset.code), []);
    else if (piece) light(active === "code" ? evidenceOf(code) : [], piece.dataset.e.split(" "));
    else lightSelected();
  });
}

$("[data-spanbar]").addEventListener("mousedown", (event) => event.preventDefault()); // keeps the marked words

const KEYS = {
  j: () => stepCode(1),
  k: () => stepCode(-1),
  a: () => judge("accept"),
  x: () => judge("reject"),
  r: () => (active === "code" ? replaceCode() : say("Select a code first")),
  "+": () => addCode(),
  u: undo,
  e: () => stepEntity(1),
  E: () => stepEntity(-1),
  s: fixSpan,
  f: openFinish,
  n: () => $("[data-next]").click(),
  "?": () => dialog("help").showModal(),
};

// Arrows, Enter and Escape are for those too who have switched single keys off.
function structuralKey(event) {
  const inText = note.root.contains(event.target);
  if (event.key === "Escape") return note.marked ? note.unmark() : deselect();
  if (note.isFixing && note.marked) {
    if (event.key === "Enter") return setSpan();
    if (note.moveEdge(event)) return undefined;
  }
  if (inText && !event.shiftKey && (event.key === "ArrowRight" || event.key === "ArrowLeft")) return stepEntity(event.key === "ArrowRight" ? 1 : -1);
  if (event.target.matches?.("[data-text] [data-e]") && (event.key === "Enter" || event.key === " ")) return selectEntity(note.keyAt(event.target), { focus: true });
  return false;
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.matches("select")) event.target.blur();
  if (event.defaultPrevented || isTyping(event)) return;
  if (structuralKey(event) !== false) return event.preventDefault();
  const deed = event.key >= "1" && event.key <= "5" ? () => setType(TYPES[Number(event.key) - 1]) : KEYS[event.key];
  if (!deed || !(keysAreOn() || note.isFixing)) return;
  event.preventDefault();
  deed();
});

start();
performance.mark("interactive"); // what scripts/review_page.py bench reads
