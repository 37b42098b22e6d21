
// A graph with what the drawing and the panel look up.
const CLASSES = {
  parameter: { name: "parameter", light: ["#dbeafe", "#2563eb"], dark: ["#1c3658", "#6aa9ff"] },
  input: { name: "input, constant", light: ["#eef2f6", "#64748b"], dark: ["#212b3a", "#93a1b5"] },
  value: { name: "value", light: ["#ffffff", "#708096"], dark: ["#161d2a", "#8494ab"] },
  output: { name: "not used further", light: ["#e0e7ff", "#4f46e5"], dark: ["#23264d", "#a5b4fc"] },
  loss: { name: "loss, score", light: ["#ffedd5", "#c2570c"], dark: ["#43280f", "#fb9a4b"] },
  feedback: { name: "feedback", light: ["#fee2e2", "#c81e1e"], dark: ["#461b1e", "#f98080"] },
  update: { name: "update", light: ["#f3e8ff", "#8b2bd8"], dark: ["#33204d", "#c692fb"] },
  model: { name: "forward call", light: ["#ccfbf1", "#0f766e"], dark: ["#0f3a38", "#2dd4bf"] },
  function: { name: "function call", light: ["#e5e7eb", "#4b5563"], dark: ["#2b3240", "#a3adba"] },
};
const UNKNOWN = { name: "other", light: ["#ffffff", "#708096"], dark: ["#161d2a", "#8494ab"] };
const classOf = (node) => CLASSES[node.class] || UNKNOWN;

const theme = matchMedia("(prefers-color-scheme: dark)");
let dark = theme.matches;
const colours = (node) => classOf(node)[dark ? "dark" : "light"];

class GraphModel {
  constructor({ name, data, layout, logged }) {
    this.name = name;
    this.nodes = data.nodes;
    this.edges = data.edges;
    this.gradients = data.gradients;
    const { sizes, rows, row, x, buses, stages } = layout;
    this.rows = rows;
    this.row = row;
    this.bus = new Map(buses);
    this.logged = new Map(logged);
    this.stageNames = data.stages ?? [];
    // Each stage that is drawn: its first row, its name and the best score so far.
    this.stages = stages.map(([row, name]) => ({ row, name, best: this.bestBy(name) }));
    this.inputs = this.nodes.map(() => []);
    this.outputs = this.nodes.map(() => []);
    this.received = this.nodes.map(() => []);
    this.gave = this.nodes.map(() => []);
    // So many lines of feedback would hide everything else: those of one node are shown then.
    this.quiet = data.gradients.length > 120;
    this.madeFrom = new Map();
    this.versions = this.nodes.map(() => []);
    this.nodes.forEach((node, i) => {
      const [w, h] = sizes[node.kind === "call" ? 1 : 0];
      Object.assign(node, { x: x[i], y: rows[row[i]][0] + rows[row[i]][1] / 2, w, h });
    });
    for (const edge of this.edges) {
      this.outputs[edge.from].push(edge);
      this.inputs[edge.to].push(edge);
    }
    for (const gradient of this.gradients) {
      this.received[gradient.variable].push(gradient);
      if (gradient.consumer !== null) this.gave[gradient.consumer].push(gradient);
    }
    for (const update of data.updates) {
      this.madeFrom.set(update.after, update);
      this.versions[update.before].push(update);
    }
    // Where the edges of a node end: side by side along its top, from left to right.
    for (const edges of this.inputs) {
      const order = edges.map((edge) => [this.before(edge)[0], edge]).sort((a, b) => a[0] - b[0]);
      const step = Math.min(30, this.nodes[edges[0]?.to ?? 0]?.w * 0.8 / order.length);
      order.forEach(([, edge], i) => { edge.port = (i - (order.length - 1) / 2) * step; });
    }
    this.byRow = rows.map(() => []);
    this.nodes.forEach((node, i) => this.byRow[row[i]].push(i));
    for (const line of this.byRow) line.sort((a, b) => this.nodes[a].x - this.nodes[b].x);
    const half = Math.max(sizes[0][0], sizes[1][0]) / 2;
    const last = rows[rows.length - 1] || [0, 0];
    const xs = x.concat(...this.bus.values());
    let [left, right] = [Infinity, -Infinity];
    for (const place of xs) { left = Math.min(left, place); right = Math.max(right, place); }
    if (!xs.length) left = right = 0;
    this.box = { x: left - half, y: 0, w: right - left + 2 * half, h: last[0] + last[1] };
  }

  span(edge) { return this.row[edge.to] - this.row[edge.from]; }

  // Where the last piece of an edge begins: below its source, or below the last row that it passes through.
  before(edge) {
    const span = this.span(edge), bus = this.bus.get(edge.from);
    if (span > 1 && bus) {
      const row = this.rows[this.row[edge.from] + span - 1];
      return [bus[span - 2], row[0] + row[1]];
    }
    const from = this.nodes[edge.from];
    return [from.x, from.y + from.h / 2];
  }

  text(node) {
    if (node.kind === "call") return "";
    return node.value.type === "text" ? node.value.text : `[${node.value.media_type}, ${node.value.bytes} bytes]`;
  }

  title(node) { return node.kind === "call" ? node.op : node.label ?? node.role; }

  bestBy(name) {
    const last = this.stageNames.indexOf(name);
    const scores = this.nodes.filter((node) => node.stage <= last && typeof node.score === "number").map((node) => node.score);
    return scores.length ? scores.reduce((best, score) => Math.max(best, score)) : undefined;
  }
}

const scoreText = (score, digits) => typeof score === "boolean" ? (score ? "passed" : "failed") : String(typeof score === "number" ? +score.toPrecision(digits) : score);
