// The verdict in words, its probability on a bar, and how it stands up to recompression.

import { $, element, words } from "./say.js";

export function showVerdict(answer) {
  const said = answer.words;
  const title = $("title");
  title.textContent = said.title;
  title.className = answer.verdict;
  $("lines").replaceChildren(...said.lines.map((line) => element("li", line)));
  $("caution").textContent = said.caution;
  $("alt").textContent = said.alt;
  showBar(answer);
  const asSent = { ...said, ...answer, title: words.asSent, thumbnail: answer.seen };
  $("strip").replaceChildren(...[asSent, ...answer.stability.variants].map((each) => tile(each, answer.thresholds)));
  $("strip-words").textContent = said.thumbnails;
}

function showBar({ p_fake: p, thresholds, words: said }) {
  place($("band"), $("mark"), p, thresholds);
  $("band-words").textContent = said.band;
  $("bar").setAttribute("aria-label", said.bar);
}

function tile(variant, thresholds) {
  const tile = element("li", "", variant.verdict);
  const picture = element("img");
  picture.src = variant.thumbnail;
  picture.alt = "";
  const bar = element("div", "", "small-bar");
  const [band, mark] = [element("i", "", "band"), element("i", "", "mark")];
  place(band, mark, variant.p_fake, thresholds);
  bar.append(band, mark);
  const name = element("span", variant.title, "name");
  tile.append(picture, name, element("b", variant.label), element("span", variant.percent, "percent"), bar);
  return tile;
}

function place(band, mark, p, { unsure_low: low, unsure_high: high }) {
  band.style.left = `${100 * low}%`;
  band.style.width = `${100 * (high - low)}%`;
  mark.style.left = `${100 * p}%`;
}
