
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

const pre = (text) => fill(el("pre", { class: "text", dir: "auto", tabindex: "0" }), text);

// One line of at most `max` characters for labels and lists.
const graphemes = typeof Intl === "object" && Intl.Segmenter ? new Intl.Segmenter() : null;
function brief(text, max) {
  const head = signs(text.slice(0, max * 8).replace(/\s+/g, " ").trim());
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
