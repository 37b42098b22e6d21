
// Markdown as elements. Texts are text nodes and no element has an address: HTML, links and images are shown as they
// are written.
const FENCE = /^ {0,3}(`{3,}|~{3,})[^`]*$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])[ \t]+(.*)$/;
// Lengths are bounded, so that no text takes long.
const INLINE = /(`{1,2})(?!`)(.{1,1000}?)(?<!`)\1(?!`)|(\*\*|__)(?=\S)(.{0,1000}?\S)\3|([*_])(?=[^\s*_])(.{0,1000}?\S)\5(?![\p{L}\p{N}_*])|~~(?=\S)(.{0,1000}?\S)~~/su;
const MAX_NESTING = 8;

function inline(node, text, depth = 0) {
  let at = 0;
  while (at < text.length) {
    const match = depth < MAX_NESTING ? INLINE.exec(text.slice(at)) : null;
    if (!match) break;
    const [whole, , code, strongMark, strong, mark, emphasis, struck] = match, from = at + match.index;
    fill(node, text.slice(at, from));
    at = from + whole.length;
    const underscores = [strongMark, mark].find((mark) => mark?.startsWith("_"));
    if (underscores && /[\p{L}\p{N}]$/u.test(text.slice(Math.max(0, from - 2), from))) {
      // Within a word they are letters.
      node.append(underscores);
      at = from + underscores.length;
    } else if (code !== undefined) node.append(fill(el("code", {}), code));
    else if (strong !== undefined) node.append(inline(el("strong", {}), strong, depth + 1));
    else if (emphasis !== undefined) node.append(inline(el("em", {}), emphasis, depth + 1));
    else node.append(inline(el("s", {}), struck, depth + 1));
  }
  return fill(node, text.slice(at));
}

// The first lines for which `holds`, taken off.
function takeWhile(lines, holds) {
  let count = 0;
  while (count < lines.length && holds(lines[count], count)) count++;
  return lines.splice(0, count);
}

const blank = (line) => !line.trim();
const isTable = (lines) => lines.length > 1 && lines[0].includes("|") && /^ *\|?( *:?-+:? *\|)+ *(:?-+:? *)?$/.test(lines[1]);
const starts = (line) => FENCE.test(line) || ITEM.test(line) || /^ {0,3}(#{1,6}( |$)|>|([-*_] *){3,}$)/.test(line);
const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|").map((cell) => cell.trim());

function itemsOf(lines, depth) {
  const [, { length: indent }, marker] = ITEM.exec(lines[0]);
  const ordered = /\d/.test(marker);
  const box = el(ordered ? "ol" : "ul", ordered ? { start: parseInt(marker, 10) } : {});
  for (let item; lines.length && (item = ITEM.exec(lines[0])) && item[1].length >= indent && /\d/.test(item[2]) === ordered;) {
    lines.shift();
    const inner = takeWhile(lines, (line, i) => blank(line) ? lines[i + 1]?.startsWith(" ".repeat(indent + 2))
      : line.search(/\S/) > indent + 1 || !starts(line) && !blank(lines[i - 1] ?? item[0]));
    const margin = Math.min(...inner.filter((line) => !blank(line)).map((line) => line.search(/\S/)));
    box.append(el("li", {}, blocksOf([item[3], ...inner.map((line) => line.slice(Number.isFinite(margin) ? margin : 0))], depth + 1)));
    if (blank(lines[0] ?? "x") && ITEM.test(lines[1] ?? "")) lines.shift();
  }
  return box;
}

function blocksOf(lines, depth = 0) {
  const made = [];
  while (lines.length) {
    const line = lines[0], fence = FENCE.exec(line), heading = /^ {0,3}(#{1,6})(?: (.*))?$/.exec(line);
    if (blank(line)) lines.shift();
    else if (depth >= MAX_NESTING) made.push(pre(lines.splice(0).join("\n")));
    else if (fence) {
      lines.shift();
      const code = takeWhile(lines, (line) => !(line.trim().startsWith(fence[1]) && !line.trim().replaceAll(fence[1][0], "")));
      lines.shift();
      made.push(pre(code.join("\n")));
    } else if (heading) {
      lines.shift();
      made.push(inline(el("p", { class: "heading h" + heading[1].length }), (heading[2] ?? "").trim()));
    } else if (/^ {0,3}([-*_])( *\1){2,} *$/.test(line)) { lines.shift(); made.push(el("hr", {})); }
    else if (/^ {0,3}>/.test(line)) {
      const quoted = takeWhile(lines, (line) => /^ {0,3}>/.test(line)).map((line) => line.replace(/^ {0,3}> ?/, ""));
      made.push(el("blockquote", {}, blocksOf(quoted, depth + 1)));
    } else if (ITEM.test(line)) made.push(itemsOf(lines, depth));
    else if (isTable(lines)) {
      const [head, , ...rows] = takeWhile(lines, (line) => line.includes("|"));
      const row = (line, tag) => el("tr", {}, cells(line).map((cell) => inline(el(tag, {}), cell)));
      made.push(el("div", { class: "scroll" }, el("table", {}, el("thead", {}, row(head, "th")), el("tbody", {}, rows.map((line) => row(line, "td"))))));
    } else {
      const [first, ...more] = takeWhile(lines, (line, i) => i === 0 || !blank(line) && !starts(line));
      made.push(inline(el("p", {}), [first, ...more].join("\n")));
    }
  }
  return made;
}

// A text of a model: formatted, or as it is.
const prose = (text) => $("formatted").checked
  ? el("div", { class: "prose", dir: "auto", tabindex: "0" }, blocksOf(text.split(/\r\n?|\n/)))
  : pre(text);
