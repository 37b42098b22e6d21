
// The trajectory of a query: answers by iteration and score, and what was made of what.
function plot(detail, open) {
  const answers = detail.candidates.map(([iteration, score, text, parent], place) => ({ iteration, score, text, parent, place }));
  // As wide as there is room, so that texts are as large as in the style.
  const wide = Math.min(640, Math.max(300, $("detail").clientWidth || 640)), high = 290, left = 64, right = 20, top = 14, bottom = 60;
  const last = Math.max(1, ...answers.map((answer) => answer.iteration));
  const scores = answers.map((answer) => answer.score);
  let low = Math.min(...scores), up = Math.max(...scores);
  if (!(up > low)) [low, up] = [low - 0.5, up + 0.5];
  const room = (up - low) * 0.08;
  // About five round marks.
  const rough = (up - low) / 5, ten = 10 ** Math.floor(Math.log10(rough));
  const mark = [1, 2, 5, 10].map((m) => m * ten).find((m) => m >= rough) || 10 * ten;
  const digits = Math.min(9, Math.max(0, -Math.floor(Math.log10(mark))));
  [low, up] = [low - room, up + room];
  const row = (wide - left - right) / (last + 1);
  const y = (score) => high - bottom - (score - low) / (up - low) * (high - top - bottom);
  const beside = new Map();
  for (const answer of answers) {
    const list = beside.get(answer.iteration) || [];
    list.push(answer);
    beside.set(answer.iteration, list);
  }
  for (const list of beside.values()) list.forEach((answer, i) => {
    answer.x = left + (answer.iteration + 0.5) * row + (list.length > 1 ? (i / (list.length - 1) - 0.5) * row * 0.55 : 0);
  });
  const drawing = svg("svg", { class: "chart", id: "plot", viewBox: `0 0 ${wide} ${high}`, role: "group", "aria-label": "Answers by iteration and score" });
  for (let i = Math.ceil(low / mark); i * mark <= up; i++) {
    const score = i * mark;
    drawing.append(svg("line", { class: "grid", x1: left, x2: wide - right, y1: y(score), y2: y(score) }),
      svg("text", { class: "soft", "text-anchor": "end", x: left - 8, y: y(score) + 4 }, number(score, digits)));
  }
  drawing.append(svg("text", { "text-anchor": "middle", transform: `translate(14 ${(top + high - bottom) / 2}) rotate(-90)` }, "reward"));
  // Names that would overlap are left out.
  const every = Math.ceil(90 / row);
  for (let i = 0; i <= last; i += every) {
    drawing.append(svg("text", { class: "soft", "text-anchor": "middle", x: left + (i + 0.5) * row, y: high - 40 }, i === 0 ? "first answers" : "iteration " + i));
  }
  // The way to the best answer.
  const way = new Set();
  for (let place = detail.best; place !== null && place !== undefined && !way.has(place); place = answers[place].parent) way.add(place);
  for (const answer of answers) {
    const from = answers[answer.parent];
    if (!from) continue;
    const middle = (from.x + answer.x) / 2;
    drawing.append(svg("path", { class: way.has(answer.place) ? "edge way" : "edge",
      d: `M${from.x} ${y(from.score)}C${middle} ${y(from.score)} ${middle} ${y(answer.score)} ${answer.x} ${y(answer.score)}` }));
  }
  const rejected = new Set(detail.iterations.flatMap((made) => made.rejected));
  const chosen = new Set(detail.iterations.map((made) => made.chosen));
  for (const answer of answers) {
    const kind = answer.place === detail.best ? "f2" : chosen.has(answer.place) ? "f0" : rejected.has(answer.place) ? "f1" : "f7";
    const go = () => open(answer.place);
    drawing.append(svg("circle", { class: "dot " + kind, cx: answer.x, cy: y(answer.score), r: answer.place === detail.best ? 8 : 6, tabindex: 0, role: "button",
      "aria-label": `answer ${answer.place}, score ${number(answer.score)}`,
      on: pressed(go) },
      svg("title", {}, `answer ${answer.place}: ${number(answer.score)}`)));
  }
  let x = Math.min(left, wide - 280);
  for (const [kind, name] of [["f2", "best"], ["f0", "chosen"], ["f1", "rejected"], ["f7", "other"]]) {
    drawing.append(svg("circle", { class: "dot " + kind, cx: x + 6, cy: high - 12, r: 5 }), svg("text", { class: "soft", x: x + 16, y: high - 8 }, name));
    x += 24 + 7.4 * name.length + Math.min(30, (wide - 280) / 4);
  }
  return el("div", { class: "wide" }, drawing);
}
