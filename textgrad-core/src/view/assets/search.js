
// Search in everything that has words.
const query = $("query"), found = $("found"), list = $("hits");
const LISTED = 60;
let matches = [], current = -1;

const requestWords = (request) => request ? request.messages.flatMap((message) => message.parts.map((part) => part.text ?? "")) : [];
const nodeWords = (model, node, i) => [model.title(node), model.text(node), ...requestWords(node.request),
  ...model.received[i].map((gradient) => gradient.text ?? "")];
const callWords = (call) => [call.engine, answerOf(call), ...(call.response?.choices ?? []).map((choice) => choice.text), ...requestWords(call.request)];

function search() {
  const words = query.value.trim().toLowerCase(), inCalls = tab === "calls";
  const holds = (texts) => texts.some((text) => text.toLowerCase().includes(words));
  matches = [];
  current = -1;
  if (words) {
    if (inCalls) page.calls.forEach((call, i) => { if (holds(callWords(call))) matches.push(i); });
    else if (graph) graph.nodes.forEach((node, i) => { if (holds(nodeWords(graph, node, i))) matches.push(i); });
  }
  found.textContent = words ? plural(matches.length, "match").replace("matchs", "matches") : "";
  if (inCalls) {
    shownCalls = words ? matches : page.calls.map((_, i) => i);
    list.hidden = true;
    listCalls();
    return;
  }
  hits = new Set(matches);
  list.hidden = !matches.length;
  list.replaceChildren(...matches.slice(0, LISTED).map((i) => {
    const node = graph.nodes[i];
    return el("li", {}, el("button", { type: "button", on: { click: () => { list.hidden = true; select(i); } } }, dot(node), " ",
      el("bdi", {}, brief(graph.title(node), 24)), " ", el("bdi", { class: "soft" }, brief(graph.text(node), 44))));
  }), matches.length > LISTED ? el("li", { class: "soft" }, `and ${matches.length - LISTED} more; Enter goes through all`) : "");
  redraw();
}

let waiting = 0;
query.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(search, 120); });
query.addEventListener("keydown", (event) => {
  if (event.key === "Enter") {
    event.preventDefault();
    clearTimeout(waiting);
    if (current < 0) search();
    if (!matches.length) return;
    current = (current + (event.shiftKey ? matches.length - 1 : 1)) % matches.length;
    if (tab === "calls") openCall(matches[current]);
    else { select(matches[current]); list.hidden = true; }
    found.textContent = `${current + 1} of ${matches.length}`;
  } else if (event.key === "Escape") { query.value = ""; search(); }
  else if (event.key === "ArrowDown" && !list.hidden) { event.preventDefault(); list.querySelector("button")?.focus(); }
});
list.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "Escape") { list.hidden = true; query.focus(); }
  if (!step) return;
  event.preventDefault();
  const buttons = [...list.querySelectorAll("button")], at = buttons.indexOf(document.activeElement) + step;
  (buttons[at] ?? (at < 0 ? query : buttons[0])).focus();
});
document.addEventListener("pointerdown", (event) => { if (!$("search").contains(event.target)) list.hidden = true; });
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target instanceof HTMLInputElement) return;
  event.preventDefault();
  query.focus();
  query.select();
});
