
"use strict";
// Elements. Text enters the page as text nodes only.
const $ = (id) => document.getElementById(id);

function el(tag, props, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props || {})) {
    if (key === "class") node.className = value;
    else if (key === "on") for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// What would not be seen is shown by a sign: control characters, and those that turn the order of what
// follows around or have no width.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]/;
function sign(c) {
  const code = c.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return "U+" + code.toString(16).toUpperCase().padStart(4, "0");
}

// A long text goes into its element piece by piece.
function fill(node, text) {
  let rest = 0;
  if (UNSEEN.test(text)) {
    const all = new RegExp(UNSEEN.source, "g");
    for (let match; (match = all.exec(text)); ) {
      if (match.index > rest) node.append(text.slice(rest, match.index));
      node.append(el("span", { class: "code", title: "U+" + match[0].codePointAt(0).toString(16).padStart(4, "0") }, sign(match[0])));
      rest = match.index + 1;
    }
  }
  node.append(text.slice(rest));
  return node;
}

const pre = (text) => fill(el("pre", { class: "text", dir: "auto", tabindex: "0" }), text);

// One line of at most `max` characters for labels and lists.
const graphemes = typeof Intl === "object" && Intl.Segmenter ? new Intl.Segmenter() : null;
function brief(text, max) {
  const head = text.slice(0, max * 8).replace(/\s+/g, " ").trim().replace(new RegExp(UNSEEN.source, "g"), sign);
  const parts = graphemes ? Array.from(graphemes.segment(head), (part) => part.segment) : Array.from(head);
  const cut = parts.length > max || head.length < text.length && text.length > max * 8;
  return cut ? parts.slice(0, max - 1).join("") + "\u2026" : parts.join("");
}

const say = (text) => { $("status").textContent = text; };
const plural = (count, one) => count + " " + one + (count === 1 ? "" : "s");

// Texts and lines that occur several times are in the page once.
const texts = JSON.parse($("texts").textContent);
const page = JSON.parse($("data").textContent, (_, value) =>
  value !== null && typeof value === "object" && Object.hasOwn(value, "$") ? whole(value.$) : value);
function whole(pieces) {
  if (!Array.isArray(pieces)) return texts[pieces];
  return pieces.map((piece) => typeof piece === "number" ? texts[piece] : piece).join("");
}
