// What all pages share: words to the reader, requests, times, and the switch for single keys.

const KEYS = "clincode.keys";

export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// Read out by a screen reader; what everybody sees is on the page itself.
export function say(text) {
  const status = $("[data-status]");
  if (!status) return;
  status.textContent = "";
  requestAnimationFrame(() => { status.textContent = text; });
}

// A fault, for everybody to see until something succeeds; without text it goes away.
export function warn(text, action) {
  const place = $("[data-alert]");
  place.replaceChildren();
  if (!text) return;
  const notice = element("p", { class: "notice bad" }, element("span", {}, text));
  if (action) notice.append(action);
  place.append(notice);
}

export class Refused extends Error {
  constructor(status, body) {
    super(body?.error?.message ?? "the gateway refused");
    this.status = status;
    this.code = body?.error?.code;
    this.by = body?.by;
  }
}

export async function ask(path, { body, signal } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    headers["X-CSRF-Token"] = $('meta[name="csrf-token"]').content;
  }
  const method = body === undefined ? "GET" : "POST";
  const response = await fetch(path, { method, headers, signal, body: body && JSON.stringify(body), redirect: "error" });
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}

export const keysAreOn = () => {
  try { return localStorage.getItem(KEYS) !== "off"; } catch { return true; }
};

// Whether a key goes into a field, or into a dialog, and is none of ours.
export const isTyping = (event) =>
  event.ctrlKey || event.metaKey || event.altKey || event.isComposing ||
  Boolean(event.target.closest?.("input, textarea, select, [contenteditable]")) || Boolean($("dialog[open]"));

export function start() {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  showTimes(document, format);
  const button = $("[data-keys-switch]");
  if (!button) return;
  const show = () => {
    button.setAttribute("aria-pressed", String(keysAreOn()));
    button.textContent = `Keys: ${keysAreOn() ? "on" : "off"}`;
  };
  button.addEventListener("click", () => {
    try { localStorage.setItem(KEYS, keysAreOn() ? "off" : "on"); } catch { /* private mode: on for this page */ }
    show();
  });
  show();
}

// In the reader's own time zone; the page itself has UTC.
export function showTimes(root, format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" })) {
  for (const time of $$("time[data-local]", root)) {
    time.title = time.textContent;
    time.textContent = format.format(new Date(time.dateTime));
  }
}
