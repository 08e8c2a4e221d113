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

// What went wrong with a request, and what the reader can do about it.
export function failed(error) {
  if (error.code === "changed_meanwhile") {
    const again = element("button", { type: "button", "data-reload": "" }, "Load the note again");
    warn(`${error.by || "Somebody"} decided on this note meanwhile. Nothing of yours was saved.`, again);
  } else if (error.status === 401) {
    const login = element("a", { class: "button", href: `/login?next=${encodeURIComponent(location.pathname)}` }, "Log in again");
    warn("Your session has ended. Nothing was saved.", login);
  } else if (error.status) warn(`Not done: ${error.message}.`);
  else warn("The gateway does not answer. Nothing was saved.");
}

// Where the focus is, in terms that outlive the part's replacement.
export function focusPath() {
  const at = document.activeElement;
  const home = at?.closest("[data-part]");
  if (!home || at === home) return null;
  const mark = ["data-do", "data-change", "data-reason", "data-evidence", "data-add-code", "data-m"].find((name) => at.hasAttribute(name));
  const value = mark && at.getAttribute(mark);
  return { home, of: at.closest("[data-code]")?.dataset.code, key: at.dataset.e, selector: value ? `[${mark}="${CSS.escape(value)}"]` : mark && `[${mark}]` };
}

export function restoreFocus(kept) {
  if (!kept) return;
  const within = kept.of ? $(`[data-code="${CSS.escape(kept.of)}"]`, kept.home) : kept.home;
  const same = kept.key !== undefined ? $(`[tabindex][data-e="${kept.key}"]`, kept.home) : kept.selector && within && $(kept.selector, within);
  (same || within || kept.home).focus({ preventScroll: true });
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
