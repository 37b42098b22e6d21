
// The drawing: only what is on the screen, and without texts where they could not be read.
const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif';
const labels = new WeakMap();

// A label cut to a width, measured once.
function label(node, text, width, font) {
  let known = labels.get(node);
  if (!known) labels.set(node, (known = {}));
  const key = font + width + text.slice(0, 48);
  if (known[key] === undefined) {
    pen.font = font;
    let cut = brief(text, 48);
    if (pen.measureText(cut).width > width) {
      let [low, top] = [1, 48];
      while (low < top) {
        const middle = (low + top + 1) >> 1;
        if (pen.measureText(brief(text, middle)).width <= width) low = middle; else top = middle - 1;
      }
      cut = brief(text, low);
    }
    known[key] = cut;
  }
  return known[key];
}

function draw() {
  const style = getComputedStyle(document.documentElement), dots = devicePixelRatio || 1;
  const ink = style.getPropertyValue("--ink"), soft = style.getPropertyValue("--soft"), line = dark ? "#5d6b80" : "#a9b4c2";
  const accent = style.getPropertyValue("--accent");
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.clearRect(0, 0, wide, high);
  if (!graph) return;
  const { k } = camera;
  pen.setTransform(dots * k, 0, 0, dots * k, dots * (wide / 2 - camera.x * k), dots * (high / 2 - camera.y * k));
  const [left, top] = toWorld(0, 0), [right, bottom] = toWorld(wide, high);
  const view = { left, top, right, bottom };
  const unseen = (i) => hidden.has(graph.nodes[i].class);
  drawEdges(view, line, unseen, k);
  drawFeedback(view, unseen, k);
  if (selected >= 0) drawNear(selected, accent, soft, style.getPropertyValue("--back"), k);
  graph.rows.forEach(([rowTop, height], row) => {
    if (rowTop > bottom || rowTop + height < top) return;
    for (const i of graph.byRow[row]) {
      const node = graph.nodes[i];
      if (node.x + node.w / 2 < left || node.x - node.w / 2 > right || unseen(i)) continue;
      drawNode(node, i, ink, soft, accent, k);
    }
  });
  drawStages(dots, ink, line, style.getPropertyValue("--back"));
  drawMap();
}

function curve(x1, y1, x2, y2, smooth) {
  pen.moveTo(x1, y1);
  if (!smooth) return pen.lineTo(x2, y2);
  const middle = (y1 + y2) / 2;
  pen.bezierCurveTo(x1, middle, x2, middle, x2, y2);
}

function drawEdges(view, line, unseen, k) {
  const smooth = k > 0.2;
  pen.lineWidth = Math.max(1.2, 0.7 / k);
  pen.strokeStyle = line;
  pen.globalAlpha = k > 0.2 ? 0.9 : 0.55;
  pen.beginPath();
  const far = [];
  for (const edge of graph.edges) {
    if (unseen(edge.from) || unseen(edge.to)) continue;
    if (graph.span(edge) > 1 && !graph.bus.has(edge.from)) { far.push(edge); continue; }
    const [x, y] = graph.before(edge), to = graph.nodes[edge.to], end = to.y - to.h / 2;
    if (y > view.bottom || end < view.top || Math.max(x, to.x + to.w) < view.left || Math.min(x, to.x - to.w) > view.right) continue;
    curve(x, y, to.x + edge.port, end, smooth);
  }
  for (const [source, bus] of graph.bus) if (!unseen(source)) drawBus(source, bus.length, view, smooth);
  pen.stroke();
  // What goes straight through rows is only hinted at; a selected node shows its own.
  pen.globalAlpha = far.length > 60 ? 0.12 : 0.5;
  pen.beginPath();
  for (const edge of far) {
    const [x, y] = graph.before(edge), to = graph.nodes[edge.to];
    if (y <= view.bottom && to.y >= view.top) curve(x, y, to.x + edge.port, to.y - to.h / 2, false);
  }
  pen.stroke();
  pen.globalAlpha = 1;
}

