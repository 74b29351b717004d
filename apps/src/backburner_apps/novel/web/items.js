/** Characters, the world and foreshadowing as cards. A model may add fields of its own: they are shown too. */

import { fill, h } from "/backburner/ui/dom.js";
import { language as ui } from "/backburner/ui/language.js";
import { words } from "./strings.js";

const FEW = 5;
/** Shown in a place of their own, or not worth a line. */
const PLACED = new Set([
  ...["name", "object", "aliases", "mentions", "kind", "status", "new"],
  ...["id", "novel_id", "chapter_id", "first_chapter", "last_chapter"],
]);

/**
 * @param {Record<string, any>[]} items
 * @param {string} language of the novel
 */
export function itemList(items, language) {
  const list = h("ul.items", { lang: language });
  fill(list, items.slice(0, FEW).map(card));
  if (items.length <= FEW) return list;
  const all = h("button.quiet", { type: "button" }, words.showAll(items.length));
  all.addEventListener("click", () => {
    fill(list, items.map(card));
    all.remove();
    list.children[FEW].setAttribute("tabindex", "-1");
    list.children[FEW].focus();
  });
  return h("div", {}, list, all);
}

function card(item) {
  const aliases = (item.aliases ?? []).filter((alias) => alias !== item.name);
  return h(
    "li",
    {},
    h(
      "div.item-head",
      {},
      h("strong", {}, item.name ?? item.object ?? "–"),
      aliases.length > 0 && h("span.aliases", {}, words.also(aliases)),
      item.kind && h("span.tag", {}, words.kinds[item.kind] ?? item.kind),
      item.status && h(`span.tag.${threadClass(item.status)}`, {}, words.threads[item.status] ?? item.status),
      item.mentions > 0 && h("span.mentions", {}, words.mentions(item.mentions)),
    ),
    h("dl", {}, Object.entries(item).map(([name, value]) => line(name, value))),
    item.first_chapter && h("p.span", { lang: ui }, words.span(item.first_chapter, item.last_chapter ?? item.first_chapter)),
  );
}

function threadClass(status) {
  return Object.hasOwn(words.threads, status) ? status : "other";
}

function line(name, value) {
  const text = PLACED.has(name) ? "" : said(value);
  if (!text) return null;
  return h("div", {}, h("dt", {}, words.fields[name] ?? readable(name)), h("dd", {}, text));
}

function said(value) {
  if (value === null || value === undefined || value === false) return "";
  if (Array.isArray(value)) return words.list(value.map(said).filter(Boolean));
  if (typeof value === "object") return Object.entries(value).map(([name, each]) => `${readable(name)}: ${said(each)}`).join("; ");
  return String(value);
}

function readable(name) {
  const spaced = name.replaceAll("_", " ");
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
