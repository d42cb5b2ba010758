// The panel that the chats send, to be saved. It is painted only when somebody wants it: that takes the server several
// times as long as to look at the picture once more, which gives the same answer.

import { blobOf } from "./given.js";
import { $, element, words } from "./say.js";
import { send } from "./send.js";

let shown = null; // {file, answer} of the verdict on the page

export function offerPanel(file, answer) {
  shown = { file, answer };
  tell("");
}

$("save").addEventListener("click", async () => {
  const { file, answer } = shown;
  if ($("save").getAttribute("aria-disabled") === "true") return;
  $("save").setAttribute("aria-disabled", "true");
  tell(words.painting);
  try {
    const painted = await send(file, "panel=true", new AbortController().signal, () => {});
    const url = painted.panel;
    const kind = url.startsWith("data:image/png") ? "png" : "jpg";
    download(blobOf(url, `faces-${answer.sha256.slice(0, 8)}.${kind}`));
    tell(painted.model === answer.model ? words.saved : words.savedAnew);
  } catch (error) {
    tell(error.said ?? words.odd);
  } finally {
    $("save").setAttribute("aria-disabled", "false");
  }
});

function tell(text) {
  $("save-words").textContent = text;
}

function download(file) {
  const link = element("a");
  link.href = URL.createObjectURL(file);
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
