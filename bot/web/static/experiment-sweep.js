// A sweep's page: its table sorted in place, its charts drawn, all of it kept up to date.

import { drawCurves } from "./experiment-curves.js";
import { ask, go, onNews, start } from "./experiment-live.js";
import { drawImportance, drawParallel } from "./experiment-parallel.js";
import { $, words } from "./say.js";

const api = $("main").dataset.api;
const ticked = new Set();

$("main").classList.add("scripted");
for (const section of document.querySelectorAll(".drawn")) section.hidden = false;

$("board").addEventListener("click", (event) => {
  const link = event.target.closest("thead a, .pager a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.href);
});
window.addEventListener("popstate", () => go(location.href, true));

$("board").addEventListener("change", (event) => {
  if (event.target.checked) ticked.add(event.target.value);
  else ticked.delete(event.target.value);
  curves();
  parallel();
});
$("curves-metric").addEventListener("change", curves);
$("curves-count").addEventListener("change", curves);
window.addEventListener("resize", parallel); // plotly sees to its own

onNews(() => {
  for (const box of document.querySelectorAll("#board input")) box.checked = ticked.has(box.value);
  curves();
  parallel();
  importance();
});
start();
$("curves-words").textContent = words.drawing;
$("importance-words").textContent = words.waiting;
// The page first, then what takes long.
requestAnimationFrame(() => setTimeout(() => Promise.allSettled([parallel(), curves()]).then(importance)));

let latest = 0;
async function curves() {
  const mine = ++latest;
  try {
    const metric = $("curves-metric").value;
    const wanted = ticked.size ? [...ticked].slice(0, 50) : await best(metric, Number($("curves-count").value));
    const query = new URLSearchParams([["metric", metric], ...wanted.map((trial) => ["trials", trial])]);
    const answer = await ask(`${api}/curves?${query}`);
    if (mine === latest) await drawCurves(answer);
  } catch {
    if (mine === latest) $("curves-words").textContent = words.broken;
  }
}

async function best(metric, count) {
  const board = await ask(`${api}?${new URLSearchParams({ metric, limit: count })}`);
  return board.trials.map((trial) => trial.id);
}

async function parallel() {
  try {
    drawParallel(await ask(`${api}/parallel?${new URLSearchParams({ metric: words.metric })}`), ticked);
  } catch {
    $("parallel-words").textContent = words.broken;
  }
}

async function importance() {
  try {
    drawImportance(await ask(`${api}/importance?${new URLSearchParams({ metric: words.metric })}`));
  } catch {
    $("importance-words").textContent = words.broken;
  }
}
