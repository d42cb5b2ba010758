// Keeps a page up to date: asks for it again every few seconds, and puts what is new in its place.

import { $, fill, words } from "./say.js";

const RUNNING_MS = 3000;
const STILL_MS = 30000;

const language = document.documentElement.lang;
const listeners = [];
let etag = $("main").dataset.etag;
let timer = null;
let asking = null; // the AbortController of what is under way
let heard = new Date();

// Have `listener` called whenever something has changed.
export function onNews(listener) {
  listeners.push(listener);
}

export function start() {
  localise(document);
  say("");
  plan();
  document.addEventListener("visibilitychange", () => (document.hidden ? pause() : look()));
}

// Show the page at another address in the place of this one.
export async function go(address, isBack = false) {
  if (!isBack) history.pushState(null, "", address);
  etag = "";
  await look();
}

// JSON from the API, and the same object as before while nothing has changed there.
const answers = new Map();
export async function ask(address) {
  const before = answers.get(address);
  const answer = await fetch(address, before ? { headers: { "If-None-Match": before.etag }, cache: "no-store" } : {});
  if (answer.status === 304) return before.body;
  if (!answer.ok) throw new Error(`${answer.status} from ${address}`);
  const found = { etag: answer.headers.get("ETag"), body: await answer.json() };
  answers.set(address, found);
  return found.body;
}

async function look() {
  clearTimeout(timer);
  asking?.abort();
  const mine = (asking = new AbortController());
  try {
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await fetch(location.href, { headers, cache: "no-store", signal: mine.signal });
    if (answer.status !== 304) {
      if (!answer.ok) throw new Error(String(answer.status));
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      etag = answer.headers.get("ETag") ?? "";
      localise(page);
      take(page);
      listeners.forEach((listener) => listener());
    }
    heard = new Date();
    say("");
  } catch {
    if (mine.signal.aborted) return;
    say(words.away);
  }
  plan();
}

function pause() {
  clearTimeout(timer);
  asking?.abort();
}

function plan() {
  clearTimeout(timer);
  if (!document.hidden) timer = setTimeout(look, isRunning() ? RUNNING_MS : STILL_MS);
}

function isRunning() {
  return document.querySelector("[data-running]")?.dataset.running === "yes";
}

function say(trouble) {
  $("live").textContent = fill(trouble || (isRunning() ? words.live : words.still), {
    time: heard.toLocaleTimeString(language),
  });
}

// Times as the reader's clock has them.
function localise(page) {
  for (const time of page.querySelectorAll("time")) {
    const at = new Date(time.dateTime);
    time.textContent = at.toLocaleString(language, { dateStyle: "medium", timeStyle: "short" });
  }
}

function take(page) {
  const focused = document.activeElement?.id;
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    if (fresh && !old.isEqualNode(fresh)) patch(old, fresh);
  }
  if (focused && document.activeElement?.id !== focused) $(focused)?.focus({ preventScroll: true });
}

// Make `old` like `fresh`, touching only what differs: whatever else the reader scrolled, marked or ticked stays.
function patch(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE || fresh.nodeType !== old.nodeType || fresh.tagName !== old.tagName) {
    old.replaceWith(document.importNode(fresh, true));
    return;
  }
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const keyed = new Map([...old.children].filter((child) => child.dataset.key).map((child) => [child.dataset.key, child]));
  [...fresh.childNodes].forEach((child, place) => {
    const same = child.dataset?.key ? keyed.get(child.dataset.key) : null;
    const here = old.childNodes[place];
    if (same) {
      if (same !== here) old.insertBefore(same, here ?? null);
      patch(same, child);
    } else if (!here || here.dataset?.key || child.dataset?.key) {
      old.insertBefore(document.importNode(child, true), here ?? null);
    } else {
      patch(here, child);
    }
  });
  while (old.childNodes.length > fresh.childNodes.length) old.lastChild.remove();
}
