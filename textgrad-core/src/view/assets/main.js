
// Views, legend, theme.
const models = page.graphs.map((data) => new GraphModel(data));
let tab = null;

function openTab(name) {
  tab = name;
  for (const button of $("tabs").children) button.setAttribute("aria-selected", String(button.dataset.tab === String(name)));
  const calls = name === "calls";
  $("stage").hidden = calls;
  $("calls").hidden = !calls;
  hits = new Set();
  if (calls) { callsOverview(); return query.value ? search() : listCalls(); }
  graph = models[name];
  selected = hovered = -1;
  // The panel and the legend leave less room for the graph.
  overview();
  legend();
  resize();
  begin();
  if (query.value) search();
}

function legend() {
  const counts = new Map(), units = new Map();
  // A class counts its texts, or its calls where it has no texts: each count says which.
  for (const kind of ["variable", "call"]) {
    const own = graph.nodes.filter((node) => node.kind === kind), known = new Set(counts.keys());
    for (const node of own) if (!known.has(node.class)) { counts.set(node.class, (counts.get(node.class) ?? 0) + 1); units.set(node.class, kind === "call" ? "call" : "text"); }
  }
  $("legend").replaceChildren(...Object.entries(CLASSES).filter(([key]) => counts.has(key)).map(([key, { name }]) => {
    const button = el("button", { type: "button", "aria-pressed": String(!hidden.has(key)), title: "Show or hide" },
      dot({ class: key, kind: key === "model" || key === "function" ? "call" : "variable" }), `${name}: ${plural(counts.get(key), units.get(key))}`);
    button.addEventListener("click", () => {
      if (!hidden.delete(key)) hidden.add(key);
      button.setAttribute("aria-pressed", String(!hidden.has(key)));
      redraw();
    });
    return button;
  }));
}

function paint() {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  if (graph) legend();
  redraw();
}

fill($("title"), document.title);
$("theme").addEventListener("click", () => { dark = !dark; paint(); });
theme.addEventListener("change", () => { dark = theme.matches; paint(); });
$("in").addEventListener("click", () => zoomAt(wide / 2, high / 2, 1.25));
$("out").addEventListener("click", () => zoomAt(wide / 2, high / 2, 0.8));
$("fit").addEventListener("click", fit);
paint();

const views = models.map((model, i) => [i, brief(model.name, 40)]);
if (page.calls.length || !models.length) views.push(["calls", `Calls (${page.calls.length})`]);
$("tabs").append(...views.map(([name, title]) => {
  const button = el("button", { type: "button", role: "tab", "data-tab": name, on: { click: () => openTab(name) } });
  return fill(button, title);
}));
$("tabs").hidden = views.length < 2;
new ResizeObserver(() => { if (graph && !$("stage").hidden) resize(); }).observe($("field"));
openTab(models.length ? 0 : "calls");
