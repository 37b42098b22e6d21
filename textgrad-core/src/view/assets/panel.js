
// Everything about what is selected.
const panel = $("panel");

function dot(node) {
  const mark = el("span", { class: "dot", "aria-hidden": "true" });
  const [back, border] = colours(node);
  mark.style.background = back;
  mark.style.borderColor = border;
  if (node.kind === "call") mark.style.borderRadius = "9px";
  return mark;
}

function linkTo(index) {
  const node = graph.nodes[index], title = brief(graph.title(node), 36);
  const button = el("button", { type: "button", class: "link", title: `node ${index}`, on: { click: () => { select(index); show(index); } } }, dot(node), el("bdi", {}, title || "(no name)"));
  return button;
}

function copyButton(text) {
  const button = el("button", { type: "button", class: "small", on: { click: async () => {
    try { await navigator.clipboard.writeText(text); button.textContent = "Copied"; } catch { button.textContent = "Not allowed"; }
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  } } }, "Copy");
  return button;
}

const section = (title, ...children) => {
  const inside = children.flat().filter(Boolean);
  return inside.length ? [el("h3", {}, title), ...inside] : [];
};
const withCopy = (title, text) => el("div", { class: "head" }, el("h3", {}, title), copyButton(text));

function requestView(request, open) {
  const messages = request.messages.map((message) => el("div", { class: "item" },
    el("p", { class: "soft" }, message.role),
    message.parts.map((part) => "text" in part ? pre(part.text) : fill(el("p", { class: "soft" }), `[${part.media_type}, ${part.bytes} bytes]`))));
  const details = el("details", {}, el("summary", {}, `${request.purpose}: ${plural(request.messages.length, "message")}`),
    messages, el("details", {}, el("summary", {}, "sampling"), pre(request.sampling)),
    request.format && el("details", {}, el("summary", {}, "format of the answer"), pre(request.format)));
  details.open = open;
  return details;
}

// A text with what went and what came, along the runs that were found when the page was made.
function differenceView(update) {
  const [before, after] = [update.before, update.after].map((i) => Array.from(graph.text(graph.nodes[i])));
  const box = el("pre", { class: "text", dir: "auto", tabindex: "0" });
  let [i, j] = [0, 0], [gone, come] = [0, 0];
  for (const [kind, length] of update.changes) {
    if (kind === "-") { box.append(fill(el("del", {}), before.slice(i, i + length).join(""))); i += length; gone++; }
    else if (kind === "+") { box.append(fill(el("ins", {}), after.slice(j, j + length).join(""))); j += length; come++; }
    else { fill(box, after.slice(j, j + length).join("")); i += length; j += length; }
  }
  return [el("p", { class: "soft" }, gone + come ? `${plural(gone, "removal")}, ${plural(come, "addition")}` : "no change"), box];
}

function gradientView(gradient, given) {
  const other = given ? gradient.variable : gradient.consumer;
  const name = graph.edges.length && gradient.consumer !== null
    ? graph.inputs[gradient.consumer].find((edge) => edge.position === gradient.argument)?.name : null;
  const from = other === null ? (gradient.kind === "merged" ? "merged from the above" : "the objective of the pass") : null;
  return el("div", { class: "item" },
    el("div", { class: "row" }, el("span", { class: "soft" }, given ? "on" : "from"), from ? el("span", {}, from) : linkTo(other),
      name && el("span", { class: "soft" }, "argument ", el("bdi", {}, brief(name, 30)))),
    gradient.text === null ? el("p", { class: "soft" }, "the objective itself: nothing was said") : pre(gradient.text),
    gradient.words === undefined ? null : el("div", { class: "row" }, el("span", { class: "soft" }, "its words"), linkTo(gradient.words)),
    gradient.request && requestView(gradient.request, false));
}

function neighbours(edges, end) {
  const rows = edges.slice(0, 100).map((edge) => el("div", { class: "row" }, linkTo(edge[end]),
    el("span", { class: "soft" }, edge.name ? fill(el("bdi", {}), brief(edge.name, 30)) : edges.length > 1 && end === "to" ? `output ${edge.position + 1}` : "")));
  if (edges.length > 100) rows.push(el("p", { class: "soft" }, `and ${edges.length - 100} more`));
  return rows;
}

function variableView(index, node) {
  const text = graph.text(node), made = graph.inputs[index][0], update = graph.madeFrom.get(index);
  return [
    update && section("What changed", el("div", { class: "row" }, el("span", { class: "soft" }, "against"), linkTo(update.before)), differenceView(update)),
    withCopy("Text", text), pre(text),
    section("Feedback received", graph.received[index].map((gradient) => gradientView(gradient, false))),
    section("New versions", graph.versions[index].map((update) => el("details", { class: "item" },
      el("summary", {}, linkTo(update.after)), differenceView(update)))),
    section("Made by", made && el("div", { class: "row" }, linkTo(made.from))),
    section("Used by", neighbours(graph.outputs[index], "to")),
  ];
}

