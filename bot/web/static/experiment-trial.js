// A trial's page: its curve beside that of the best, kept up to date.

import { drawCurves } from "./experiment-curves.js";
import { ask, onNews, start } from "./experiment-live.js";
import { $, words } from "./say.js";

const api = $("main").dataset.api;

for (const section of document.querySelectorAll(".drawn")) section.hidden = false;
$("curves-metric").addEventListener("change", curves);
onNews(curves);
start();
$("curves-words").textContent = words.drawing;
requestAnimationFrame(() => setTimeout(curves));

async function curves() {
  const { trial, best } = $("facts").dataset;
  const metric = $("curves-metric").value || words.metric;
  const query = new URLSearchParams([["metric", metric], ["trials", trial], ...(best ? [["trials", best]] : [])]);
  try {
    await drawCurves(await ask(`${api}/curves?${query}`));
  } catch {
    $("curves-words").textContent = words.broken;
  }
}
