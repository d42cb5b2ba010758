// Takes a picture from the reader, sends it to the API and shows what comes back.

import { showHeatmaps } from "./heatmaps.js";
import { $, words } from "./say.js";
import { showVerdict } from "./verdict.js";

const SLOW_MS = 5000;
const WORTH_A_RETRY = new Set([429, 500, 502, 503, 504]);

const maxBytes = Number($("main").dataset.maxBytes);
let running = null; // the AbortController of what is under way
let last = null; // the file that was sent last

$("choose").addEventListener("click", () => $("file").click());
$("photograph").addEventListener("click", () => $("camera").click());
for (const input of [$("file"), $("camera")]) {
  input.addEventListener("change", () => {
    take(input.files);
    input.value = ""; // so that the same file can be chosen again
  });
}
$("stop").addEventListener("click", () => running?.abort());
$("again").addEventListener("click", () => check(last));
$("another").addEventListener("click", () => {
  window.scrollTo({ top: 0 });
  $("choose").focus();
});

document.addEventListener("paste", (event) => {
  if (event.clipboardData.types.length) take(event.clipboardData.files);
});
let entered = 0; // elements that something is being dragged over, one inside the other
document.addEventListener("dragenter", () => $("ask").classList.toggle("over", ++entered > 0));
document.addEventListener("dragleave", () => $("ask").classList.toggle("over", --entered > 0));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  entered = 0;
  $("ask").classList.remove("over");
  take(event.dataTransfer.files);
});

function take(files) {
  const all = [...files];
  if (!all.length) return trouble(words.noPicture);
  return check(all[0], all.length > 1 ? words.one : "");
}

async function check(file, note = "") {
  running?.abort();
  const mine = (running = new AbortController());
  last = file;
  trouble("");
  $("verdict").hidden = true;
  preview(file);
  if (maxBytes && file.size > maxBytes) {
    running = null;
    busy(false);
    return trouble(words.tooLarge);
  }
  busy(true, words.looking);
  const slow = setTimeout(() => say(words.slow), SLOW_MS);
  try {
    const answer = await ask(file, mine.signal);
    if (running !== mine) return;
    showVerdict(answer);
    showHeatmaps(answer);
    busy(false, note);
    $("verdict").hidden = false;
    $("title").focus();
    $("verdict").scrollIntoView({ block: "start" });
  } catch (error) {
    if (running !== mine) return; // another picture has taken its place
    busy(false, error.name === "AbortError" ? words.stopped : "");
    if (error.name !== "AbortError") trouble(error.said ?? words.odd, error.retry ?? true);
  } finally {
    clearTimeout(slow);
    if (running === mine) running = null;
  }
}

// The API's answer. Throws an Error with `said`, a line for the reader, and `retry`, whether trying again may help.
async function ask(file, signal) {
  const form = new FormData();
  form.append("image", file, file.name || "picture");
  const headers = { Accept: "application/json", "Accept-Language": document.documentElement.lang };
  let response;
  try {
    response = await fetch("api/v1/check?heatmaps=png", { method: "POST", body: form, headers, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error(), { said: words.noAnswer, retry: true });
  }
  const json = await response.json();
  if (response.ok) return json;
  throw Object.assign(new Error(), { said: json.detail, retry: WORTH_A_RETRY.has(response.status) });
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

function trouble(text, retry = false) {
  $("problem-words").textContent = text;
  $("retry").hidden = !retry || !text;
}
