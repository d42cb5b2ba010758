// The layers' heat over what the network saw: step through them, fade them, lay them side by side.

import { $, element, fill, words } from "./say.js";

let layers = [];
let here = 0; // the layer that is shown

export function showHeatmaps(answer) {
  layers = answer.layers;
  $("heatmaps").hidden = !layers.length;
  if (!layers.length) return;
  $("seen").src = answer.seen;
  $("layer").max = layers.length - 1;
  const most = Math.max(...layers.map((layer) => layer.share));
  $("share").replaceChildren(...layers.map((layer, index) => bar(layer, layer.share / (most || 1), index)));
  show(loudest());
}

$("layer").addEventListener("input", () => show(Number($("layer").value)));
$("previous").addEventListener("click", () => show(here - 1));
$("next").addEventListener("click", () => show(here + 1));
$("opacity").addEventListener("input", fade);
$("beside").addEventListener("click", () => {
  const is = $("stage").classList.toggle("beside");
  $("beside").setAttribute("aria-pressed", String(is));
  $("opacity").disabled = is;
  fade();
});

function show(index) {
  here = Math.min(Math.max(index, 0), layers.length - 1);
  const layer = layers[here];
  const title = fill(words.layer, { number: here + 1, count: layers.length, layer: layer.short });
  $("layer").value = here;
  $("layer").setAttribute("aria-valuetext", `${title}. ${layer.caption}`);
  $("layer-title").textContent = title;
  $("layer-title").title = layer.name;
  $("layer-name").textContent = layer.name === layer.short ? "" : layer.name;
  $("layer-words").textContent = layer.caption;
  $("heat").src = layer.heatmap;
  $("heat").alt = `${words.heat}: ${title}. ${layer.caption}`;
  // A button that has the focus is never disabled, or the next press of a key would go nowhere.
  $("previous").setAttribute("aria-disabled", String(here === 0));
  $("next").setAttribute("aria-disabled", String(here === layers.length - 1));
  [...$("share").children].forEach((one, i) => one.classList.toggle("here", i === here));
  fade();
}

function fade() {
  const isOver = !$("stage").classList.contains("beside");
  $("opacity").setAttribute("aria-valuetext", fill(words.percent, { percent: $("opacity").value }));
  $("heat-figure").style.opacity = isOver ? $("opacity").value / 100 : 1;
}

function bar(layer, height, index) {
  const one = element("i");
  one.title = layer.short;
  one.append(element("b"));
  one.firstChild.style.height = `${100 * height}%`;
  one.addEventListener("click", () => show(index));
  return one;
}

// The layer with most evidence that has a place to show.
function loudest() {
  const worth = layers.map((layer) => (layer.live ? layer.share : -1));
  return worth.indexOf(Math.max(...worth));
}
