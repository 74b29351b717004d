/**
 * Running text as paragraphs, growing at its end.
 *
 * Line breaks stay in the document between the paragraphs, so that its text content is the text to the letter.
 */
export class Prose {
  /** @param {Element} container */
  constructor(container) {
    this.container = container;
    this.text = "";
    this._paragraph = null;
  }

  /** Shows this text; what is there already is kept where the new text begins with it. @param {string} text */
  show(text) {
    if (text === this.text) return;
    if (!text.startsWith(this.text)) this._clear();
    const added = text.slice(this.text.length);
    this.text = text;
    for (const part of added.split(/(\n+)/)) if (part) this._append(part);
  }

  _append(part) {
    if (part.startsWith("\n")) {
      this._paragraph = null;
      this.container.append(part);
      return;
    }
    if (!this._paragraph) {
      this._paragraph = document.createTextNode("");
      const paragraph = document.createElement("p");
      paragraph.append(this._paragraph);
      this.container.append(paragraph);
    }
    this._paragraph.appendData(part);
  }

  _clear() {
    this.container.replaceChildren();
    this.text = "";
    this._paragraph = null;
  }
}
