
// Differences of texts by word, and the best answers of several runs for the same query.
function difference(before, after, changes) {
  const [old, fresh] = [Array.from(before), Array.from(after)];
  const box = el("pre", { dir: "auto", tabindex: "0" });
  let [i, j] = [0, 0];
  for (const [kind, length] of changes) {
    if (kind === "-") { box.append(fill(el("del", {}), old.slice(i, i + length).join(""))); i += length; }
    else if (kind === "+") { box.append(fill(el("ins", {}), fresh.slice(j, j + length).join(""))); j += length; }
    else { fill(box, fresh.slice(j, j + length).join("")); i += length; j += length; }
  }
  return box;
}


// Two texts of more words than this are compared as wholes.
const MAX_CELLS = 9e6;

// Pairs of "=", "-" or "+" and a number of characters, by the longest common subsequence of words.
function wordChanges(before, after) {
  const words = (text) => text.match(/\s+|[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_]/gu) ?? [];
  const [a, b] = [words(before), words(after)], changes = [];
  const add = (kind, word) => {
    const size = Array.from(word).length, last = changes[changes.length - 1];
    if (last?.[0] === kind) last[1] += size; else changes.push([kind, size]);
  };
  let [start, i, j] = [0, a.length, b.length];
  while (start < i && start < j && a[start] === b[start]) start++;
  while (i > start && j > start && a[i - 1] === b[j - 1]) { i--; j--; }
  const [rows, columns] = [i - start, j - start], wide = columns + 1;
  a.slice(0, start).forEach((word) => add("=", word));
  let [x, y] = [0, 0];
  if (rows * columns <= MAX_CELLS) {
    // The length of the longest common subsequence of what is left of both.
    const common = new Uint16Array((rows + 1) * wide);
    for (let r = rows - 1; r >= 0; r--) for (let c = columns - 1; c >= 0; c--) {
      common[r * wide + c] = a[start + r] === b[start + c] ? common[(r + 1) * wide + c + 1] + 1
        : Math.max(common[(r + 1) * wide + c], common[r * wide + c + 1]);
    }
    while (x < rows && y < columns) {
      if (a[start + x] === b[start + y]) { add("=", a[start + x]); x++; y++; }
      else if (common[(x + 1) * wide + y] >= common[x * wide + y + 1]) add("-", a[start + x++]);
      else add("+", b[start + y++]);
    }
  }
  while (x < rows) add("-", a[start + x++]);
  while (y < columns) add("+", b[start + y++]);
  a.slice(i).forEach((word) => add("=", word));
  return changes;
}

// The best answers of all runs for a query, read when they are asked for.
function sideBySide(row, detail) {
  const others = lists.map(({ rows }, other) => [other, rows.findIndex((their) => their[0] === row[0] && their[1] === row[1])])
    .filter(([other, place]) => other !== run && place >= 0);
  if (!others.length) return null;
  const own = { name: lists[run].name, score: detail.candidates[detail.best][1], text: detail.candidates[detail.best][2] };
  const card = ({ name, score, text }, body, go) => el("div", { class: "side" },
    el("div", { class: "badges" }, go ? fill(el("button", { type: "button", on: { click: go } }), name) : fill(el("strong", {}), name),
      el("span", { class: "badge" }, score === null ? "failed" : number(score)),
      go && score !== null && el("span", { class: "badge" + (score > own.score ? " good" : score < own.score ? " bad" : "") }, signed(score - own.score))),
    body ?? el("p", { class: "soft" }, text === null ? LEFT_OUT : "No best answer."));
  const cards = el("div", { class: "sides" }), words = el("input", { type: "checkbox" });
  const box = el("details", {}, el("summary", {}, "Side by side with " + plural(others.length, "other run")),
    el("label", {}, words, " Mark what differs by word from " + own.name), cards);
  let read = null;
  const drawn = async () => {
    read ??= Promise.all(others.map(async ([other, place]) => {
      const their = await unpack(other, place), best = their?.best ?? null;
      if (their && their.query !== detail.query) return null;
      const answer = { name: lists[other].name, score: lists[other].rows[place][4], text: best === null ? null : their.candidates[best][2] };
      return [answer, () => { choose(other); open(place); }];
    }));
    const found = (await read).filter(Boolean);
    const body = (text) => text === null ? null : words.checked && own.text !== null ? difference(own.text, text, wordChanges(own.text, text)) : prose(text);
    cards.replaceChildren(card(own, own.text === null ? null : prose(own.text)), ...found.map(([answer, go]) => card(answer, body(answer.text), go)));
  };
  box.addEventListener("toggle", () => { if (box.open) drawn(); });
  words.addEventListener("change", drawn);
  return box;
}
