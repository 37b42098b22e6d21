
"use strict";
// Elements. Text enters the page as text nodes only.
const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

function make(node, props, children) {
  for (const [key, value] of Object.entries(props || {})) {
    if (key === "on") for (const [event, run] of Object.entries(value)) node.addEventListener(event, run);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}
const el = (tag, props, ...children) => make(document.createElement(tag), props, children);
const svg = (tag, props, ...children) => make(document.createElementNS(SVG, tag), props, children);

// What would not be seen is shown by a sign: control characters, and those that turn the order of what
// follows around or have no width.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u2028\u2029\u202a-\u202e\u2060\u2066-\u2069\ufeff]/g;
function fill(node, text) {
  let rest = 0;
  for (const match of text.matchAll(UNSEEN)) {
    const code = match[0].codePointAt(0);
    node.append(text.slice(rest, match.index));
    node.append(el("span", { class: "code" }, code < 0x20 ? String.fromCodePoint(0x2400 + code) : "U+" + code.toString(16).toUpperCase().padStart(4, "0")));
    rest = match.index + 1;
  }
  node.append(text.slice(rest));
  return node;
}
const pre = (text) => fill(el("pre", { dir: "auto", tabindex: "0" }), text);
const brief = (text) => text.slice(0, 300).replace(/\s+/g, " ").replace(UNSEEN, "\u00b7");
const number = (value, digits = 3) => value === null || value === undefined ? "\u2013" : value.toFixed(digits).replace("-", "\u2212");
const signed = (value) => value === null ? "\u2013" : (value > 0 ? "+" : "") + number(value);
// A mouse or a key, for what is no button by itself.
const pressed = (go) => ({ click: go, keydown: (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); go(); } } });
const LEFT_OUT = "This text is not on the page, which would be too large with it. It is in results.jsonl of the run.";
const plural = (count, one) => count.toLocaleString("en") + " " + one + (count === 1 ? "" : "s");

const lists = JSON.parse($("lists").textContent);
const blocks = JSON.parse($("blocks").textContent);

// The texts of a query are unpacked when it is opened.
async function unpack(run, place) {
  const packed = blocks[run][place];
  if (packed === undefined) return null;
  const bytes = Uint8Array.from(atob(packed), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

const theme = matchMedia("(prefers-color-scheme: dark)");
let dark = theme.matches;
const paint = () => { document.documentElement.dataset.theme = dark ? "dark" : "light"; };
$("theme").addEventListener("click", () => { dark = !dark; paint(); });
theme.addEventListener("change", () => { dark = theme.matches; paint(); });
paint();
