// The text of the note: which entity is selected, which are lit, and which words are marked.
// Everything is found by the attributes of the pieces; there is one listener for all of them.
// Offsets here are UTF-16 units, as JavaScript counts; what is sent is in code points.

import { $, $$ } from "./common.js";

const WORD = /[\p{L}\p{N}]+(?:[.,'’/-][\p{L}\p{N}]+)*|[^\s\p{L}\p{N}]+/gu;

export class NoteText {
  constructor(root, onMark) {
    this.root = root;
    this.selected = null;
    this.marked = null; // { start, end }
    this.isFixing = false; // the arrow keys move the marked words' edges
    this.onMark = onMark;
    document.addEventListener("selectionchange", () => {
      cancelAnimationFrame(this.frame);
      this.frame = requestAnimationFrame(() => this.readMarked());
    });
  }

  get string() { return this.root.textContent; }

  pieces(key) { return $$(`[data-e~="${key}"]`, this.root); }

  // Keys of entities in the order in which they begin.
  keys() {
    const seen = new Set();
    for (const piece of $$("[data-e]", this.root)) for (const key of piece.dataset.e.split(" ")) seen.add(key);
    return [...seen];
  }

  select(key, { focus = false } = {}) {
    for (const piece of $$(".sel", this.root)) piece.classList.remove("sel");
    this.selected = key;
    if (key === null) return;
    const pieces = this.pieces(key);
    for (const piece of pieces) piece.classList.add("sel");
    show(pieces[0]);
    if (focus) (pieces[0]?.matches("[tabindex]") ? pieces[0] : this.root).focus({ preventScroll: true });
  }

  light(keys) {
    for (const piece of $$(".lit", this.root)) piece.classList.remove("lit");
    for (const key of keys) for (const piece of this.pieces(key)) piece.classList.add("lit");
  }

  reveal(keys) { if (keys.length) show(this.pieces(keys[0])[0]); }

  // The entity that a click on a piece means: the innermost, and at each further click the one around it.
  keyAt(piece) {
    const keys = piece.dataset.e.split(" ").reverse();
    return keys[(keys.indexOf(this.selected) + 1) % keys.length];
  }

  neighbour(step) {
    const keys = this.keys();
    if (!keys.length) return null;
    const at = keys.indexOf(this.selected);
    return keys[at < 0 ? (step > 0 ? 0 : keys.length - 1) : (at + step + keys.length) % keys.length];
  }

  // -- marked words --

  readMarked() {
    const selection = getSelection();
    let found = null;
    if (selection.rangeCount && !selection.isCollapsed) {
      const range = selection.getRangeAt(0);
      if (this.root.contains(range.startContainer) && this.root.contains(range.endContainer)) {
        found = trimmed(this.string, this.offset(range.startContainer, range.startOffset), this.offset(range.endContainer, range.endOffset));
      }
    }
    if (!found) this.isFixing = false;
    this.marked = found;
    this.onMark(found && this.string.slice(found.start, found.end));
  }

  mark(start, end) {
    const [from, to] = [this.point(start), this.point(end)];
    getSelection().setBaseAndExtent(...from, ...to);
    this.marked = { start, end };
    this.onMark(this.string.slice(start, end));
    this.keepInSight(this.box(start, end));
  }

  // The bar with the marked words lies over the end of the text.
  keepInSight(box) {
    const frame = this.root.getBoundingClientRect();
    const scroller = this.root.scrollHeight > this.root.clientHeight ? this.root : document.scrollingElement;
    const top = Math.max(0, frame.top) + 12;
    const bottom = Math.min(innerHeight, frame.bottom) - 140;
    if (box.bottom > bottom) scroller.scrollTop += box.bottom - bottom;
    else if (box.top < top) scroller.scrollTop -= top - box.top;
  }

  unmark() {
    this.isFixing = false;
    this.marked = null;
    getSelection().removeAllRanges();
    this.onMark(null);
  }

  // Begin to move edges: of the selected entity, else of the first word in sight.
  fix(bounds) {
    const words = this.words();
    if (!words.length) return;
    if (bounds) this.mark(fromCodePoints(this.string, bounds.start), fromCodePoints(this.string, bounds.end));
    else if (!this.marked) this.mark(...(words.find(([start]) => this.isInSight(start)) ?? words[0]));
    this.isFixing = true;
    this.root.focus({ preventScroll: true });
  }

  // True where the key moved something.
  moveEdge(event) {
    const words = this.words();
    let { start, end } = this.marked;
    const steps = { ArrowLeft: -1, ArrowRight: 1 };
    if (event.key in steps && event.shiftKey) {
      end = event.key === "ArrowRight" ? (words.find(([, last]) => last > end) ?? [0, end])[1] : (words.findLast(([, last]) => last < end) ?? [0, end])[1];
      if (end <= start) start = words.findLast(([first]) => first < end)[0];
    } else if (event.key in steps) {
      start = event.key === "ArrowRight" ? (words.find(([first]) => first > start) ?? [start])[0] : (words.findLast(([first]) => first < start) ?? [start])[0];
      if (start >= end) end = words.find(([first]) => first === start)[1];
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      [start, end] = this.otherLine(words, start, event.key === "ArrowDown" ? 1 : -1) ?? [start, end];
    } else return false;
    this.mark(start, end);
    return true;
  }

  otherLine(words, start, step) {
    const tops = words.map(([first, last]) => this.box(first, last).top);
    const at = words.findIndex(([first]) => first >= start);
    const here = tops[at];
    const beyond = words.map((word, i) => [word, tops[i]]).filter(([, top]) => (step > 0 ? top > here + 4 : top < here - 4));
    if (!beyond.length) return null;
    const line = step > 0 ? Math.min(...beyond.map(([, top]) => top)) : Math.max(...beyond.map(([, top]) => top));
    const left = this.box(...words[at]).left;
    const near = beyond.filter(([, top]) => Math.abs(top - line) < 4).map(([word]) => word);
    return near.reduce((best, word) => (Math.abs(this.box(...word).left - left) < Math.abs(this.box(...best).left - left) ? word : best));
  }

  words() { return [...this.string.matchAll(WORD)].map((found) => [found.index, found.index + found[0].length]); }

  box(start, end) {
    const range = document.createRange();
    range.setStart(...this.point(start));
    range.setEnd(...this.point(end));
    return range.getBoundingClientRect();
  }

  isInSight(offset) {
    const top = this.box(offset, offset + 1).top;
    const frame = this.root.getBoundingClientRect();
    return top >= Math.max(0, frame.top) && top < Math.min(innerHeight, frame.bottom);
  }

  // A place in the document ↔ a number of units from the note's start.
  offset(node, within) {
    const range = document.createRange();
    range.selectNodeContents(this.root);
    range.setEnd(node, within);
    return range.toString().length;
  }

  point(offset) {
    const walker = document.createTreeWalker(this.root, NodeFilter.SHOW_TEXT);
    let left = offset;
    let node = walker.nextNode();
    while (node && left > node.length) {
      left -= node.length;
      node = walker.nextNode();
    }
    return node ? [node, left] : [this.root, this.root.childNodes.length];
  }

  // The marked words as they are sent.
  bounds() {
    const { start, end } = this.marked;
    const before = toCodePoints(this.string, start);
    return { start_char: before, end_char: before + toCodePoints(this.string.slice(start, end)) };
  }
}

// Code points in the first `units` of a text, and the other way round.
export const toCodePoints = (text, units = text.length) => [...text.slice(0, units)].length;
export const fromCodePoints = (text, points) => [...text].slice(0, points).join("").length;

function trimmed(text, start, end) {
  const words = text.slice(start, end);
  const lead = words.length - words.trimStart().length;
  const inner = words.trim();
  return inner ? { start: start + lead, end: start + lead + inner.length } : null;
}

function show(piece) { piece?.scrollIntoView({ block: "nearest" }); }
