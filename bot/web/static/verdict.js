// The verdict in words, its probability on a bar, and how it stands up to recompression.

import { $, element, fill, percent, words } from "./say.js";

export function showVerdict(answer) {
  const title = $("title");
  title.textContent = answer.words.title;
  title.className = answer.verdict;
  $("lines").replaceChildren(...answer.words.lines.map((line) => element("li", line)));
  $("caution").textContent = answer.words.caution;
  $("alt").textContent = answer.words.alt;
  showBar(answer.p_fake, answer.thresholds);
  const asSent = { name: words.asSent, p_fake: answer.p_fake, verdict: answer.verdict };
  $("strip").replaceChildren(...[asSent, ...answer.stability.variants].map(tile));
}

function showBar(p, thresholds) {
  const { unsure_low: low, unsure_high: high } = thresholds;
  const said = { percent: percent(p), low: percent(low), high: percent(high) };
  $("band").style.left = `${100 * low}%`;
  $("band").style.width = `${100 * (high - low)}%`;
  $("mark").style.left = `${100 * p}%`;
  $("band-words").textContent = fill(words.band, said);
  $("bar").setAttribute("aria-label", fill(words.bar, said));
}

function tile(variant) {
  const tile = element("li", "", variant.verdict);
  const bar = element("div", "", "small-bar");
  const mark = element("i");
  mark.style.left = `${100 * variant.p_fake}%`;
  bar.append(mark);
  const name = words.variants[variant.name] ?? variant.name;
  tile.append(element("span", name), element("b", words.labels[variant.verdict]));
  tile.append(element("span", percent(variant.p_fake)), bar);
  return tile;
}
