// The layers' heat over what the network saw: step through them, fade them, lay them side by side, save one.

import { $, element, fill, sharePercent, words } from "./say.js";

const SIDE = 512; // pixels of each picture in the file that is saved
const EDGE = 24;
const FONT = "system-ui, sans-serif";

let answer = null;
let here = 0; // the layer that is shown

export function showHeatmaps(given) {
  answer = given;
  const layers = answer.layers;
  $("heatmaps").hidden = !layers.length;
  if (!layers.length) return;
  $("seen").src = answer.seen;
  $("layer").max = layers.length - 1;
  const most = Math.max(...layers.map((layer) => layer.share));
  $("share").replaceChildren(...layers.map((layer, index) => bar(layer.share / (most || 1), index)));
  show(loudest(layers));
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
$("download").addEventListener("click", save);

function show(index) {
  const layers = answer.layers;
  here = Math.min(Math.max(index, 0), layers.length - 1);
  const layer = layers[here];
  const caption = fill(words.layer, { number: here + 1, count: layers.length, layer: layer.name });
  const told = silence(layer) ?? evidence(layer);
  $("layer").value = here;
  $("layer").setAttribute("aria-valuetext", `${caption}. ${told}`);
  $("layer-words").replaceChildren(element("strong", caption), element("br"), told);
  $("heat").src = layer.heatmap;
  $("heat").alt = `${words.heat}: ${caption}. ${told}`;
  // A button that has the focus is never disabled, or the next press of a key would go nowhere.
  $("previous").setAttribute("aria-disabled", String(here === 0));
  $("next").setAttribute("aria-disabled", String(here === layers.length - 1));
  [...$("share").children].forEach((one, i) => one.classList.toggle("here", i === here));
  fade();
}

function fade() {
  const isOver = !$("stage").classList.contains("beside");
  $("heat-figure").style.opacity = isOver ? $("opacity").value / 100 : 1;
}

function bar(height, index) {
  const one = element("i");
  one.style.height = `${100 * height}%`;
  one.addEventListener("click", () => show(index));
  return one;
}

// The layer with most evidence that has a place to show.
function loudest(layers) {
  const worth = layers.map((layer) => (silence(layer) ? -1 : layer.share));
  return worth.indexOf(Math.max(...worth));
}

// Why a layer has nothing to show, or null. The same rules as bot.wording.silence.
function silence(layer) {
  const [height, width] = layer.size;
  if (Math.max(height, width) === 0) return words.unused;
  if (layer.peak <= 0) return fill(words.dead, { side: words.labels[answer.explains] });
  if (layer.dead) return fill(words.nearDead, { share: sharePercent(layer.share) });
  if (Math.max(height, width) <= 1) return words.placeless;
  return null;
}

function evidence(layer) {
  const [height, width] = layer.size;
  const side = words.labels[answer.explains];
  return fill(words.evidence, { share: sharePercent(layer.share), side, height, width });
}

async function save() {
  const layer = answer.layers[here];
  const canvas = element("canvas");
  canvas.width = 3 * EDGE + 2 * SIDE;
  canvas.height = SIDE + 220;
  const pen = canvas.getContext("2d");
  pen.fillStyle = "#18191c";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const write = (text, x, y, size, colour = "#f2f3f5", weight = 400) => {
    pen.font = `${weight} ${size}px ${FONT}`;
    pen.fillStyle = colour;
    pen.fillText(text, x, y, canvas.width - x - EDGE);
  };
  const caption = fill(words.layer, { number: here + 1, count: answer.layers.length, layer: layer.name });
  write(answer.words.title, EDGE, 44, 30, "#f2f3f5", 700);
  write(answer.words.lines[0], EDGE, 76, 20);
  write(`${caption}. ${silence(layer) ?? evidence(layer)}`, EDGE, 104, 18, "#acb1bb");
  write(words.seen, EDGE, 138, 16, "#acb1bb");
  write(words.heat, 2 * EDGE + SIDE, 138, 16, "#acb1bb");
  pen.imageSmoothingEnabled = false;
  pen.drawImage($("seen"), EDGE, 148, SIDE, SIDE);
  pen.drawImage($("heat"), 2 * EDGE + SIDE, 148, SIDE, SIDE);
  write(`${words.noProof} ${answer.model}`, EDGE, 148 + SIDE + 36, 16, "#acb1bb");
  const file = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const link = element("a");
  link.href = URL.createObjectURL(file);
  link.download = `heatmap-${answer.sha256.slice(0, 8)}-${layer.name}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
