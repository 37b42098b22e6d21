//! Code whose tests fail: a few defects that can be told from the text.

use crate::sim::rng::Rng;

/// A defect: what is said of it, and the code without it if it has it.
struct Defect {
    says: &'static str,
    mended: fn(&str) -> Option<String>,
}

const DEFECTS: &[Defect] = &[
    Defect {
        says: "The function calls itself and has no case in which it ends: add the base case.",
        mended: base_case,
    },
    Defect {
        says: "The loop stops one short of its bound: count the bound in.",
        mended: off_by_one,
    },
    Defect {
        says: "The search for the largest value begins at 0, which is larger than any negative value: \
               begin at the first value.",
        mended: start_of_maximum,
    },
];

/// Whether a text is the code of functions.
pub(super) fn is_code(text: &str) -> bool {
    let opens = |line: &str| {
        let line = line.trim_start().trim_start_matches("pub ");
        (line.starts_with("def ") || line.starts_with("fn ")) && line.contains('(')
    };
    text.lines().any(opens)
}

/// What the output of failing tests says about the code.
pub(super) fn advice(code: &str, output: &str, skill: f64, rng: &mut Rng) -> String {
    let sees = rng.chance(skill);
    let found = DEFECTS.iter().find(|defect| (defect.mended)(code).is_some());
    let first = output.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    let said = match found {
        Some(defect) if sees => defect.says,
        _ => "Go through the code with the values of the first failing test.",
    };
    format!("The tests failed; they begin with: {first}\n{said}")
}

/// The code without the first defect that is recognised.
pub(super) fn mend(code: &str, skill: f64, rng: &mut Rng) -> String {
    let follows = rng.chance(skill);
    let mended = DEFECTS.iter().find_map(|defect| (defect.mended)(code));
    mended.filter(|_| follows).unwrap_or_else(|| code.to_owned())
}

/// A name at the start of a text.
fn name(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).filter(|name| name.starts_with(|c: char| c.is_alphabetic() || c == '_'))
}

/// `range(1, n)` or `1..n` where the function sums or multiplies up to n.
fn off_by_one(code: &str) -> Option<String> {
    for (before, after, plus) in [("range(1, ", ")", " + 1"), ("in 1..", " ", "")] {
        let Some((head, rest)) = code.split_once(before) else { continue };
        let Some(bound) = name(rest) else { continue };
        let Some(tail) = rest.strip_prefix(bound).filter(|tail| tail.starts_with(after)) else {
            continue;
        };
        let inclusive = if plus.is_empty() { "=" } else { "" };
        return Some(format!("{head}{before}{inclusive}{bound}{plus}{tail}"));
    }
    None
}

/// A function of one number that calls itself and never asks whether to stop.
fn base_case(code: &str) -> Option<String> {
    let lines: Vec<&str> = code.lines().collect();
    let at = lines.iter().position(|line| line.starts_with("def ") || line.starts_with("fn "))?;
    let head = lines.get(at)?;
    let function = name(head.strip_prefix("def ").or_else(|| head.strip_prefix("fn "))?)?;
    let argument = name(head.split_once('(')?.1)?;
    let body = lines.get(at + 1..)?;
    let ends = |line: &&&str| line.contains("if ") || line.contains("match ");
    let calls: usize = body.iter().map(|line| line.matches(&format!("{function}(")).count()).sum();
    if calls == 0 || body.iter().any(|line| ends(&line)) {
        return None;
    }
    // Two calls add up smaller cases, as the Fibonacci numbers do; one multiplies or adds to a smaller case.
    let first = body.first()?;
    let indent: String = first.chars().take_while(|c| c.is_whitespace()).collect();
    let multiplies = body.iter().any(|line| line.contains(" * "));
    let value = match (calls, multiplies) {
        (1, true) => "1",
        (1, false) => "0",
        _ => argument,
    };
    let bound = if value == "0" { "0" } else { "1" };
    let case = match head.starts_with("def ") {
        true => format!("{indent}if {argument} <= {bound}:\n{indent}    return {value}"),
        false => {
            format!("{indent}if {argument} <= {bound} {{\n{indent}    return {value};\n{indent}}}")
        }
    };
    let mut mended: Vec<&str> = lines.get(..=at)?.to_vec();
    mended.push(&case);
    mended.extend(body);
    Some(ended_as(code, mended.join("\n")))
}

/// `best = 0` before a loop over values that keeps the largest.
fn start_of_maximum(code: &str) -> Option<String> {
    let (_, after) = code.split_once("for ")?;
    let (item, rest) = after.split_once(" in ")?;
    let values = name(rest)?;
    let (_, compared) = rest.split_once(&format!("if {item} > "))?;
    let best = name(compared)?;
    let old = format!("{best} = 0");
    let (head, tail) = code.split_once(&old)?;
    tail.starts_with(['\n', ';']).then(|| format!("{head}{best} = {values}[0]{tail}"))
}

fn ended_as(code: &str, mut text: String) -> String {
    if code.ends_with('\n') {
        text.push('\n');
    }
    text
}
