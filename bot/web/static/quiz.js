// A round: begins it, takes answers by click and by key, shows what the API says of it, and goes on after a reload.

import { ask, at } from "./quiz_api.js";
import { signed } from "./quiz_numbers.js";
import { showBoard, showMe } from "./quiz_people.js";
import { clearTruth, showTruth } from "./quiz_truth.js";
import { $, element, fill, words } from "./say.js";

const SIDES = { r: "real", f: "fake" };

let round = null; // as the API gave it last
let side = null; // that a letter has chosen, until a digit follows
let isBusy = false; // with a request: what is clicked meanwhile does not count
let again = null; // what "Try again" does

const answers = [...document.querySelectorAll("#answers button")];
const perSide = answers.length / 2;

for (const button of document.querySelectorAll("#start button[data-mode]")) {
  button.addEventListener("click", () => {
    const { mode, length } = button.dataset;
    const name = $("name").value.trim();
    send("POST", "rounds", { mode, length: length ? Number(length) : null, ...(name ? { name } : {}) });
  });
}
for (const button of answers) button.addEventListener("click", () => answer(button));
$("next").addEventListener("click", next);
$("stop").addEventListener("click", () => send("POST", `rounds/${round.id}/stop`));
$("again").addEventListener("click", restart);
$("retry").addEventListener("click", () => again?.());
document.addEventListener("forgotten", () => show(null)); // the round went with everything else

// Letters and digits work only while the focus is in the round, so that they never get in anybody's way.
$("round").addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.matches("input")) return;
  if (round?.phase === "revealed") {
    if (event.key === "Enter" && !event.target.closest("button")) take(event, next);
    return;
  }
  const key = event.key.toLowerCase();
  if (key in SIDES) {
    side = SIDES[key];
    take(event, () => answers.find((button) => button.dataset.said === side).focus());
  } else if (/^[1-8]$/.test(key)) {
    const row = answers.filter((button) => button.dataset.said === side);
    take(event, () => answer((side ? row : answers)[key - 1]));
  } else if (key.startsWith("arrow")) {
    take(event, () => move(key));
  }
});

open();

async function open() {
  const me = await showMe();
  showBoard();
  if (me?.name) $("name").value = me.name;
  if (!me?.rounds.length || round) return;
  try {
    show(await ask("GET", `rounds/${me.rounds[0].id}`));
    if (document.activeElement === document.body) focus(); // so that the keys work at once
  } catch {
    // It is over, or goes on elsewhere: the start is there.
  }
}

function answer(button) {
  if (!button || round?.phase !== "asking") return;
  const { said, step } = button.dataset;
  send("POST", `rounds/${round.id}/answers`, { number: round.face.number, said, step: Number(step) });
}

function next() {
  send("POST", `rounds/${round.id}/next`, { number: round.face.number });
}

async function send(method, path, body) {
  if (isBusy) return;
  isBusy = true;
  trouble("");
  $("main").setAttribute("aria-busy", "true");
  try {
    show(await ask(method, path, body));
    focus();
    if (round.phase !== "asking") showMe(); // there is something new
    if (round.phase === "over") showBoard();
  } catch (error) {
    await stumble(error, () => send(method, path, body));
  } finally {
    isBusy = false;
    $("main").removeAttribute("aria-busy");
  }
}

// What the server has is what counts: after a refusal it is shown anew.
async function stumble(error, retry) {
  if (error.status === 409 && round) {
    try {
      show(await ask("GET", `rounds/${round.id}`));
      focus();
    } catch (worse) {
      if (worse.status === 404 || worse.status === 409) restart();
    }
  } else if (error.status === 404) {
    restart();
  }
  trouble(error.said ?? words.odd, error.status === 404 || error.status === 409 ? null : retry);
}

function restart() {
  show(null);
  $("start-title").focus();
}

function show(now) {
  round = now;
  side = null;
  const phase = now?.phase ?? "start";
  $("start").hidden = phase !== "start";
  $("round").hidden = phase !== "asking" && phase !== "revealed";
  $("summary").hidden = phase !== "over";
  if (phase === "over") {
    $("summary-title").textContent = now.words.title;
    $("summary-lines").replaceChildren(...now.words.lines.map((line) => element("li", line)));
  } else if (phase !== "start") {
    showFace(now);
  }
}

function showFace(now) {
  const isAsking = now.phase === "asking";
  $("face-title").textContent = now.words.title;
  $("face-title").className = now.outcome?.truth ?? "";
  const picture = at(now.face.picture);
  if ($("face").getAttribute("src") !== picture) $("face").src = picture;
  $("face").alt = now.face.alt;
  $("answers").hidden = !isAsking;
  $("next").hidden = isAsking;
  if (isAsking) clearTruth();
  else showTruth(now);
  const { score } = now;
  $("score").textContent = score.answered
    ? fill(words.score, { points: signed(score.points), machine: signed(score.machine_points) })
    : "";
}

// Where a reader goes on: the face that is asked, the way to the next, or what was reached.
function focus() {
  if (round.phase === "over") $("summary-title").focus();
  else if (round.phase === "revealed") $("next").focus({ preventScroll: true });
  else $("face-title").focus({ preventScroll: true });
  const top = round.phase === "over" ? $("summary") : $("round");
  top.scrollIntoView({ block: "start" });
}

function move(key) {
  const now = answers.indexOf(document.activeElement);
  if (now < 0) return answers[0].focus();
  const step = { arrowleft: -1, arrowright: 1, arrowup: -perSide, arrowdown: perSide }[key];
  return answers[now + step]?.focus();
}

function take(event, work) {
  event.preventDefault();
  work();
}

function trouble(text, retry = null) {
  $("trouble-words").textContent = text;
  $("retry-row").hidden = !retry;
  again = retry;
  if (retry) $("retry").focus({ preventScroll: true });
}