// Names stages at the left, each above its first row; that of the topmost row stays in sight.
function drawStages(dots, ink, line, back) {
  pen.setTransform(dots, 0, 0, dots, 0, 0);
  pen.font = "600 " + FONT;
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  let below = Infinity;
  for (const { row, name, best } of graph.stages.toReversed()) {
    const y = toScreen(0, graph.rows[row][0])[1] - Math.min(27, 27 * camera.k), place = Math.min(Math.max(y, 16), below - 22);
    if (y > high) continue;
    pen.strokeStyle = line;
    pen.lineWidth = 1;
    pen.setLineDash([2, 4]);
    pen.beginPath();
    if (y > 0) curve(0, y, wide, y, false);
    pen.stroke();
    pen.setLineDash([]);
    if (place < 16) break;
    const text = brief(name, 40) + (best === undefined ? "" : ` \u00b7 best score so far ${scoreText(best, 4)}`);
    pen.fillStyle = back;
    // Boxes below stay visible.
    pen.globalAlpha = camera.k < 0.3 ? 0.3 : 0.75;
    pen.fillRect(6, place - 10, pen.measureText(text).width + 12, 20);
    pen.globalAlpha = 1;
    pen.fillStyle = ink;
    pen.fillText(text, 12, place);
    below = place;
    if (y <= 16) break;
  }
}

// The first `count` rows that the results of a node pass through.
function drawBus(source, count, view, smooth) {
  const node = graph.nodes[source], bus = graph.bus.get(source), row = graph.row[source];
  let [x, y] = [node.x, node.y + node.h / 2];
  for (let i = 0; i < count; i++) {
    const [top, height] = graph.rows[row + 1 + i];
    if (top + height >= view.top && y <= view.bottom && !(Math.max(x, bus[i]) < view.left || Math.min(x, bus[i]) > view.right)) {
      curve(x, y, bus[i], top, smooth && x !== bus[i]);
      pen.lineTo(bus[i], top + height);
    }
    [x, y] = [bus[i], top + height];
  }
}

// What was said, from the call that used a variable back to the variable.
function drawFeedback(view, unseen, k) {
  pen.strokeStyle = CLASSES.feedback[dark ? "dark" : "light"][1];
  pen.lineWidth = Math.max(1.3, 0.8 / k);
  pen.setLineDash([6, 4]);
  pen.beginPath();
  for (const { consumer, variable, kind } of graph.gradients) {
    if (consumer === null || kind === "objective" || unseen(consumer) || unseen(variable)) continue;
    if (graph.quiet && ![consumer, variable].some((i) => i === selected || i === hovered)) continue;
    const from = graph.nodes[consumer], to = graph.nodes[variable];
    const [x1, x2] = [from.x + from.w / 2, to.x + to.w / 2];
    if (Math.min(from.y, to.y) > view.bottom || Math.max(from.y, to.y) < view.top || Math.max(x1, x2) + 60 < view.left || Math.min(from.x, to.x) > view.right) continue;
    const out = 26 + Math.min(90, Math.abs(from.y - to.y) / 6);
    pen.moveTo(x1, from.y);
    pen.bezierCurveTo(x1 + out, from.y, x2 + out, to.y, x2 + 3, to.y);
  }
  pen.stroke();
  pen.setLineDash([]);
}

// The edges of a node in full, with the names of arguments.
function drawNear(index, accent, soft, back, k) {
  const everywhere = { left: -Infinity, top: -Infinity, right: Infinity, bottom: Infinity };
  pen.strokeStyle = accent;
  pen.lineWidth = Math.max(2.2, 1.4 / k);
  pen.beginPath();
  const edges = [...graph.inputs[index], ...graph.outputs[index]];
  for (const edge of edges) {
    const [x, y] = graph.before(edge), to = graph.nodes[edge.to], span = graph.span(edge);
    if (span > 1 && graph.bus.has(edge.from)) drawBus(edge.from, span - 1, everywhere, true);
    curve(x, y, to.x + edge.port, to.y - to.h / 2, true);
  }
  pen.stroke();
  if (k < 0.45 || graph.inputs[index].length > 4) return;
  pen.font = FONT.replace("12px", "10px");
  pen.fillStyle = soft;
  pen.strokeStyle = back;
  pen.lineWidth = 4;
  pen.textAlign = "left";
  pen.textBaseline = "bottom";
  graph.inputs[index].forEach((edge, i) => {
    const to = graph.nodes[edge.to];
    if (!edge.name) return;
    const place = [brief(edge.name, 18), to.x + edge.port + 4, to.y - to.h / 2 - 4 - i * 11];
    pen.strokeText(...place);
    pen.fillText(...place);
  });
}

