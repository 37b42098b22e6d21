//! Grammars of tagged replies, in GBNF: the notation of llama.cpp, which XGrammar (vLLM, SGLang) reads too.

use std::collections::BTreeMap;

use super::Tags;

/// White space, which a text does not begin with.
const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];

impl Tags {
    /// The grammar of a reply that is a text between these tags, the opening one on a line of its own. The text is not
    /// empty, and holds neither tag.
    #[must_use]
    pub fn grammar(&self) -> String {
        format!("root ::= text\n{}", self.rules("text", "\n", false))
    }

    /// Rules by the name of the first, for a text between these tags, `behind` the opening one.
    ///
    /// They are the automaton of Aho and Corasick (1975) for the two tags: there is a rule for each beginning of a tag
    /// that the text so far may end with.
    pub(crate) fn rules(&self, name: &str, behind: &str, may_be_empty: bool) -> String {
        let mut states = vec![""];
        for tag in [self.end(), self.start()] {
            for (at, _) in tag.char_indices().skip(1) {
                let beginning = tag.get(..at).unwrap_or_default();
                if !states.contains(&beginning) {
                    states.push(beginning);
                }
            }
        }
        let opening = literal(&format!("{}{behind}", self.start()));
        let rule = |index: usize| format!("{name}-{index}");
        let mut rules = Vec::new();
        if may_be_empty {
            rules.push(format!("{name} ::= {opening} {name}-0"));
        } else {
            // No white space, and not the beginning of the closing tag.
            let mut end = self.end().chars();
            let (first, second) = (String::from_iter(end.next()), end.next());
            let state = states.iter().position(|state| *state == first);
            let named = |index| match Some(index) == state {
                true => format!("{name}-second"),
                false => rule(index),
            };
            rules.push(format!("{name} ::= {opening} {name}-first"));
            let goes_on = self.goes_on(&states, "", &BLANK, named);
            rules.push(format!("{name}-first ::= {goes_on}"));
            if let Some(second) = second {
                let goes_on = self.goes_on(&states, &first, &[second], rule);
                rules.push(format!("{name}-second ::= {goes_on}"));
            }
        }
        for (index, state) in states.iter().enumerate() {
            let goes_on = self.goes_on(&states, state, &[], rule);
            rules.push(format!("{} ::= {goes_on}", rule(index)));
        }
        rules.join("\n") + "\n"
    }

    /// How a text goes on that ends with the beginning of a tag, without some letters.
    fn goes_on(
        &self,
        states: &[&str],
        state: &str,
        without: &[char],
        rule: impl Fn(usize) -> String,
    ) -> String {
        let is_tag = |text: &str| text == self.start() || text == self.end();
        // Letters that lead to another rule than the first, or to none.
        let mut others: Vec<char> = without.to_vec();
        let mut next: BTreeMap<String, Vec<char>> = BTreeMap::new();
        for letter in self.end().chars().chain(self.start().chars()) {
            let text = format!("{state}{letter}");
            let tails = text.char_indices().filter_map(|(at, _)| text.get(at..));
            let Some(longest) = { tails }.find(|tail| is_tag(tail) || states.contains(tail)) else {
                continue;
            };
            if others.contains(&letter) {
                continue;
            }
            others.push(letter);
            if longest == self.end() {
                next.entry(String::new()).or_default().push(letter);
            } else if let Some(index) = states.iter().position(|known| *known == longest) {
                next.entry(rule(index)).or_default().push(letter);
            }
        }
        let ways = next.iter().map(|(rule, letters)| format!("[{}] {rule}", class(letters)));
        let all = format!("[^{}] {}", class(&others), rule(0));
        ways.chain([all]).collect::<Vec<String>>().join(" | ")
    }
}

