// What was dropped, pasted or chosen: a picture, or what to say instead.

import { words } from "./say.js";

// {file, note} or {trouble}, of what a drop or a paste holds. To be called before the event is over.
export function given(data) {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length && entries.every((entry) => entry.isDirectory)) return { trouble: words.folder };
  const files = [...data.files].filter((_, i) => !entries[i]?.isDirectory);
  if (files.length) return first(files);
  const inside = embedded(data.getData("text/html"));
  if (inside) return { file: inside, note: "" };
  const text = data.getData("text/uri-list") || data.getData("text/plain");
  const isLink = /<img\b/i.test(data.getData("text/html")) || /^\s*(https?|blob|file):/i.test(text);
  return { trouble: isLink ? words.link : words.noPicture };
}

export function first(files) {
  return { file: files[0], note: files.length > 1 ? words.one : "" };
}

// Why there is no use in sending that file, or "".
export async function unfit(file, maxBytes) {
  if (maxBytes && file.size > maxBytes) return words.tooLarge;
  try {
    await file.slice(0, 1).arrayBuffer();
  } catch {
    return words.unreadable; // moved, deleted, a folder, or not allowed
  }
  return file.size ? "" : words.empty;
}

// What to add to the server's line about that file: nothing of this is decided here, HEIC is only explained.
export function advice(file, problem) {
  const isHeic = /hei[cf]/i.test(file.type) || /\.hei[cf]$/i.test(file.name);
  return problem?.endsWith("#type") && isHeic ? words.heic : "";
}

// Of a file, in MiB, as the page's language writes it.
export function size(file) {
  return (file.size / 2 ** 20).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 });
}

// A picture that stands in the HTML itself, as web pages sometimes hold theirs.
function embedded(html) {
  const source = new DOMParser().parseFromString(html, "text/html").querySelector("img")?.getAttribute("src") ?? "";
  return blobOf(source, "picture");
}

// "data:image/png;base64,…" ▶ a File; null of anything else.
export function blobOf(url, name) {
  const [, kind, text] = /^data:(image\/[\w.+-]+);base64,([\w+/=\s]+)$/i.exec(url) ?? [];
  return kind ? new File([Uint8Array.from(atob(text), (each) => each.charCodeAt(0))], name, { type: kind }) : null;
}
