
// What part of the drawing is on the screen, and how large.
const camera = { x: 0, y: 0, k: 1 };
const SMALLEST = 0.002, LARGEST = 4;
let graph = null, selected = -1, hovered = -1, hits = new Set();
const hidden = new Set();
const canvas = $("canvas"), pen = canvas.getContext("2d");
let wide = 1, high = 1, due = false;

function redraw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; draw(); });
}

function resize() {
  const rect = canvas.getBoundingClientRect(), dots = devicePixelRatio || 1;
  // What is at the top stays there.
  camera.y += (rect.height - high) / 2 / camera.k;
  [wide, high] = [Math.max(1, rect.width), Math.max(1, rect.height)];
  canvas.width = Math.round(wide * dots);
  canvas.height = Math.round(high * dots);
  redraw();
}

const toScreen = (x, y) => [(x - camera.x) * camera.k + wide / 2, (y - camera.y) * camera.k + high / 2];
const toWorld = (x, y) => [(x - wide / 2) / camera.k + camera.x, (y - high / 2) / camera.k + camera.y];

function zoomAt(x, y, factor) {
  const [wx, wy] = toWorld(x, y);
  camera.k = Math.min(LARGEST, Math.max(SMALLEST, camera.k * factor));
  camera.x = wx - (x - wide / 2) / camera.k;
  camera.y = wy - (y - high / 2) / camera.k;
  redraw();
}

function fitScale() {
  const { w, h } = graph.box;
  return Math.min((wide - 60) / Math.max(w, 1), (high - 120) / Math.max(h, 1));
}

function fit() {
  const { x, y, w, h } = graph.box;
  camera.k = Math.min(1.25, Math.max(SMALLEST, fitScale()));
  camera.x = x + w / 2;
  camera.y = y + h / 2;
  redraw();
}

// All of a small graph; of a large one, its beginning, as large as it can be read.
const READABLE = 1;
function begin() {
  if (fitScale() >= READABLE) return fit();
  const { x, y, w } = graph.box;
  const whole = (wide - 60) / Math.max(w, 1) >= READABLE;
  camera.k = READABLE;
  const first = graph.byRow[0].map((i) => graph.nodes[i].x);
  camera.x = whole ? x + w / 2 : first[Math.floor(first.length / 2)] ?? x;
  camera.y = y + high / 2 / camera.k - 44 / camera.k;
  redraw();
}

function show(index) {
  const node = graph.nodes[index], [x, y] = toScreen(node.x, node.y);
  if (camera.k < 0.5) camera.k = 0.8;
  else if (x > 90 && x < wide - 90 && y > 60 && y < high - 90) return redraw();
  [camera.x, camera.y] = [node.x, node.y];
  redraw();
}

function nodeAt(x, y) {
  const [wx, wy] = toWorld(x, y), slack = 4 / camera.k;
  let found = -1;
  graph.rows.forEach(([top, height], row) => {
    if (wy < top - slack || wy > top + height + slack) return;
    for (const i of graph.byRow[row]) {
      const { x, y, w, h } = graph.nodes[i];
      if (Math.abs(wx - x) <= w / 2 + slack && Math.abs(wy - y) <= h / 2 + slack && !hidden.has(graph.nodes[i].class)) found = i;
    }
  });
  return found;
}

const held = new Map();
let moved = false, pinch = 0;
canvas.addEventListener("pointerdown", (event) => {
  canvas.setPointerCapture(event.pointerId);
  held.set(event.pointerId, [event.offsetX, event.offsetY]);
  moved = held.size > 1;
});
canvas.addEventListener("pointermove", (event) => {
  const now = [event.offsetX, event.offsetY], last = held.get(event.pointerId);
  if (!last) {
    const over = nodeAt(...now);
    if (over !== hovered) { hovered = over; canvas.classList.toggle("over", over >= 0); redraw(); }
    return;
  }
  if (Math.abs(now[0] - last[0]) + Math.abs(now[1] - last[1]) < 3 && !moved) return;
  moved = true;
  canvas.classList.add("held");
  held.set(event.pointerId, now);
  if (held.size === 2) {
    const [a, b] = [...held.values()], size = Math.hypot(a[0] - b[0], a[1] - b[1]);
    if (pinch) zoomAt((a[0] + b[0]) / 2, (a[1] + b[1]) / 2, size / pinch);
    pinch = size;
    return;
  }
  camera.x -= (now[0] - last[0]) / camera.k;
  camera.y -= (now[1] - last[1]) / camera.k;
  redraw();
});
for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => {
  held.delete(event.pointerId);
  pinch = 0;
  canvas.classList.remove("held");
  if (end === "pointerup" && !moved) select(nodeAt(event.offsetX, event.offsetY));
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const unit = event.deltaMode === 1 ? 20 : 1;
  zoomAt(event.offsetX, event.offsetY, Math.exp(-Math.max(-240, Math.min(240, event.deltaY * unit)) / 320));
}, { passive: false });

function step(key) {
  if (selected < 0) return select(graph.byRow.find((row) => row.length)?.[0] ?? -1);
  const row = graph.byRow[graph.row[selected]], at = row.indexOf(selected);
  const near = (list, end) => list.map((edge) => edge[end])
    .sort((a, b) => Math.abs(graph.nodes[a].x - graph.nodes[selected].x) - Math.abs(graph.nodes[b].x - graph.nodes[selected].x))[0];
  const next = { ArrowLeft: row[at - 1], ArrowRight: row[at + 1], ArrowUp: near(graph.inputs[selected], "from"), ArrowDown: near(graph.outputs[selected], "to") }[key];
  if (next !== undefined) select(next);
}

canvas.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const pan = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (pan && event.shiftKey) { camera.x += pan[0] * 120 / camera.k; camera.y += pan[1] * 120 / camera.k; redraw(); }
  else if (pan) step(event.key);
  else if (event.key === "+" || event.key === "=") zoomAt(wide / 2, high / 2, 1.25);
  else if (event.key === "-") zoomAt(wide / 2, high / 2, 0.8);
  else if (event.key === "0") fit();
  else if (event.key === "Enter" || event.key === " ") $("panel").focus();
  else if (event.key === "Escape") select(-1);
  else return;
  event.preventDefault();
});
