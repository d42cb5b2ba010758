// Leaderboard, own figures, the way to other apps, and the end of all that is kept.

import { ask, at } from "./quiz_api.js";
import { signed } from "./quiz_numbers.js";
import { $, element, fill, words } from "./say.js";

const scopes = [...document.querySelectorAll("button[data-scope]")];
let scope = "everyone";

for (const button of scopes) {
  button.addEventListener("click", () => {
    scope = button.dataset.scope;
    for (const each of scopes) each.setAttribute("aria-pressed", String(each === button));
    showBoard();
  });
}

$("get-code").addEventListener("click", () => link({}));
$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  link({ code: $("code").value });
});

$("unname").addEventListener("click", async () => {
  try {
    await ask("POST", "me/name", { name: null });
    $("name").value = "";
    await showMe();
    $("mine-title").focus();
    showBoard();
  } catch (error) {
    $("named-words").textContent = error.said;
  }
});

$("forget").addEventListener("click", () => $("sure").showModal());
$("sure").addEventListener("close", async () => {
  if ($("sure").returnValue !== "forget") return;
  try {
    await ask("DELETE", "me");
    $("name").value = "";
    document.dispatchEvent(new Event("forgotten"));
    $("forgotten").textContent = words.forgotten;
  } catch (error) {
    $("forgotten").textContent = error.said;
  }
  $("sure").returnValue = "";
  showMe();
  showBoard();
});

// What the reader has done so far; nothing where that cannot be had now.
export async function showMe() {
  try {
    const me = await ask("GET", "me");
    const lines = me.linked ? [...me.words.lines, fill(words.linked, { count: me.linked })] : me.words.lines;
    $("mine").replaceChildren(...lines.map((line) => element("li", line)));
    $("named").hidden = !me.name;
    if (me.name) $("named-words").textContent = fill(words.named, { name: me.name });
    const apps = new Intl.ListFormat(document.documentElement.lang).format(me.apps);
    $("sure-words").textContent = apps ? fill(words.sureOfAll, { apps }) : words.sure;
    $("curves").hidden = !me.alt;
    $("curves").alt = me.alt;
    if (me.alt) $("curves").src = at(`api/v1/quiz/me/picture?answers=${me.right.of}`);
    return me;
  } catch (error) {
    $("mine").replaceChildren(element("li", error.said));
    return null;
  }
}

export async function showBoard() {
  try {
    const board = await ask("GET", `leaderboard?scope=${scope}`);
    $("leaders").replaceChildren(...board.leaders.map(line));
    $("board").hidden = !board.leaders.length;
    const least = fill(words.from, { count: board.min_answers });
    const how = scope === "today" ? words.sum : words.mean;
    $("board-note").textContent = board.leaders.length ? `${least} ${how}` : `${words.empty} ${least}`;
  } catch (error) {
    $("board").hidden = true;
    $("board-note").textContent = error.said;
  }
}

function line(leader) {
  const row = element("tr", "", leader.is_you ? "you" : "");
  const name = leader.name ?? words.somebody;
  const right = fill(words.percent, { percent: Math.round(100 * leader.accuracy) });
  row.append(
    element("td", leader.rank),
    element("th", leader.is_you ? `▸ ${name} (${words.you})` : name),
    element("td", signed(leader.points)),
    element("td", right),
    element("td", leader.answers),
  );
  row.children[1].scope = "row";
  return row;
}

async function link(body) {
  try {
    const made = await ask("POST", "link", body);
    $("link-lines").replaceChildren(...made.lines.map((text) => element("p", text)));
    if (made.linked) {
      $("code").value = "";
      showMe();
      showBoard();
    }
  } catch (error) {
    $("link-lines").replaceChildren(element("p", error.said));
  }
}
