
// What would not be seen is shown by a sign: control characters, and those that turn the order of what
// follows around or have no width.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{1d173}-\u{1d17a}\u{e0000}-\u{e007f}]/u;
const UNSEEN_ALL = new RegExp(UNSEEN.source, "gu");
// Joiners belong to emoji and to scripts whose letters join; behind one of these they only hide.
const NO_JOINING = /^[\s\p{ASCII}\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Han}]?$/u;
function hides(c, text, at) {
  if (c !== "\u200c" && c !== "\u200d") return true;
  const before = Array.from(text.slice(Math.max(0, at - 2), at)).pop() || "";
  return NO_JOINING.test(before) || UNSEEN.test(before);
}
function sign(c) {
  const code = c.codePointAt(0);
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return codeOf(c);
}
const codeOf = (c) => "U+" + c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
const signs = (text) => text.replace(UNSEEN_ALL, (c, at) => hides(c, text, at) ? sign(c) : c);

// A long text goes into its element piece by piece.
function fill(node, text) {
  let rest = 0;
  for (const match of text.matchAll(UNSEEN_ALL)) {
    const c = match[0];
    if (!hides(c, text, match.index)) continue;
    if (match.index > rest) node.append(text.slice(rest, match.index));
    node.append(el("span", { class: "code", title: codeOf(c) }, sign(c)));
    rest = match.index + c.length;
  }
  node.append(text.slice(rest));
  return node;
}
