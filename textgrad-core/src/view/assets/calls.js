
// Calls as a table by purpose, and along the time.
const CHUNK = 200;
let shownCalls = page.calls.map((_, i) => i), openedCall = -1;
const begun = page.calls.reduce((first, call) => Math.min(first, call.time ?? Infinity), Infinity);
const ended = page.calls.reduce((last, call) => Math.max(last, (call.time ?? -Infinity) + (call.ms ?? 0)), -Infinity);

const ms = (value) => value === undefined ? "" : value >= 10000 ? (value / 1000).toFixed(1) + " s" : Math.round(value) + " ms";
const answerOf = (call) => call.error ? call.error.message : (call.response.choices[0]?.text ?? "");
const finishOf = (call) => call.error ? call.error.kind : [...new Set(call.response.choices.map((choice) => choice.finish_reason))].join(", ");

function callFacts(call) {
  const usage = call.response?.usage;
  return el("div", { class: "badges" },
    el("span", { class: "badge" }, el("bdi", {}, brief(call.engine, 40))),
    call.simulation && el("span", { class: "badge warn" }, "simulated"),
    call.error && el("span", { class: "badge warn" }, call.error.kind),
    call.response?.model && el("span", { class: "badge" }, el("bdi", {}, brief(call.response.model, 40))),
    call.ms !== undefined && el("span", { class: "badge" }, ms(call.ms)),
    usage && usage.prompt_tokens + usage.completion_tokens > 0 && el("span", { class: "badge" }, `${usage.prompt_tokens} tokens in, ${usage.completion_tokens} out` + (usage.cached_tokens ? `, ${usage.cached_tokens} cached` : "")),
    call.response && el("span", { class: "badge" }, brief(finishOf(call), 40)));
}

function openCall(index) {
  openedCall = index;
  for (const row of document.querySelectorAll("#calls tr.on")) row.classList.remove("on");
  document.querySelector(`#calls tr[data-call="${index}"]`)?.classList.add("on");
  const call = page.calls[index];
  const answers = call.error ? section("Error", pre(call.error.message))
    : call.response.choices.flatMap((choice, i) => [withCopy(call.response.choices.length > 1 ? `Answer ${i + 1} (${choice.finish_reason})` : `Answer (${choice.finish_reason})`, choice.text), pre(choice.text)]);
  const nodes = [];
  models.forEach((model, at) => model.logged.forEach((calls, node) => { if (calls.includes(index)) nodes.push([at, node]); }));
  panel.scrollTop = 0;
  panel.replaceChildren(el("h2", {}, `Call ${index + 1}: ${call.request.purpose}`), callFacts(call),
    ...(call.time === undefined ? [] : [el("p", { class: "soft" }, new Date(call.time).toISOString())]),
    ...answers, ...section("Request", requestView(call.request, true)),
    ...section("In the graph", nodes.map(([at, node]) => el("button", { type: "button", class: "link", on: { click: () => { openTab(at); select(node); } } }, `${brief(models[at].name, 24)}: node ${node}`))));
  say(`call ${index + 1}, ${call.request.purpose}`);
}

function callRow(index) {
  const call = page.calls[index], usage = call.response?.usage, bar = el("div", { class: "bar" });
  if (call.time !== undefined && ended > begun) {
    const mark = el("i", {});
    mark.style.left = 100 * (call.time - begun) / (ended - begun) + "%";
    mark.style.width = Math.max(0.3, 100 * (call.ms ?? 0) / (ended - begun)) + "%";
    bar.append(mark);
  }
  const row = el("tr", { "data-call": index, class: (call.error ? "bad" : "") + (index === openedCall ? " on" : "") },
    el("td", {}, String(index + 1)),
    el("td", {}, call.time === undefined ? "" : "+" + ((call.time - begun) / 1000).toFixed(2) + " s"),
    el("td", {}, bar),
    el("td", { class: "ms" }, ms(call.ms)),
    el("td", { class: "tok" }, usage ? `${usage.prompt_tokens} / ${usage.completion_tokens}` : ""),
    el("td", {}, el("bdi", {}, brief(call.engine, 30))),
    el("td", {}, brief(finishOf(call), 20)),
    el("td", {}, el("button", { type: "button" }, el("bdi", {}, brief(answerOf(call), 110) || "(empty)"))));
  row.addEventListener("click", () => openCall(index));
  return row;
}

function callTable(purpose, indices) {
  const calls = indices.map((i) => page.calls[i]), errors = calls.filter((call) => call.error).length;
  const sum = (key) => calls.reduce((sum, call) => sum + (call.response?.usage[key] ?? 0), 0);
  const times = calls.map((call) => call.ms).filter((value) => value !== undefined).sort((a, b) => a - b);
  const facts = [plural(calls.length, "call"), errors && plural(errors, "error"), `${sum("prompt_tokens")} tokens in, ${sum("completion_tokens")} out`,
    times.length && `median ${ms(times[times.length >> 1])}, longest ${ms(times[times.length - 1])}`].filter(Boolean).join(" \u00b7 ");
  const body = el("tbody", {}), more = el("button", { type: "button" });
  let next = 0;
  const add = () => {
    body.append(...indices.slice(next, next + CHUNK).map(callRow));
    next += CHUNK;
    more.hidden = next >= indices.length;
    more.textContent = `Show more of ${indices.length - next} left`;
  };
  more.addEventListener("click", add);
  add();
  const head = [["#", "n"], ["began", "t"], ["timeline", "line"], ["took", "ms"], ["tokens in / out", "tok"], ["engine", "e"], ["ended by", "f"], ["answer", ""]];
  return [el("table", {}, el("caption", {}, purpose + " ", el("span", {}, facts)),
    el("thead", {}, el("tr", {}, head.map(([name, width]) => el("th", { scope: "col", class: width }, name)))), body), more];
}

function listCalls() {
  const groups = new Map();
  for (const i of shownCalls) {
    const { purpose } = page.calls[i].request;
    if (!groups.has(purpose)) groups.set(purpose, []);
    groups.get(purpose).push(i);
  }
  const tables = [...groups].flatMap(([purpose, indices]) => callTable(purpose, indices));
  const simulated = page.calls.some((call) => call.simulation);
  $("calls").replaceChildren(
    ...(simulated ? [el("p", { class: "badge warn" }, "Some of these answers are simulated.")] : []),
    ...(tables.length ? tables : [el("p", { class: "soft" }, page.calls.length ? "No call matches." : "No calls.")]));
}

function callsOverview() {
  panel.replaceChildren(el("h2", {}, "Calls"), el("p", { class: "soft" }, plural(page.calls.length, "call")), el("p", {}, "Click a call for its request and its answer."));
}
