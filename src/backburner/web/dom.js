/** Building the page from data: always nodes and text, never markup, so that nothing a user wrote can become code. */

/**
 * An element with attributes, listeners (``onclick``) and children; strings and numbers become text.
 *
 * @param {string} tag a tag name, with classes behind dots: ``"p.note"``
 * @param {Record<string, any>} [attributes] false and null leave an attribute out
 * @param {...any} children nodes, texts, arrays of them; null and false are left out
 * @returns {HTMLElement}
 */
export function h(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const element = document.createElement(name);
  if (classes.length) element.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) set(element, key, value);
  element.append(...nodes(children));
  return element;
}

/** @param {Element|ShadowRoot} parent @param {...any} children */
export function fill(parent, ...children) {
  parent.replaceChildren(...nodes(children));
}

/** @param {Node} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function set(element, key, value) {
  if (value === null || value === undefined || value === false) return;
  if (key.startsWith("on")) {
    element.addEventListener(key.slice(2), value);
  } else if (key === "value" || key === "checked" || key === "disabled" || key === "hidden") {
    element[key] = value;
  } else if (key === "href") {
    element.setAttribute(key, safeAddress(value));
  } else {
    element.setAttribute(key, value === true ? "" : String(value));
  }
}

/** An address that leads to a page and runs nothing. */
function safeAddress(address) {
  const { protocol } = new URL(address, document.baseURI);
  return ["http:", "https:", "blob:"].includes(protocol) ? address : "#";
}

function nodes(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== "");
}
