// The quiz over HTTP: asks, and tells in a line for the reader what went wrong.

import { $, words } from "./say.js";

const root = $("main").dataset.root;

// An address of the server's, as the page has to write it behind a proxy.
export const at = (path) => root + path.replace(/^\//, "");

// The API's answer. Throws an Error with `said`, a line for the reader, and `status`, 0 where nothing came back.
export async function ask(method, path, body) {
  const headers = { Accept: "application/json", "Accept-Language": document.documentElement.lang };
  const request = { method, headers, cache: "no-store" };
  if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(at(`api/v1/quiz/${path}`), request);
  } catch {
    throw refused(words.noAnswer, 0);
  }
  let json;
  try {
    json = await response.json();
  } catch {
    throw refused(words.odd, 0);
  }
  if (response.ok) return json;
  throw refused(json.detail ?? words.odd, response.status);
}

function refused(said, status) {
  return Object.assign(new Error(said), { said, status });
}
