/** The first page: all novels, and a new one. */

import { fill, h } from "/backburner/ui/dom.js";
import { language } from "/backburner/ui/language.js";
import { api } from "./api.js";
import { address, failure, loading, refusal } from "./parts.js";
import { words } from "./strings.js";

/** @param {import("./studio.js").View} view */
export function showLibrary(view) {
  const dialog = createDialog(view);
  const list = h("div", {}, loading());
  fill(
    view.main,
    h(
      "div.hero",
      {},
      h("div", {}, h("h1", {}, words.novels), h("p.lead", {}, words.lead)),
      h("button.primary", { type: "button", onclick: () => dialog.showModal() }, words.newNovel),
    ),
    list,
    dialog,
  );
  load(list);
}

async function load(list) {
  try {
    const novels = (await api.novels()).sort((one, other) => foreign(one) - foreign(other));
    if (novels.length) fill(list, h("ul.shelf", {}, novels.map(book)));
    else fill(list, h("p.state", {}, words.noNovels));
  } catch (error) {
    fill(list, failure(error, () => load(list)));
  }
}

/** Novels in the reader's language come first. */
function foreign(novel) {
  return novel.language === language ? 0 : 1;
}

function book(novel) {
  return h(
    "li",
    {},
    h(
      "a.book",
      { href: address(novel.id), lang: novel.language },
      h("strong", {}, novel.title),
      novel.author && h("span.author", { lang: language }, words.by(novel.author)),
      novel.premise && h("span.premise", {}, novel.premise),
      h("span.count", { lang: language }, words.chapters(novel.chapters)),
    ),
  );
}

function createDialog(view) {
  const problem = h("div");
  const submit = h("button.primary", { type: "submit" }, words.create);
  const languages = Object.entries(words.languages).map(([code, name]) => h("option", { value: code, selected: code === language }, name));
  const form = h(
    "form",
    {},
    h("h2", {}, words.newNovel),
    h("label", {}, words.title, h("input", { name: "title", required: true, maxlength: 200, autofocus: true, autocomplete: "off" })),
    h(
      "div.pair",
      {},
      h("label", {}, words.language, h("select", { name: "language" }, languages)),
      h("label", {}, optional(words.author), h("input", { name: "author", maxlength: 200, autocomplete: "off" })),
    ),
    h("label", {}, optional(words.premise), h("textarea", { name: "premise", rows: 4, placeholder: words.premiseHint })),
    problem,
    h("div.buttons", {}, h("button", { type: "button", onclick: () => dialog.close() }, words.close), submit),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = Object.fromEntries([...new FormData(form)].filter(([, value]) => String(value).trim()));
    submit.disabled = true;
    try {
      const novel = await api.create(values);
      dialog.close();
      view.go(address(novel.id));
    } catch (error) {
      fill(problem, refusal(error));
    }
    submit.disabled = false;
  });
  const dialog = h("dialog", { "aria-label": words.newNovel }, form);
  return dialog;
}

export function optional(name) {
  return h("span", {}, name, h("small", {}, words.optional));
}