function drawNode(node, i, ink, soft, accent, k) {
  const [fillStyle, stroke] = colours(node), call = node.kind === "call";
  const [x, y] = [node.x - node.w / 2, node.y - node.h / 2];
  pen.globalAlpha = hits.size && !hits.has(i) && i !== selected ? 0.28 : 1;
  const small = Math.max(0, 2 / k - node.h);
  if (k < 0.14) {
    pen.fillStyle = stroke;
    pen.fillRect(x, y - small / 2, node.w, node.h + small);
  } else {
    pen.beginPath();
    pen.roundRect(x, y, node.w, node.h, call ? node.h / 2 : 6);
    pen.fillStyle = fillStyle;
    pen.fill();
    pen.lineWidth = node.requires_grad ? 2.2 : 1.3;
    pen.strokeStyle = stroke;
    pen.stroke();
  }
  if (i === selected || i === hovered || hits.has(i)) {
    pen.beginPath();
    pen.roundRect(x - 4, y - 4, node.w + 8, node.h + 8, call ? node.h / 2 + 4 : 9);
    pen.lineWidth = Math.max(i === selected ? 3 : 2, 2 / k);
    pen.strokeStyle = i === hovered && i !== selected ? soft : accent;
    pen.stroke();
  }
  if (k >= 0.3) drawText(node, i, x, y, ink, soft, stroke);
  pen.globalAlpha = 1;
}

function drawText(node, i, x, y, ink, soft, stroke) {
  const score = node.score === undefined ? "" : scoreText(node.score, 4);
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  if (node.kind === "call") {
    const font = "600 " + FONT;
    const text = label(node, node.op, node.w - 28, font);
    pen.font = font;
    pen.fillStyle = ink;
    pen.textAlign = "center";
    pen.fillText(text, node.x, node.y + 0.5);
    return;
  }
  const small = FONT.replace("12px", "12px"), room = node.w - 20;
  const role = label(node, graph.title(node), room - (score ? 46 : 0), small);
  pen.font = small;
  pen.fillStyle = stroke;
  pen.fillText(role, x + 10, y + 16);
  if (score) {
    pen.textAlign = "right";
    pen.font = "600 " + small;
    pen.fillText(brief(score, 8), x + node.w - 9, y + 16);
    pen.textAlign = "left";
  }
  const text = label(node, graph.text(node) || "(empty)", room, FONT);
  pen.font = FONT;
  pen.fillStyle = graph.text(node) ? ink : soft;
  pen.fillText(text, x + 10, y + 35);
  const said = graph.received[i].filter((gradient) => gradient.kind === "feedback").length;
  if (said || graph.madeFrom.has(i)) {
    pen.beginPath();
    pen.arc(x + node.w - 3, y + node.h - 3, 8, 0, 7);
    pen.fillStyle = CLASSES[said ? "feedback" : "update"][dark ? "dark" : "light"][1];
    pen.fill();
    pen.fillStyle = dark ? "#10151f" : "#ffffff";
    pen.font = "600 " + FONT.replace("12px", "10px");
    pen.textAlign = "center";
    pen.fillText(said ? (said > 99 ? "\u2026" : String(said)) : "\u00b1", x + node.w - 3, y + node.h - 2.5);
  }
}

// A small drawing of the whole, for graphs that do not fit.
const map = $("map"), mapPen = map.getContext("2d");
let mapped = null;
function drawMap() {
  const { x, y, w, h } = graph.box, k = Math.min(172 / Math.max(w, 1), 122 / Math.max(h, 1));
  map.hidden = fitScale() >= READABLE || wide < 520;
  if (map.hidden) return;
  const at = (px, py) => [90 + (px - x - w / 2) * k, 65 + (py - y - h / 2) * k];
  if (!mapped || mapped.graph !== graph || mapped.dark !== dark) {
    const image = document.createElement("canvas");
    [image.width, image.height] = [180, 130];
    const ink = image.getContext("2d");
    for (const node of graph.nodes) {
      const [px, py] = at(node.x - node.w / 2, node.y - node.h / 2);
      ink.fillStyle = colours(node)[1];
      ink.fillRect(px, py, Math.max(1.5, node.w * k), Math.max(1.5, node.h * k));
    }
    mapped = { graph, dark, image };
  }
  mapPen.clearRect(0, 0, 180, 130);
  mapPen.drawImage(mapped.image, 0, 0);
  const [l, t] = at(...toWorld(0, 0)), [r, b] = at(...toWorld(wide, high));
  mapPen.strokeStyle = dark ? "#ffffff" : "#000000";
  mapPen.lineWidth = 1.5;
  mapPen.strokeRect(Math.max(1, l), Math.max(1, t), Math.max(3, Math.min(178, r) - Math.max(1, l)), Math.max(3, Math.min(128, b) - Math.max(1, t)));
}
function jump(event) {
  if (event.buttons !== 1) return;
  const { x, y, w, h } = graph.box, k = Math.min(172 / Math.max(w, 1), 122 / Math.max(h, 1));
  camera.x = x + w / 2 + (event.offsetX - 90) / k;
  camera.y = y + h / 2 + (event.offsetY - 65) / k;
  redraw();
}
map.addEventListener("pointerdown", jump);
map.addEventListener("pointermove", jump);
