// What the tag `zip_selection` renders shows how much of its form is ticked. Without this script the
// form works, too: what is hidden until then are the boxes that tick several.
"use strict";

// A page with two forms has this script twice.
if (!customElements.get("zip-selection")) {
  customElements.define("zip-selection", class extends HTMLElement {
    connectedCallback() {
      this.form = this.querySelector("button, input").form;
      this.listeners = new AbortController();
      const {signal} = this.listeners;
      const update = () => this.update();
      // Of the document, as a box can be elsewhere: `<input form="…">`.
      document.addEventListener("change", (event) => this.change(event.target), {signal});
      // The boxes are unticked after the event, not before it.
      this.form.addEventListener("reset", () => setTimeout(update), {signal});
      // A browser that goes back, or loads the page again, may bring the ticks with it.
      addEventListener("pageshow", update, {signal});
      update();
    }

    disconnectedCallback() {
      this.listeners.abort();
    }

    // The boxes of rows that can be sent.
    boxes() {
      return [...this.form.elements].filter((box) =>
        box.type === "checkbox" && box.name === this.dataset.name && !box.matches(":disabled"));
    }

    // Those of them that a box for several is for.
    group(all, boxes) {
      const fieldset = all.closest("fieldset");
      return fieldset ? boxes.filter((box) => fieldset.contains(box)) : boxes;
    }

    change(target) {
      if (target.form !== this.form) return;
      if (target.matches("[data-zip-all]")) {
        for (const box of this.group(target, this.boxes())) box.checked = target.checked;
      }
      this.update();
    }

    update() {
      const boxes = this.boxes();
      for (const all of [...this.form.elements].filter((box) => box.matches("[data-zip-all]"))) {
        this.show(all, this.group(all, boxes));
      }
      const ticked = boxes.filter((box) => box.checked);
      this.querySelector("[role=status]").textContent = this.text(ticked);
      for (const button of this.querySelectorAll("button")) button.disabled = ticked.length === 0;
    }

    show(all, boxes) {
      const ticked = boxes.filter((box) => box.checked).length;
      all.checked = ticked > 0 && ticked === boxes.length;
      all.indeterminate = ticked > 0 && ticked < boxes.length;
      all.disabled = boxes.length === 0;
      for (const label of all.labels) label.hidden = false;
    }

    text(ticked) {
      if (ticked.length === 0) return this.dataset.nothing;
      // Not a number where one of them isn't known.
      const size = ticked.reduce((sum, box) => sum + Number(box.dataset.zipSize), 0);
      const text = Number.isNaN(size) ? this.dataset.count : this.dataset.size;
      return text
        .replace("%(count)s", this.number(ticked.length))
        .replace("%(size)s", this.bytes(size));
    }

    // As Django's `filesizeformat`, but that nothing is less than a KB.
    bytes(size) {
      const units = JSON.parse(this.dataset.units);
      let value = size / 1024;
      while (value >= 1024 && units.length > 1) {
        value /= 1024;
        units.shift();
      }
      return units[0].replace("%s", this.number(value, 1));
    }

    number(value, digits = 0) {
      return value.toLocaleString(this.lang, {
        numberingSystem: "latn",
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
      });
    }
  });
}
