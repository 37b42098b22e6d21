
// The list of queries.
const PAGE = 25;
let run = 0, shown = [], at = 0, opened = null;
const gain = (row) => row[4] === null || row[3] === null ? null : row[4] - row[3];
const ORDERS = {
  index: (row) => row[0],
  gain: (row) => -(gain(row) ?? -Infinity),
  least: (row) => gain(row) ?? Infinity,
  best: (row) => -(row[4] ?? -Infinity),
  worst: (row) => row[4] ?? Infinity,
};
const STATUS = {
  all: () => true,
  improved: (row) => gain(row) > 0,
  same: (row) => gain(row) !== null && gain(row) <= 0,
  failed: (row) => row[6],
};

// A bound without a number bounds nothing.
const bound = (id, otherwise) => { const { value } = $(id); return value === "" ? otherwise : Number(value); };

function pick() {
  const words = $("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const key = ORDERS[$("order").value];
  const status = STATUS[$("status").value], [least, most] = [bound("above", -Infinity), bound("below", Infinity)];
  const within = (row) => least === -Infinity && most === Infinity || gain(row) !== null && gain(row) >= least && gain(row) <= most;
  shown = lists[run].rows.map((row, place) => ({ row, place, key: key(row) }))
    .filter(({ row }) => words.every((word) => row[1].toLowerCase().includes(word)) && status(row) && within(row));
  shown.sort((a, b) => a.key < b.key ? -1 : a.key > b.key ? 1 : a.place - b.place);
  at = 0;
  list();
}

// On a small screen the query is below the list.
function reveal() {
  if ($("detail").getBoundingClientRect().top > innerHeight * 0.7) $("detail").scrollIntoView({ behavior: "smooth" });
}

function list() {
  const some = shown.slice(at, at + PAGE);
  $("list").tBodies[0].replaceChildren(...some.map(({ row, place }) => {
    const line = el("tr", { class: opened === place ? "on" : null, on: { click: () => open(place).then(reveal) } },
      el("td", { class: "n" }, String(row[0])),
      el("td", {}, fill(el("button", { type: "button", class: row[6] ? "bad" : null }), brief(row[1]) || "(empty)")),
      el("td", { class: "n" }, number(row[3], 2)), el("td", { class: "n" }, row[6] ? "failed" : number(row[4], 2)), el("td", { class: "n" }, gain(row) === null ? "\u2013" : signed(gain(row)).slice(0, -1)));
    return line;
  }));
  $("count").textContent = plural(shown.length, "query").replace("querys", "queries");
  const pages = Math.max(1, Math.ceil(shown.length / PAGE));
  $("page").textContent = `${at / PAGE + 1} of ${pages}`;
  $("back").disabled = at === 0;
  $("next").disabled = at + PAGE >= shown.length;
}

async function open(place) {
  opened = place;
  list();
  const asked = `${run}/${place}`;
  history.replaceState(null, "", "#query/" + asked);
  const row = lists[run].rows[place];
  let parts;
  try {
    const detail = await unpack(run, place);
    parts = detail ? detailView(row, detail) : [el("h3", {}, "Query " + row[0]), pre(row[1]),
      el("p", { class: "soft" }, "Its texts are not on this page, which would be too large with them. They are in results.jsonl of the run.")];
  } catch (error) {
    parts = [el("p", { class: "warning" }, "This query cannot be shown: " + error.message)];
  }
  if (asked !== `${run}/${opened}`) return;
  $("detail").replaceChildren(...parts);
}

$("run").append(...lists.map(({ name, mode, rows }, i) => el("option", { value: i }, `${name} (${mode}, ${rows.length})`)));
$("run").hidden = lists.length < 2;
function choose(other) {
  run = other;
  $("run").value = String(run);
  opened = null;
  $("detail").replaceChildren();
  pick();
}
$("run").addEventListener("change", () => choose(Number($("run").value)));
for (const id of ["find", "above", "below"]) $(id).addEventListener("input", pick);
for (const id of ["order", "status"]) $(id).addEventListener("change", pick);
$("formatted").addEventListener("change", () => { if (opened !== null) open(opened); });
$("back").addEventListener("click", () => { at -= PAGE; list(); });
$("next").addEventListener("click", () => { at += PAGE; list(); });

function start() {
  const wanted = /^#query\/(\d+)\/(\d+)$/.exec(location.hash);
  if (wanted && lists[wanted[1]]?.rows[wanted[2]]) {
    choose(Number(wanted[1]));
    at = Math.floor(Number(wanted[2]) / PAGE) * PAGE;
    open(Number(wanted[2])).then(() => $("queries").scrollIntoView());
  } else {
    pick();
    if (lists[run].rows.length) {
      // The first is opened, so that it is seen what there is; the address is kept.
      const hash = location.hash;
      open(0).then(() => history.replaceState(null, "", hash || location.pathname));
    }
  }
}
start();
