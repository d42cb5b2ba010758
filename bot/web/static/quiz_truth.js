// What comes with the answer: the truth in words, and the machine's evidence beside the face or over it.

import { at } from "./quiz_api.js";
import { $, element, words } from "./say.js";

let isBeside = window.innerWidth >= 560; // pixels; on a phone two pictures beside each other are too small

$("beside").addEventListener("click", () => {
  isBeside = !isBeside;
  lay();
});
$("opacity").addEventListener("input", lay);

export function showTruth(round) {
  const [first, ...others] = round.words.lines;
  $("outcome").textContent = first;
  $("truth-lines").replaceChildren(...others.map((line) => element("li", line)));
  $("credit").textContent = round.words.note;
  $("truth").hidden = false;
  const hasHeat = Boolean(round.face.heatmap);
  $("heat-figure").hidden = $("heat-controls").hidden = !hasHeat;
  if (hasHeat) {
    $("heat").src = at(round.face.heatmap);
    $("heat").alt = round.face.heat_alt;
  }
  $("next").textContent = round.outcome.is_last ? words.toEnd : words.next;
  lay();
}

export function clearTruth() {
  $("outcome").textContent = "";
  $("truth").hidden = $("heat-figure").hidden = $("heat-controls").hidden = true;
  $("heat").removeAttribute("src");
  $("pictures").className = "";
}

function lay() {
  $("pictures").className = $("heat-figure").hidden ? "" : isBeside ? "beside" : "over";
  $("beside").setAttribute("aria-pressed", String(isBeside));
  $("opacity-label").hidden = isBeside;
  $("heat-figure").style.opacity = isBeside ? "" : String($("opacity").value / 100);
}
