// Takes a picture from the reader, sends it to the API and shows what comes back.

import { advice, first, given, size, unfit } from "./given.js";
import { showHeatmaps } from "./heatmaps.js";
import { offerPanel } from "./panel.js";
import { patiently, when } from "./patience.js";
import { $, fill, words } from "./say.js";
import { send } from "./send.js";
import { showVerdict } from "./verdict.js";

const SLOW_MS = 5000;

const maxBytes = Number($("main").dataset.maxBytes);
let running = null; // the AbortController of what is under way
let last = null; // the file that was sent last

$("choose").addEventListener("click", () => $("file").click());
$("photograph").addEventListener("click", () => $("camera").click());
for (const input of [$("file"), $("camera")]) {
  input.addEventListener("change", () => {
    if (input.files.length) take(first(input.files));
    input.value = ""; // so that the same file can be chosen again
  });
}
$("stop").addEventListener("click", () => running?.abort());
$("again").addEventListener("click", () => {
  $("choose").focus({ preventScroll: true }); // this button goes
  check(last);
});
$("another").addEventListener("click", () => {
  window.scrollTo({ top: 0 });
  $("choose").focus();
});

document.addEventListener("paste", (event) => {
  if (event.clipboardData.types.length) take(given(event.clipboardData));
});
let entered = 0; // elements that something is being dragged over, one inside the other
document.addEventListener("dragenter", () => $("ask").classList.toggle("over", ++entered > 0));
document.addEventListener("dragleave", () => $("ask").classList.toggle("over", --entered > 0));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  entered = 0;
  $("ask").classList.remove("over");
  take(given(event.dataTransfer));
});

function take({ file, note, trouble: said }) {
  if (file) return check(file, note);
  running?.abort();
  trouble(said);
}

async function check(file, note = "") {
  running?.abort();
  const mine = (running = new AbortController());
  last = file;
  trouble("");
  $("verdict").hidden = true;
  preview(file);
  try {
    const reason = await unfit(file, maxBytes);
    if (running !== mine) return;
    if (reason) return trouble(reason);
    const answer = await patiently(() => ask(file, mine.signal), mine.signal, say);
    if (running !== mine) return;
    showVerdict(answer);
    showHeatmaps(answer);
    offerPanel(file, answer);
    busy(false, note);
    $("verdict").hidden = false;
    $("title").focus();
    $("verdict").scrollIntoView({ block: "start" });
  } catch (error) {
    if (running !== mine) return; // another picture has taken its place
    const isFocusLost = $("progress").contains(document.activeElement); // it is hidden now
    busy(false, error.name === "AbortError" ? words.stopped : "");
    if (error.name === "AbortError") $("retry").hidden = false;
    else trouble([error.said ?? words.odd, advice(file, error.kind), when(error)], error.waitS != null);
    if (isFocusLost) $($("retry").hidden ? "choose" : "again").focus();
  } finally {
    if (running === mine) {
      running = null;
      if (!$("progress").hidden) busy(false);
    }
  }
}

async function ask(file, signal) {
  const bar = $("sending");
  const megabytes = size(file);
  busy(true, words.sending);
  bar.removeAttribute("value");
  let slow = null;
  try {
    return await send(file, "heatmaps=png", signal, (share) => {
      if (share < 1) {
        bar.value = share;
        $("count").textContent = fill(words.sent, { percent: Math.floor(100 * share), size: megabytes });
      } else if (slow === null) {
        bar.removeAttribute("value");
        $("count").textContent = "";
        say(words.looking);
        slow = setTimeout(() => say(words.slow), SLOW_MS);
      }
    });
  } finally {
    clearTimeout(slow);
    $("count").textContent = "";
  }
}

function preview(file) {
  const image = $("preview");
  URL.revokeObjectURL(image.src);
  image.onload = () => (image.hidden = false);
  image.onerror = () => (image.hidden = true); // what a browser cannot show the server may still open
  image.src = URL.createObjectURL(file);
}

function busy(is, text = "") {
  $("progress").hidden = !is;
  $("ask").setAttribute("aria-busy", String(is));
  say(text);
}

function say(text) {
  $("status").textContent = text;
}

function trouble(said, retry = false) {
  const text = [said].flat().filter(Boolean).join(" ");
  $("problem-words").textContent = text;
  $("retry").hidden = !retry || !text;
}