function callOfNode(index, node) {
  const logged = graph.logged.get(index) || [];
  return [
    section("Request", node.request && requestView(node.request, true)),
    section("In the log", logged.map((i) => el("div", { class: "item" }, callFacts(page.calls[i]),
      el("button", { type: "button", class: "small", on: { click: () => { openTab("calls"); openCall(i); } } }, `call ${i + 1}`)))),
    section("Inputs", neighbours(graph.inputs[index], "from")),
    section("Outputs", neighbours(graph.outputs[index], "to")),
    section("Feedback given", graph.gave[index].map((gradient) => gradientView(gradient, true))),
  ];
}

function select(index) {
  selected = index;
  panel.scrollTop = 0;
  if (index < 0) { overview(); redraw(); return; }
  const node = graph.nodes[index], title = graph.title(node);
  const badges = el("div", { class: "badges" },
    el("span", { class: "badge" }, dot(node), classOf(node).name),
    node.requires_grad && el("span", { class: "badge" }, "requires gradient"),
    node.score !== undefined && el("span", { class: "badge" }, "score " + scoreText(node.score, 6)),
    graph.stageNames[node.stage] !== undefined && fill(el("span", { class: "badge", dir: "auto" }), graph.stageNames[node.stage]),
    node.label !== undefined && fill(el("span", { class: "badge", dir: "auto" }), node.role),
    el("span", { class: "badge soft" }, "node " + index));
  const content = node.kind === "call" ? callOfNode(index, node) : variableView(index, node);
  panel.replaceChildren(fill(el("h2", { dir: "auto" }), title), badges, ...content.flat(3).filter(Boolean));
  say(`${classOf(node).name}: ${brief(title, 60)}. ${brief(graph.text(node), 80)}`);
  show(index);
}

// Feedback that is a node of the graph is one text, whatever it reached.
const feedbackTexts = () => graph.nodes.filter((node) => node.kind === "variable" && node.class === "feedback").length
  + graph.gradients.filter((gradient) => gradient.kind === "feedback" && (gradient.words ?? null) === null).length;

// Explains what is drawn, and nothing else.
function drawnSigns() {
  const lines = graph.gradients.some((gradient) => gradient.consumer !== null && gradient.kind !== "objective");
  return ["Boxes are texts, pills are calls.",
    graph.nodes.some((node) => node.requires_grad) && "A thick border marks a text that requires feedback.",
    graph.nodes.some((node) => node.score !== undefined) && "The number in a box is its score.",
    lines && "Dashed red lines are feedback, from a call back to what it used" + (graph.quiet ? ", of the node under the pointer and of the one selected." : "."),
    graph.gradients.some((gradient) => gradient.kind === "feedback") && "The red number counts the feedback that a text received.",
    graph.madeFrom.size > 0 && "\u00b1 marks a new version of a text."].filter(Boolean).join(" ");
}

// What has a score, by stage.
const SCORED = 200;
function scored() {
  const stages = new Map();
  graph.nodes.forEach((node, i) => {
    if (node.score === undefined) return;
    if (!stages.has(node.stage)) stages.set(node.stage, []);
    stages.get(node.stage).push(i);
  });
  return [...stages].sort(([a], [b]) => (a ?? 0) - (b ?? 0)).flatMap(([stage, nodes]) => section(
    graph.stageNames[stage] ?? "Scores",
    nodes.slice(0, SCORED).map((i) => el("div", { class: "row" }, linkTo(i), el("b", {}, scoreText(graph.nodes[i].score, 6)))),
    nodes.length > SCORED && el("p", { class: "soft" }, `and ${nodes.length - SCORED} more`)));
}

function overview() {
  const count = (kind) => graph.nodes.filter((node) => node.kind === kind).length;
  const asked = graph.nodes.filter((node) => node.kind === "call" && node.request).length;
  panel.replaceChildren(fill(el("h2", {}), graph.name),
    el("p", { class: "soft" }, `${plural(count("variable"), "variable")}, ${plural(count("call"), "call")} (${asked} of models), ${plural(feedbackTexts(), "feedback text")}`),
    el("p", {}, "Click a node, or go along the edges with the arrow keys. Drag to move, turn the wheel to zoom."),
    el("p", { class: "soft narrow" }, drawnSigns()), ...scored());
  $("signs").textContent = drawnSigns();
}
