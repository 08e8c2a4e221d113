// The search for a code: a combobox in a dialog.

import { $, ask, element } from "./common.js";

const PAUSE = 110; // ms without a key before the search is asked

export class CodePicker {
  constructor(dialog) {
    this.dialog = dialog;
    this.input = $("input", dialog);
    this.list = $("[role=listbox]", dialog);
    this.status = $("[data-picker-status]", dialog);
    this.at = -1;
    this.input.addEventListener("input", () => {
      this.choose(-1); // what is listed answers an older query: Enter must not take it
      this.later();
    });
    this.input.addEventListener("keydown", (event) => this.onKey(event));
    this.list.addEventListener("mousedown", (event) => event.preventDefault()); // the field keeps the focus
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.take(option);
    });
  }

  open({ title, about, query, onPick }) {
    this.onPick = onPick;
    $("[data-picker-title]", this.dialog).textContent = title;
    $("[data-picker-for]", this.dialog).textContent = about;
    this.show([]);
    this.dialog.showModal();
    this.input.value = query;
    this.input.select();
    this.search();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.search(), PAUSE);
  }

  async search() {
    clearTimeout(this.timer);
    this.request?.abort();
    this.request = new AbortController();
    const query = this.input.value.trim();
    if (!query) return this.show([]);
    try {
      const { codes } = await ask(`/review/codes?q=${encodeURIComponent(query)}`, { signal: this.request.signal });
      this.show(codes);
      this.status.textContent = codes.length ? `${codes.length} codes` : "No code has these words";
    } catch (error) {
      if (error.name !== "AbortError") this.status.textContent = "The search does not answer";
    }
  }

  show(codes) {
    this.list.replaceChildren(...codes.map((hit, i) => {
      const name = element("span", { class: "name" }, hit.title);
      const more = hit.billable ? "" : "more below";
      const option = element(
        "li",
        { role: "option", id: `pick-${i}`, "aria-selected": "false", "data-pick": hit.code, class: hit.billable ? "" : "more" },
        element("span", { class: "code" }, hit.code), name, element("span", { class: "faint" }, more),
      );
      if (hit.term && hit.term.toLowerCase() !== hit.title.toLowerCase()) option.append(element("span", { class: "term" }, hit.term));
      if (hit.billable) option.dataset.billable = "";
      return option;
    }));
    this.list.scrollTop = 0;
    this.input.setAttribute("aria-expanded", String(codes.length > 0));
    this.choose(codes.length ? 0 : -1);
  }

  choose(at) {
    this.at = at;
    [...this.list.children].forEach((option, i) => option.setAttribute("aria-selected", String(i === at)));
    const option = this.list.children[at];
    if (option) this.input.setAttribute("aria-activedescendant", option.id);
    else this.input.removeAttribute("aria-activedescendant");
    option?.scrollIntoView({ block: "nearest" });
  }

  onKey(event) {
    const last = this.list.children.length - 1;
    const to = { ArrowDown: Math.min(last, this.at + 1), ArrowUp: Math.max(0, this.at - 1), PageDown: Math.min(last, this.at + 8), PageUp: Math.max(0, this.at - 8) }[event.key];
    if (to !== undefined && last >= 0) {
      event.preventDefault();
      this.choose(to);
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      if (this.at < 0) this.search();
      else this.take(this.list.children[this.at]);
    }
  }

  take(option) {
    if (option.dataset.billable === undefined) {
      this.input.value = option.dataset.pick;
      this.choose(-1);
      this.search();
      return;
    }
    this.dialog.close();
    this.onPick(option.dataset.pick);
  }
}
