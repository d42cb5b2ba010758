// Parallel coordinates as an SVG of our own: plotly's need WebGL, which not every browser has.

import { $, element, fill, words } from "./say.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 352;
const TOP = 34;
const BOTTOM = 322;
const STEP = 130; // pixels between two axes, at least
const EDGE = 60;
const LINE = 14; // pixels between two labels of an axis, at least

const language = document.documentElement.lang;

// Draw `answer` of …/parallel, with the trials whose ids are in `ticked` before all others.
export function drawParallel(answer, ticked) {
  const chart = $("parallel-chart");
  if (!answer.axes.length) {
    chart.replaceChildren();
    $("parallel-words").textContent = words.noAxes;
    return;
  }
  const axes = [...answer.axes, { label: answer.metric, kind: "number", log: false, values: answer.best }].map(scaled);
  const gap = Math.max(STEP, (chart.clientWidth - 2 * EDGE) / (axes.length - 1));
  const width = 2 * EDGE + gap * (axes.length - 1);
  const picture = svg("svg", { class: "parallel", viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img" });
  picture.append(svg("title", {}, `${words.metric}: ${answer.metric}`));
  const best = new Set(bestOf(answer));
  const order = answer.trials.map((_, place) => place).sort((a, b) => layer(a) - layer(b));
  function layer(place) {
    return ticked.has(answer.trials[place]) ? 3 : best.has(place) ? 2 : answer.best[place] === null ? 1 : 0;
  }
  for (const place of order) {
    const line = svg("path", { d: path(axes, place, gap), class: ["", "open", "best", "ticked"][layer(place)] });
    line.append(svg("title", {}, about(answer, place)));
    picture.append(line);
  }
  axes.forEach((axis, number) => picture.append(...drawAxis(axis, EDGE + number * gap)));
  chart.replaceChildren(picture);
  $("parallel-words").textContent = told(answer, best, ticked);
}

// The best tenth, three at least and ten at most, of those that have a value.
function bestOf(answer) {
  const places = answer.best.map((_, place) => place).filter((place) => answer.best[place] !== null);
  return places.slice(0, Math.min(10, Math.max(3, Math.ceil(places.length / 10))));
}

// An axis and where on it, from 0 to 1, each trial is; null where it is nowhere.
function scaled(axis) {
  if (axis.kind === "category") {
    const last = Math.max(1, axis.categories.length - 1);
    const ticks = axis.categories.map((text, place) => ({ at: axis.categories.length === 1 ? 0.5 : place / last, text }));
    return { ...axis, ticks, at: (value) => ticks[axis.categories.indexOf(value)].at };
  }
  const numbers = axis.values.filter((value) => value !== null);
  const turn = axis.log ? Math.log10 : (value) => value;
  const low = Math.min(...numbers);
  const high = Math.max(...numbers);
  const span = turn(high) - turn(low) || 1;
  const distinct = [...new Set(numbers)].sort((a, b) => a - b);
  const at = (value) => (high === low ? 0.5 : (turn(value) - turn(low)) / span);
  const marked = distinct.length <= 6 ? distinct : [0, 0.25, 0.5, 0.75, 1].map((part) => value(turn(low) + part * span, axis));
  return { ...axis, at, ticks: numbers.length ? marked.map((each) => ({ at: at(each), text: short(each) })) : [] };
}

function value(turned, axis) {
  return axis.log ? 10 ** turned : turned;
}

function path(axes, place, gap) {
  let line = "";
  let isDrawing = false;
  axes.forEach((axis, number) => {
    const of = axis.values[place];
    if (of === null) {
      isDrawing = false;
      return;
    }
    line += `${isDrawing ? "L" : "M"}${Math.round(EDGE + number * gap)} ${height(axis.at(of))}`;
    isDrawing = true;
  });
  return line;
}

function drawAxis(axis, x) {
  return [
    svg("line", { class: "axis", x1: x, x2: x, y1: TOP, y2: BOTTOM }),
    svg("text", { x, y: 16, "text-anchor": "middle", "font-weight": 600 }, axis.label),
    ...apart(axis.ticks).map(({ at, text }) => svg("text", { x: x + 5, y: height(at) + 4 }, text)),
  ];
}

// Without the labels that would be printed over others; the outermost two stay.
function apart(ticks) {
  const sorted = ticks.map((tick) => ({ ...tick, y: height(tick.at) })).sort((a, b) => b.y - a.y);
  const top = sorted.pop();
  const kept = [];
  for (const tick of sorted) {
    const isFree = !kept.length || kept[kept.length - 1].y - tick.y >= LINE;
    if (isFree && (!kept.length || tick.y - top.y >= LINE)) kept.push(tick);
  }
  return top ? [...kept, top] : [];
}

function height(part) {
  return Math.round(BOTTOM - part * (BOTTOM - TOP));
}

function about(answer, place) {
  const parts = answer.axes.map((axis) => `${axis.label} ${typeof axis.values[place] === "number" ? short(axis.values[place]) : axis.values[place] ?? "–"}`);
  const state = words.states[answer.states[place]] ?? answer.states[place];
  const best = answer.best[place] === null ? "–" : short(answer.best[place]);
  return `${fill(words.trial, { number: answer.numbers[place] })}, ${state}: ${answer.metric} ${best}; ${parts.join(", ")}`;
}

// What the best have in common, in words.
function told(answer, best, ticked) {
  const said = [fill(words.lines, { count: best.size })];
  if (ticked.size) said.push(words.ticked);
  if (answer.total > answer.trials.length) {
    said.push(fill(words.capped, { shown: answer.trials.length, total: answer.total }));
  }
  const common = answer.axes.map((axis) => commonOf(axis, [...best].map((place) => axis.values[place]).filter((of) => of !== null)));
  const list = common.filter(Boolean).join("; ");
  if (list) said.push(fill(words.have, { count: best.size, list }));
  return said.join(" ");
}

function commonOf(axis, values) {
  if (!values.length) return "";
  if (axis.kind === "number") {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    if (low !== high) return fill(words.range, { param: axis.label, low: short(low), high: short(high) });
  }
  const counts = new Map();
  for (const of of values) counts.set(of, (counts.get(of) ?? 0) + 1);
  const [most, count] = [...counts].sort((a, b) => b[1] - a[1])[0];
  return fill(words.most, { param: axis.label, value: typeof most === "number" ? short(most) : most, count, total: values.length });
}

function short(number) {
  return number.toLocaleString(language, { maximumSignificantDigits: 3 });
}

function svg(tag, attributes, text = "") {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text) made.textContent = text;
  return made;
}

// The importance of params, a table with bars.
export function drawImportance(answer) {
  const chart = $("importance-chart");
  if (answer.r2 === null) {
    chart.replaceChildren();
    $("importance-words").textContent = fill(words.few, { count: answer.trials });
    return;
  }
  const isNoise = answer.r2 <= 0;
  const percent = Math.max(0, answer.r2).toLocaleString(language, { style: "percent", maximumFractionDigits: 0 });
  const said = [words.method, fill(words.r2, { count: answer.trials, percent })];
  if (isNoise) said.push(words.noise);
  else if (answer.hint) said.push(words.hint);
  $("importance-words").textContent = said.join(" ");
  const table = element("table", "", isNoise ? "bars noise" : "bars");
  const head = table.createTHead().insertRow();
  for (const [text, name] of [[words.param, ""], [words.importance, "number"], ["", "bar"], [words.spread, "number"]]) {
    const cell = element(text ? "th" : "td", text, name);
    if (text) cell.scope = "col";
    head.append(cell);
  }
  const values = answer.params.map((param) => param.importance);
  const low = Math.min(0, ...values);
  const high = Math.max(isNoise ? 1 : 0.01, ...values); // noise must not fill the width
  const body = table.createTBody();
  for (const param of answer.params) {
    const row = body.insertRow();
    const name = element("th", param.label);
    name.scope = "row";
    name.title = param.name;
    const bar = element("td", "", "bar");
    bar.append(drawBar(param.importance, low, high));
    row.append(name, element("td", two(param.importance), "number"), bar, element("td", two(param.spread), "number"));
  }
  chart.replaceChildren(table);
}

// From 0 to the right; to the left below 0. low, high: of all bars.
function drawBar(value, low, high) {
  const bar = svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  const at = (of) => (100 * (of - low)) / (high - low);
  const [left, right] = [at(Math.min(0, value)), at(Math.max(0, value))];
  bar.append(svg("rect", { x: left, y: 1, width: right - left, height: 8, class: value < 0 ? "below" : "" }));
  bar.append(svg("line", { x1: at(0), x2: at(0), y1: 0, y2: 10 }));
  return bar;
}

function two(number) {
  const rounded = Math.round(100 * number) / 100 || 0; // no −0
  return rounded.toLocaleString(language, { minimumFractionDigits: 2, maximumFractionDigits: 2 }).replace("-", "−");
}
