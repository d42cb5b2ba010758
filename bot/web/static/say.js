// The page's elements, its words, and numbers as its language writes them.

export const $ = (id) => document.getElementById(id);
export const words = JSON.parse($("main").dataset.words);

const language = document.documentElement.lang;

// "{percent}%" with its braces filled.
export function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

// A probability in whole percent, without claiming a certainty that no network has.
export function percent(p) {
  if (p >= 0.995) return fill(words.over, { percent: 99 });
  if (p <= 0.005) return fill(words.under, { percent: 1 });
  return fill(words.percent, { percent: Math.round(100 * p) });
}

// A share of the evidence, with one decimal where whole numbers would hide it.
export function sharePercent(share) {
  if (share > 0 && share < 0.001) return fill(words.less, { percent: number(0.1, 1) });
  return fill(words.percent, { percent: number(100 * share, share >= 0.0995 || share === 0 ? 0 : 1) });
}

function number(value, digits) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

// A new element with that text and class.
export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = className;
  return made;
}
