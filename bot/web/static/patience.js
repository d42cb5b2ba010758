// Tries again what may work later, and tells how long that takes.

import { $, fill, words } from "./say.js";

const MOST_S = 180; // of waiting in all: after that the reader decides

let tryNow = null; // ends the wait that is under way

// Calls `work` until it gives something. Throws what it threw last, or an AbortError when `signal` says so.
export async function patiently(work, signal, tell) {
  for (let waited = 0; ; ) {
    try {
      return await work();
    } catch (refused) {
      const { waitS } = refused;
      if (waitS == null || waited + waitS > MOST_S) throw refused;
      waited += waitS || 1;
      tell(`${refused.said} ${fill(words.again, { seconds: waitS })}`);
      await countDown(waitS, signal);
    }
  }
}

$("now").addEventListener("click", () => {
  $("stop").focus(); // this button goes
  tryNow?.();
});
window.addEventListener("online", () => tryNow?.());

function countDown(seconds, signal) {
  const end = performance.now() + 1000 * seconds;
  return new Promise((done, fail) => {
    const show = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      $("count").textContent = fill(words.count, { seconds: Math.max(0, left) });
      if (left <= 0) finish(done);
    };
    const ticking = setInterval(show, 250);
    const stop = () => finish(() => fail(signal.reason));
    const finish = (then) => {
      clearInterval(ticking);
      signal.removeEventListener("abort", stop);
      tryNow = null;
      $("count").textContent = "";
      $("now").hidden = true;
      then();
    };
    signal.addEventListener("abort", stop, { once: true });
    tryNow = () => finish(done);
    $("now").hidden = false;
    show();
  });
}

// "It may work again at 15:04." of a refusal that has to wait too long, else "".
export function when(refused) {
  if (!(refused.waitS > MOST_S)) return "";
  const at = new Date(Date.now() + 1000 * refused.waitS);
  return fill(words.later, { time: at.toLocaleTimeString(document.documentElement.lang, { timeStyle: "short" }) });
}
