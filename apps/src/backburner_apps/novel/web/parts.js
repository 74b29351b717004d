/** Small pieces that several of the studio's views are made of. */

import { h } from "/backburner/ui/dom.js";
import { reason } from "/backburner/ui/describe.js";
import { Prose } from "/backburner/ui/prose.js";
import { words } from "./strings.js";

/** What made something: the method, and the model where there is one. @param {string|null} method @param {string|null} [model] */
export function maker(method, model) {
  if (!method) return null;
  const known = words.methods[method];
  const text = typeof known === "function" ? known(model ?? "?") : known;
  const local = method === "local-model";
  return h(local ? "span.maker.local" : "span.maker", {}, text ?? [method, model].filter(Boolean).join(" · "));
}

/** A text as paragraphs, in the language of the novel. @param {string} text @param {string} language */
export function prose(text, language) {
  const container = h("div.prose", { lang: language });
  new Prose(container).show(text);
  return container;
}

/** The address of a novel's page, of one of its chapters, or of a chapter that is being written. */
export function address(novel, { chapter, job } = {}) {
  const query = new URLSearchParams({ novel: String(novel) });
  if (chapter) query.set("chapter", String(chapter));
  if (job) query.set("job", job);
  return `?${query}`;
}

/** The way back to the novel. */
export function crumbs(novel) {
  return h("p.crumbs", {}, h("a", { href: address(novel.id), lang: novel.language }, novel.title));
}

export function loading() {
  return h("p.state", { role: "status" }, words.loading);
}

/** @param {any} error @param {() => void} again */
export function failure(error, again) {
  return h(
    "div.state",
    { role: "alert" },
    h("p", {}, error.status === 404 ? words.notFound : words.failed),
    error.status === 404 ? null : h("p.note", {}, reason(error)),
    h("p", {}, error.status === 404 ? h("a.button", { href: "./" }, words.back) : h("button", { type: "button", onclick: again }, words.tryAgain)),
  );
}

/** Why the server refused what was filled in. @param {any} error */
export function refusal(error) {
  const fields = Object.entries(error.problem?.errors ?? {});
  if (!fields.length) return h("p.refusal", { role: "alert" }, reason(error));
  const lines = fields.map(([name, why]) => h("li", {}, `${name}: ${typeof why === "string" ? why : JSON.stringify(why)}`));
  return h("div.refusal", { role: "alert" }, words.fieldsWrong, h("ul", {}, lines));
}

/** Calls ``action`` once, a moment after the last call. @param {() => void} action @param {number} [ms] */
export function gathered(action, ms = 150) {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(action, ms);
  };
}
