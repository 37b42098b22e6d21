
// Everything about one query.
function answerView(detail, place) {
  const [, score, text, parent, changes] = detail.candidates[place];
  const box = el("details", { class: "answer", id: "answer-" + place },
    el("summary", {}, el("span", { class: "score" }, number(score)), el("span", { class: "soft" }, "answer " + place),
      place === detail.best && el("span", { class: "badge good" }, "best"), el("span", { class: "brief" }, brief(text ?? ""))));
  // What is inside is made when it is opened.
  box.addEventListener("toggle", () => {
    if (!box.open || box.dataset.full) return;
    box.dataset.full = "1";
    if (text === null) {
      box.append(el("p", { class: "soft" }, LEFT_OUT));
      return;
    }
    if (parent !== null && changes) {
      const moved = changes.some(([kind]) => kind !== "=");
      box.append(el("h4", {}, `What changed against answer ${parent} (${signed(score - detail.candidates[parent][1])})`),
        moved ? difference(detail.candidates[parent][2], text, changes) : el("p", { class: "soft" }, "nothing"));
    }
    box.append(el("h4", {}, "Text"), prose(text));
  });
  return box;
}

function stepView(detail, made, places, step) {
  const scoreOf = (place) => detail.candidates[place] ? number(detail.candidates[place][1]) : "\u2013";
  const link = (place) => el("button", { type: "button", on: { click: () => openAnswer(place) } }, `answer ${place} (${scoreOf(place)})`);
  return el("div", { class: "step" },
    el("h3", {}, "Iteration " + made.iteration),
    el("p", {}, "chosen ", link(made.chosen), made.rejected.length ? " against " : "", made.rejected.map((place) => [link(place), " "])),
    made.losses.map((loss, i) => [el("h4", { id: `loss-${step}-${i}`, tabindex: "-1" }, made.losses.length > 1 ? "Loss " + (i + 1) : "Loss"), prose(loss)]),
    made.gradient !== null && [el("h4", { id: "gradient-" + step, tabindex: "-1" }, "Gradient"), prose(made.gradient)],
    el("h4", { id: "update-" + step, tabindex: "-1" }, "Update: " + plural(made.updates, "new version")),
    (made.unusable || []).map((why) => fill(el("p", { class: "warning" }), "unusable: " + why)),
    places.map((place) => answerView(detail, place)));
}

function goTo(id) {
  const there = $(id);
  if (!there) return;
  there.scrollIntoView({ block: "center", behavior: "smooth" });
  there.focus({ preventScroll: true });
}

function openAnswer(place) {
  const box = $("answer-" + place);
  if (!box) return;
  box.open = true;
  box.scrollIntoView({ block: "center", behavior: "smooth" });
  box.firstElementChild.focus({ preventScroll: true });
}

function detailView(row, detail) {
  const [index, , , bon, best, iteration] = row;
  const usage = detail.usage;
  const parts = [
    el("h3", { id: "query-text", tabindex: "-1" }, "Query " + index), pre(detail.query),
    el("div", { class: "badges" },
      best !== null && el("span", { class: "badge good" }, "best " + number(best)),
      best !== null && el("span", { class: "badge" }, iteration === 0 ? "from the first answers" : "from iteration " + iteration),
      best !== null && bon !== null && el("span", { class: "badge" }, signed(best - bon) + " over best of N"),
      el("span", { class: "badge" }, plural(detail.candidates.length, "answer")),
      el("span", { class: "badge" }, plural(usage.requests, "request")),
      el("span", { class: "badge" }, plural(usage.tokens.prompt_tokens, "prompt token")),
      el("span", { class: "badge" }, plural(usage.tokens.completion_tokens, "completion token")),
      detail.stopped && el("span", { class: "badge" }, "ended early: " + detail.stopped),
      detail.error && el("span", { class: "badge bad" }, "failed: " + detail.error.kind)),
    detail.error && fill(el("p", { class: "warning" }), detail.error.message),
  ];
  const places = detail.candidates.map((_, place) => place);
  const of = (iteration) => places.filter((place) => detail.candidates[place][0] === iteration);
  // The new versions of each step: those of an iteration stand in the order of its steps.
  const next = new Map();
  const brought = detail.iterations.map((made) => {
    const at = next.get(made.iteration) || 0;
    next.set(made.iteration, at + made.updates);
    return of(made.iteration).slice(at, at + made.updates);
  });
  if (detail.candidates.length) parts.push(plot(detail, openAnswer), el("h3", {}, "Graph of the search"), graphView(detail, brought),
    el("p", { class: "soft" }, "From left to right: the query, answers with their rewards, and what led to new ones. Blue lines come from chosen answers, orange ones from rejected answers; the best answer is green. A box leads to its text."));
  if (detail.best !== null) parts.push(el("h3", {}, "Best answer"), prose(detail.candidates[detail.best][2] ?? LEFT_OUT), sideBySide(row, detail));
  parts.push(el("h3", {}, "First answers"), of(0).map((place) => answerView(detail, place)));
  detail.iterations.forEach((made, step) => parts.push(stepView(detail, made, brought[step], step)));
  return parts.flat(2).filter(Boolean);
}
