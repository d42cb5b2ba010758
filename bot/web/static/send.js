// Sends a picture to the API. XMLHttpRequest, because fetch does not tell how much of it has been sent.

import { words } from "./say.js";

const UNREACHED_S = 5; // until another try at a server that does not answer: it may be restarting

// Why there is no answer. said: a line for the reader; kind: the problem's type; waitS: seconds until another try is
// worth it, null where the same would come again.
export class Refused extends Error {
  constructor(said, kind = "", waitS = null) {
    super(said);
    Object.assign(this, { said, kind, waitS });
  }
}

// The API's answer as JSON. sent: told the share of the picture that is sent, in [0, 1]. Throws Refused, and an
// AbortError when `signal` says so.
export function send(file, query, signal, sent) {
  return new Promise((done, fail) => {
    if (signal.aborted) return fail(signal.reason);
    const request = new XMLHttpRequest();
    request.open("POST", `api/v1/check?${query}`);
    request.setRequestHeader("Accept", "application/json");
    request.setRequestHeader("Accept-Language", document.documentElement.lang);
    request.upload.onprogress = (event) => event.lengthComputable && sent(event.loaded / event.total);
    request.upload.onload = () => sent(1);
    request.onload = () => {
      const refused = problem(request);
      if (refused) fail(refused);
      else done(JSON.parse(request.responseText));
    };
    request.onerror = () => fail(new Refused(words.noAnswer, "", UNREACHED_S));
    const abort = () => (request.abort(), fail(signal.reason));
    signal.addEventListener("abort", abort, { once: true });
    request.onloadend = () => signal.removeEventListener("abort", abort);
    const form = new FormData();
    form.append("image", file, file.name || "picture");
    request.send(form);
  });
}

function problem(request) {
  let json;
  try {
    json = JSON.parse(request.responseText);
  } catch {
    return new Refused(words.odd, "", request.status >= 500 ? UNREACHED_S : null); // a proxy's own page, perhaps
  }
  if (request.status === 200) return null;
  const retry = Number.parseInt(request.getResponseHeader("Retry-After") ?? "", 10);
  const isBusy = request.status === 429 || request.status === 503;
  return new Refused(json.detail ?? words.odd, json.type, isBusy ? (retry >= 0 ? retry : UNREACHED_S) : null);
}
