
// The graph of a search: from the query to the first answers, from chosen and rejected ones by loss, gradient and
// update to new ones. Boxes lead to their texts.
const BOX = { wide: 84, high: 26, column: 112, row: 32, lane: 16 };

function searchGraph(detail, places) {
  const nodes = new Map(), edges = [];
  let columns = 0;
  const add = (id, label, kind, column, text, go) => {
    nodes.set(id, { label, kind, column, text, go });
    columns = Math.max(columns, column + 1);
  };
  const link = (from, to, kind) => { if (nodes.has(from) && nodes.has(to)) edges.push({ from, to, kind }); };
  const addAnswer = (place, column) => {
    const [, score, text] = detail.candidates[place];
    add("answer-" + place, `${place}: ${number(score, 2)}`, place === detail.best ? "good" : "", column, text, () => openAnswer(place));
  };
  add("query", "query", "", 0, detail.query, () => goTo("query-text"));
  detail.candidates.forEach(([iteration], place) => {
    addAnswer(place, 1 + iteration * 4);
    if (iteration === 0) link("query", "answer-" + place);
  });
  detail.iterations.forEach((made, step) => {
    const column = 1 + (made.iteration - 1) * 4;
    made.losses.forEach((text, i) => {
      const id = `loss-${step}-${i}`;
      add(id, "loss", "step", column + 1, text, () => goTo(id));
      link("answer-" + made.chosen, id, "chosen");
      // One loss for each rejected answer, or one for all of them.
      const against = made.losses.length === made.rejected.length ? made.rejected.slice(i, i + 1) : made.rejected;
      for (const place of against) link("answer-" + place, id, "rejected");
    });
    if (made.gradient === null) return;
    const [gradient, update] = ["gradient-" + step, "update-" + step];
    add(gradient, "gradient", "step", column + 2, made.gradient, () => goTo(gradient));
    made.losses.forEach((_, i) => link(`loss-${step}-${i}`, gradient));
    add(update, "update", "step", column + 3, plural(made.updates, "new version"), () => goTo(update));
    link(gradient, update);
    link("answer-" + made.chosen, update, "chosen");
    for (const place of places[step]) link(update, "answer-" + place);
  });
  return { nodes, edges, columns };
}

function graphView(detail, places) {
  const { nodes, edges, columns } = searchGraph(detail, places);
  const stacks = Array.from({ length: columns }, () => []);
  for (const node of nodes.values()) stacks[node.column].push(node);
  const rows = Math.max(...stacks.map((stack) => stack.length));
  const wide = (columns - 1) * BOX.column + BOX.wide + 16, high = rows * BOX.row + 2 * BOX.lane;
  stacks.forEach((stack, column) => stack.forEach((node, i) => {
    node.x = 8 + column * BOX.column;
    node.y = high / 2 + (i - stack.length / 2) * BOX.row + (BOX.row - BOX.high) / 2;
  }));
  const drawing = svg("svg", { class: "chart graph", viewBox: `0 0 ${wide} ${high}`, width: wide, height: high, role: "group", "aria-label": "Graph of the search" });
  for (const { from, to, kind } of edges) {
    const [a, b] = [nodes.get(from), nodes.get(to)];
    const [x1, y1, x2, y2] = [a.x + BOX.wide, a.y + BOX.high / 2, b.x, b.y + BOX.high / 2];
    const gap = BOX.column - BOX.wide, lane = kind === "rejected" ? 6 : high - 6;
    // What passes by other boxes goes above or below them.
    const way = b.column - a.column === 1
      ? `C${x1 + gap / 2} ${y1} ${x2 - gap / 2} ${y2} ${x2} ${y2}`
      : `C${x1 + gap * 0.8} ${y1} ${x1 + gap * 0.2} ${lane} ${x1 + gap} ${lane}L${x2 - gap} ${lane}C${x2 - gap * 0.2} ${lane} ${x2 - gap * 0.8} ${y2} ${x2} ${y2}`;
    drawing.append(svg("path", { class: "edge " + (kind || ""), d: `M${x1} ${y1}${way}` }));
  }
  for (const node of nodes.values()) {
    drawing.append(svg("g", { class: "box " + node.kind, tabindex: 0, role: "button", "aria-label": node.label, on: pressed(node.go) },
      svg("title", {}, brief(node.text ?? LEFT_OUT)),
      svg("rect", { x: node.x, y: node.y, width: BOX.wide, height: BOX.high, rx: 6 }),
      svg("text", { "text-anchor": "middle", x: node.x + BOX.wide / 2, y: node.y + 17 }, node.label)));
  }
  // As large as it is, so that it can be read.
  drawing.style.minWidth = drawing.style.maxWidth = wide + "px";
  return el("div", { class: "wide" }, drawing);
}
