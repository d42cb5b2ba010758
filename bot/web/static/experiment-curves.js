// Learning curves, drawn by plotly, which is loaded when they are first wanted.

import { $, fill, words } from "./say.js";

const DASHES = ["solid", "dash", "dot", "dashdot", "longdash"];
const SYMBOLS = { running: "triangle-right", completed: "circle", stopped: "square", failed: "x", interrupted: "diamond" };
const LINES = 8; // colours in experiment.css
const TICK = 60; // pixels between two ticks of the epochs, at least

const language = document.documentElement.lang;
let library = null;
let drawn = null; // what the chart shows

// Draw `answer` of …/curves; what the reader zoomed or hid stays while the metric is the same.
export async function drawCurves(answer) {
  drawn = answer;
  $("curves-words").textContent = told(answer);
  try {
    const plotly = await load();
    if (drawn !== answer) return;
    const chart = $("curves-chart");
    await plotly.react(chart, answer.curves.map(trace), layout(answer), { displayModeBar: false, responsive: true });
    if (!chart.dataset.drawn) chart.on("plotly_relayout", keepTicks);
    await keepTicks();
    chart.dataset.drawn = String(Number(chart.dataset.drawn ?? 0) + 1);
  } catch {
    $("curves-words").textContent = words.broken;
  }
}

$("curves-whole").addEventListener("click", async () => {
  if (drawn) (await load()).relayout($("curves-chart"), { "xaxis.autorange": true, "yaxis.autorange": true });
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawn && drawCurves(drawn));

function load() {
  library ??= new Promise((done, fail) => {
    const script = document.createElement("script");
    script.src = $("main").dataset.plotly;
    script.addEventListener("load", () => done(window.Plotly));
    script.addEventListener("error", () => {
      library = null; // so that the next try asks again
      fail(new Error("plotly"));
    });
    document.head.append(script);
  });
  return library;
}

function trace(curve, place) {
  const colour = css(`--line-${place % LINES}`);
  const end = curve.steps.length - 1;
  return {
    uid: curve.trial,
    x: curve.steps,
    y: curve.values,
    name: isNarrow() ? String(curve.number) : `${curve.number} ${words.states[curve.state] ?? curve.state}`,
    mode: "lines+markers",
    line: { color: colour, width: 2, dash: DASHES[Math.floor(place / 2) % DASHES.length] },
    // Only the end has a sign, which tells what became of the trial.
    marker: {
      color: colour,
      symbol: SYMBOLS[curve.state] ?? "circle",
      size: curve.steps.map((_, point) => (point === end ? 10 : end < 30 ? 4 : 0)),
    },
    hovertemplate: `${fill(words.trial, { number: curve.number })}<br>${words.epoch} %{x}: %{y:.4f}<extra></extra>`,
  };
}

function layout(answer) {
  const axis = { gridcolor: css("--grid"), zeroline: false, linecolor: css("--line"), automargin: true };
  return {
    uirevision: answer.metric,
    paper_bgcolor: css("--card"),
    plot_bgcolor: css("--card"),
    font: { color: css("--text"), family: getComputedStyle(document.body).fontFamily, size: 13 },
    margin: { l: 48, r: 8, t: 8, b: 40 },
    xaxis: { ...axis, title: { text: words.epoch, standoff: 8 }, rangemode: "normal", tickformat: "d" },
    yaxis: { ...axis, title: { text: answer.metric } },
    legend: { orientation: "h", y: isNarrow() ? -0.35 : -0.22, yanchor: "top" },
    showlegend: true,
    hovermode: "closest",
    dragmode: "zoom",
    separators: language === "de" ? ",." : ".,",
  };
}

// There are no half epochs, which plotly would mark when few are in sight.
async function keepTicks() {
  const chart = $("curves-chart");
  const dtick = tickStep(...chart.layout.xaxis.range.map(Number));
  if (dtick !== chart.layout.xaxis.dtick) await (await load()).relayout(chart, { "xaxis.tick0": 0, "xaxis.dtick": dtick });
}

// Whole epochs from tick to tick: 1, 2, 5, 10, 20, 50, …
function tickStep(low, high) {
  const least = (Math.abs(high - low) * TICK) / Math.max(TICK, $("curves-chart").clientWidth - 60);
  const power = 10 ** Math.max(0, Math.floor(Math.log10(least)));
  return [1, 2, 5, 10].map((part) => part * power).find((step) => step >= least) ?? 1;
}

// The chart in a sentence or two.
function told(answer) {
  const points = answer.curves.flatMap((curve) =>
    curve.steps.map((epoch, place) => ({ number: curve.number, epoch, value: curve.values[place] })),
  );
  const sign = answer.mode === "min" ? -1 : 1;
  const best = points.filter((point) => point.value !== null).sort((a, b) => sign * (b.value - a.value))[0];
  if (!best) return words.noCurves;
  const said = fill(words.curves, {
    count: answer.curves.length,
    metric: answer.metric,
    epochs: Math.max(...points.map((point) => point.epoch)),
    number: best.number,
    value: best.value.toLocaleString(language, { maximumSignificantDigits: 4 }),
    epoch: best.epoch,
  });
  const isThinned = answer.curves.some((curve) => curve.count > curve.steps.length);
  return [said, answer.mode === "min" ? words.lower : words.higher, isThinned ? words.thinned : ""].join(" ").trim();
}

// Where there is no room for words, the shape at a curve's end has to say it.
function isNarrow() {
  return $("curves-chart").clientWidth < 500;
}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
