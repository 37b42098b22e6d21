
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

const pre = (text) => fill(el("pre", { dir: "auto", tabindex: "0" }), text);
const brief = (text) => signs(text.slice(0, 300).replace(/\s+/g, " "));
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
