/** English or 简体中文, by the browser's language. */

export const language = /^zh\b/i.test(globalThis.navigator?.language ?? "") ? "zh-CN" : "en";

/**
 * The words of a module in the reader's language; a word may be a function of what it speaks of.
 *
 * @template {Record<string, any>} Words
 * @param {{en: Words, "zh-CN": Words}} words
 * @returns {Words}
 */
export function choose(words) {
  return words[language];
}

/** Tells the document its language, for hyphenation, fonts and voices. */
export function markDocument() {
  document.documentElement.lang = language;
}
