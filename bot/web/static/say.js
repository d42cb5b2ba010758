// The page's elements, and its words, which the server gives.

export const $ = (id) => document.getElementById(id);
export const words = JSON.parse($("main").dataset.words);

// "Layer {number}" with its braces filled.
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// A new element with that text and class.
export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}
