/** The form that asks for the next chapter. */

import { fill, h } from "/backburner/ui/dom.js";
import { api } from "./api.js";
import { optional } from "./library.js";
import { address, refusal } from "./parts.js";
import { words } from "./strings.js";

/** @param {import("./studio.js").View} view @param {any} novel */
export function composer(view, novel) {
  const problem = h("div");
  const write = h("button.primary", { type: "submit" }, words.write);
  const form = h(
    "form.card.composer",
    { id: "write" },
    h("h2", {}, words.writeNext),
    h("fieldset", {}, h("legend", {}, words.mode), h("div.modes", {}, mode("basic", false), mode("enhanced", true))),
    h("label", {}, optional(words.instructions), h("textarea", { name: "instructions", rows: 3, placeholder: words.instructionsHint })),
    h("label", {}, optional(words.chapterTitle), h("input", { name: "title", maxlength: 200, autocomplete: "off" })),
    problem,
    h("div.buttons", {}, write),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const wishes = Object.fromEntries([...new FormData(form)].filter(([, value]) => String(value).trim()));
    write.disabled = true;
    try {
      const { job } = await api.write(novel.id, wishes);
      view.go(address(novel.id, { job: job.id }));
    } catch (error) {
      fill(problem, refusal(error));
      write.disabled = false;
    }
  });
  return form;
}

function mode(name, checked) {
  return h(
    "label.mode",
    {},
    h("input", { type: "radio", name: "mode", value: name, checked }),
    h("span", {}, h("strong", {}, words.modes[name]), h("small", {}, words.modeHints[name])),
  );
}
