// A small model of the DOM: elements, texts, events and a canvas that records what is drawn.
(() => {
globalThis.assert = require("node:assert/strict");

class Element {
  constructor(tag) {
    Object.assign(this, { tagName: tag, attributes: {}, nodes: [], listeners: {}, style: {}, dataset: {}, parent: null });
    Object.assign(this, { value: "", checked: false, hidden: false, open: false, disabled: false, scrollTop: 0, clientWidth: 600 });
    const classes = new Set();
    this.classList = {
      add: (name) => classes.add(name), remove: (name) => classes.delete(name), contains: (name) => classes.has(name),
      toggle: (name, on) => on ? classes.add(name) : classes.delete(name),
    };
  }
  setAttribute(name, value) {
    this.attributes[name] = String(value);
    if (name === "class") this.className = String(value);
    if (name.startsWith("data-")) this.dataset[name.slice(5)] = String(value);
    if (name === "id") byId.set(String(value), this);
    if (name === "value") this.value = String(value);
  }
  set className(names) { names.split(/\s+/).filter(Boolean).forEach((name) => this.classList.add(name)); }
  append(...nodes) {
    for (const node of nodes) {
      assert(node instanceof Element || typeof node === "string", `a node or a text, not ${node}`);
      if (node instanceof Element) node.parent = this;
      this.nodes.push(node);
    }
  }
  replaceChildren(...nodes) { this.nodes = []; this.append(...nodes); }
  remove() { if (this.parent) this.parent.nodes = this.parent.nodes.filter((node) => node !== this); }
  get children() { return this.nodes.filter((node) => node instanceof Element); }
  get firstElementChild() { return this.children[0] ?? null; }
  get textContent() { return this.nodes.map((node) => typeof node === "string" ? node : node.textContent).join(""); }
  set textContent(text) { this.nodes = [String(text)]; }
  set innerHTML(_) { throw new Error("texts enter a page as text nodes only"); }
  get tBodies() { return this.children.filter((child) => child.tagName === "tbody"); }
  *all() { for (const child of this.children) { yield child; yield* child.all(); } }
  querySelectorAll(selector) {
    const [, tag, name] = /^(?:#\w+ )?([\w-]*)\.?([\w-]*)/.exec(selector);
    return [...this.all()].filter((one) => (!tag || one.tagName === tag) && (!name || one.classList.contains(name)));
  }
  querySelector(selector) { return this.querySelectorAll(selector)[0] ?? null; }
  contains(other) { return other === this || [...this.all()].includes(other); }
  addEventListener(event, run) { (this.listeners[event] ??= []).push(run); }
  send(event, more = {}) {
    for (const run of this.listeners[event] ?? []) run({ target: this, preventDefault() {}, ...more });
  }
  getBoundingClientRect() { return { left: 0, top: 0, width: 900, height: 600 }; }
  getContext() { return paper; }
  focus() {}
  select() {}
  scrollIntoView() {}
  setPointerCapture() {}
}

globalThis.HTMLInputElement = Element;
globalThis.paper = new Proxy({ texts: [] }, {
  get(own, name) {
    if (name === "texts") return own.texts;
    if (name === "measureText") return (text) => ({ width: 6.5 * text.length });
    if (name === "fillText") return (text) => own.texts.push(text);
    return name in own ? own[name] : () => {};
  },
  set(own, name, value) { own[name] = value; return true; },
});

const byId = new Map(), body = new Element("body"), root = new Element("html");
globalThis.body = body;
// The elements of the page that have an id, with what the script reads of them.
for (const [, tag, attributes] of HTML.matchAll(/<([a-z][a-z0-9]*)((?: [^<>]*)? id="[^<>]*)>/g)) {
  const element = new Element(tag);
  for (const [, name, value] of attributes.matchAll(/ ([a-z-]+)(?:="([^"]*)")?/g)) element.setAttribute(name, value ?? "");
  element.checked = "checked" in element.attributes;
  element.hidden = "hidden" in element.attributes;
  if (tag === "script") element.textContent = HTML.split(`id="${element.attributes.id}">`)[1].split("</script>")[0];
  if (tag === "table") element.append(new Element("tbody"));
  if (tag === "select") element.value = /<option value="([^"]*)"/.exec(HTML.split(`id="${element.attributes.id}"`)[1])?.[1] ?? "";
  body.append(element);
}
globalThis.document = {
  title: /<title>([^<]*)/.exec(HTML)[1], documentElement: root, body, activeElement: body,
  getElementById: (id) => byId.get(id) ?? null,
  createElement: (tag) => new Element(tag), createElementNS: (_, tag) => new Element(tag),
  querySelectorAll: (selector) => body.querySelectorAll(selector), querySelector: (selector) => body.querySelector(selector),
  addEventListener() {},
};
const frames = [];
globalThis.frame = () => { paper.texts.length = 0; frames.splice(0).forEach((draw) => draw()); };
Object.assign(globalThis, {
  requestAnimationFrame: (draw) => frames.push(draw), matchMedia: () => ({ matches: false, addEventListener() {} }),
  getComputedStyle: () => ({ getPropertyValue: () => "#000" }), ResizeObserver: class { observe() {} },
  devicePixelRatio: 1, innerHeight: 800, location: { hash: "", pathname: "/page.html" }, history: { replaceState() {} },
});
})();