/// A text as a literal.
fn literal(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

/// Letters between brackets. An escape never stands before a letter: XGrammar would read `\x3CE` as one escape.
fn class(letters: &[char]) -> String {
    let is_plain = |letter: &&char| letter.is_alphanumeric() || **letter == '_';
    let (plain, others): (Vec<&char>, Vec<&char>) = letters.iter().partition(is_plain);
    let escaped = |letter: &char| match letter {
        letter if letter.is_ascii() => format!("\\x{:02X}", u32::from(*letter)),
        letter => format!("\\U{:08X}", u32::from(*letter)),
    };
    plain.into_iter().map(char::to_string).chain(others.into_iter().map(escaped)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a grammar of such rules allows a text. They have one way at most for each letter.
    fn allows(grammar: &str, name: &str, text: &str) -> bool {
        let rules: BTreeMap<&str, &str> =
            grammar.lines().filter_map(|line| line.split_once(" ::= ")).collect();
        let Some((opening, mut rule)) = rules[name].rsplit_once(' ') else { return false };
        let opening = opening.trim_matches('"').replace("\\n", "\n");
        let Some(rest) = text.strip_prefix(&opening) else { return false };
        for letter in rest.chars() {
            let code = format!("\\x{:02X}", u32::from(letter));
            let has = |class: &str| {
                let plain = !class.contains(&code) && letter.is_alphanumeric();
                class.contains(&code) || plain && class.replace("\\x", "\\").contains(letter)
            };
            let ways: Vec<&str> = rules[rule]
                .split(" | ")
                .filter(|way| {
                    let class = way.split_once(']').unwrap().0;
                    match class.strip_prefix("[^") {
                        Some(others) => !has(others),
                        None => has(class.strip_prefix('[').unwrap()),
                    }
                })
                .collect();
            match ways.as_slice() {
                [way] => rule = way.split_once(']').unwrap().1.trim(),
                [] => return false,
                several => panic!("{letter:?} has {several:?}"),
            }
            if rule.is_empty() {
                return rest.ends_with(letter) && text.matches("</v>").count() == 1;
            }
        }
        false
    }

    #[test]
    fn a_text_ends_with_its_closing_tag_and_holds_none() {
        let tags = Tags::new("<v>", "</v>").unwrap();
        let grammar = tags.grammar();
        for text in ["so", "s < o", "<b>so</b>", "so\n", "<</ v>/v<", "s</so"] {
            let reply = format!("<v>\n{text}</v>");
            assert!(allows(&grammar, "text", &reply), "{reply}\n{grammar}");
            assert_eq!(tags.extract(&reply), Ok(text.trim()));
        }
        for reply in
            ["so</v>", "<v>\n</v>", "<v>\n so</v>", "<v>\ns<v>o</v>", "<v>\nso", "<v>so</v>"]
        {
            assert!(!allows(&grammar, "text", reply), "{reply}");
        }
        let rules = tags.rules("part", "", true);
        assert!(allows(&rules, "part", "<v></v>") && allows(&rules, "part", "<v> a</v>"));
    }

    #[test]
    fn letters_are_escaped() {
        let tags = Tags::new("\"[é", "]\\^").unwrap();
        let grammar = tags.grammar();
        assert!(grammar.contains(r#"text ::= "\"[é\n" text-first"#), "{grammar}");
        assert!(grammar.contains(r"[\x5D] text-second"), "{grammar}");
        assert!(!grammar.contains("[^\"") && grammar.contains(r"\x5C"), "{grammar}");
        let grammar = Tags::new("<<", "|").unwrap().grammar();
        assert!(
            grammar.contains(r"text-0 ::= [\x7C]  | [\x3C] text-1 | [^\x7C\x3C] text-0"),
            "{grammar}"
        );
        assert!(!grammar.contains("second"), "{grammar}");
        let grammar = Tags::new("<EDIT>", "</EDIT>").unwrap().grammar();
        assert!(grammar.contains(r"[^E\x3C]") && !grammar.contains(r"\x3CE"), "{grammar}");
    }
}
