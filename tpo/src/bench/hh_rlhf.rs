//! HH-RLHF: dialogues with a better and a worse end.
//!
//! JSONL of `{"chosen","rejected"}`, often compressed; each is a dialogue in which every turn begins with a
//! blank line and `Human:` or `Assistant:`. What is asked is the text up to the last `Assistant:`. There is no
//! official scorer; TPO's paper reports the mean score of its reward model over 500 prompts, and does not
//! say which ones.

use serde::{Deserialize, Serialize};

use super::item::Item;
use super::records::records;
use crate::error::Error;
use crate::input::{ASSISTANT, dialogue, of_turns};
use crate::query::Query;

/// One dialogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Dialogue {
    /// Its number in the file, from 1.
    pub number: usize,
    /// What is asked in the file's form: all up to the last `Assistant:`, with it.
    pub prompt: String,
    /// What is asked, turn by turn.
    pub query: Query,
    /// The end that was preferred.
    pub chosen: String,
    /// The other end; none where the two dialogues part before their last turn.
    pub rejected: Option<String>,
}

/// A line of a file, which [`to_jsonl`](super::to_jsonl) writes: two dialogues that part in their last turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// The dialogue with the end that is preferred.
    pub chosen: String,
    /// The other.
    pub rejected: String,
}

impl Dialogue {
    /// What is asked, with two answers of one's own.
    #[must_use]
    pub fn pair(&self, chosen: &str, rejected: &str) -> Pair {
        let end = |answer: &str| format!("{} {}", self.prompt, answer.trim());
        Pair { chosen: end(chosen), rejected: end(rejected) }
    }
}

/// Reads dialogues. `source` is the file's name, for errors.
///
/// # Errors
/// [`Error::Input`] with the line and what was expected.
pub fn read(source: &str, text: &str) -> Result<Vec<Dialogue>, Error> {
    let read = (1..).zip(records::<Pair>(source, text)?);
    read.map(|(number, (location, line))| parsed(number, &location, &line)).collect()
}

fn parsed(number: usize, location: &str, line: &Pair) -> Result<Dialogue, Error> {
    let Some((asked, answer)) = line.chosen.rsplit_once(ASSISTANT) else {
        let reason = "expected \"chosen\" to have a turn \"\\n\\nAssistant:\", got none";
        return Err(Error::input(location, reason));
    };
    let prompt = format!("{asked}{ASSISTANT}");
    let query = of_turns(dialogue(asked)).map_err(|reason| Error::input(location, reason))?;
    let rejected = line.rejected.strip_prefix(&prompt).map(|end| end.trim().to_owned());
    Ok(Dialogue { number, prompt, query, chosen: answer.trim().to_owned(), rejected })
}

impl Item for Dialogue {
    fn id(&self) -> String {
        self.number.to_string()
    }

    fn query(&self) -> Query {
        self.query.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::to_jsonl;

    fn line(chosen: &str, rejected: &str) -> String {
        format!("{}\n", serde_json::json!({ "chosen": chosen, "rejected": rejected }))
    }

    #[test]
    fn the_prompt_ends_with_the_last_assistant() {
        let start = "\n\nHuman: one\n\nAssistant: two\n\nHuman: three, said\nAssistant: no turn";
        let text =
            line(&format!("{start}\n\nAssistant: good"), &format!("{start}\n\nAssistant: bad"));
        let [dialogue] = read("f", &text).unwrap().try_into().unwrap();
        assert_eq!(dialogue.prompt, format!("{start}\n\nAssistant:"));
        assert_eq!((dialogue.chosen.as_str(), dialogue.rejected.as_deref()), ("good", Some("bad")));
        let turns: Vec<_> =
            dialogue.query.turns().map(|(role, text)| (role.as_str(), text)).collect();
        assert_eq!(
            turns,
            [("user", "one"), ("assistant", "two"), ("user", "three, said\nAssistant: no turn")]
        );
    }

    #[test]
    fn pairs_of_ones_own_have_the_form_of_the_data_set() {
        let start = "\n\nHuman: one\n\nAssistant: two\n\nHuman: three\n\nAssistant:";
        let text = line(&format!("{start} good"), &format!("{start} bad"));
        let dialogues = read("f", &text).unwrap();
        assert_eq!(to_jsonl(&[dialogues[0].pair("good", " bad\n")]).unwrap(), text);
        let other = to_jsonl(&[dialogues[0].pair("a\nb", "c")]).unwrap();
        let again = &read("f", &other).unwrap()[0];
        assert_eq!((again.chosen.as_str(), again.rejected.as_deref()), ("a\nb", Some("c")));
        assert_eq!(again.query, dialogues[0].query);
    }

    #[test]
    fn dialogues_that_part_early_have_no_rejected_end() {
        let text = line("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: x\n\nAssistant: y");
        assert_eq!(read("f", &text).unwrap()[0].rejected, None);
        // The last turn of both, but one of them goes on.
        let text = line("\n\nHuman: a\n\nAssistant:", "\n\nHuman: a\n\nAssistant: y");
        let dialogues = read("f", &text).unwrap();
        assert_eq!(
            (dialogues[0].chosen.as_str(), dialogues[0].rejected.as_deref()),
            ("", Some("y"))
        );
    }

    #[test]
    fn odd_turns_are_still_a_query() {
        let text = line("\n\nHuman: a\n\nHuman: b\n\nAssistant:\n\nHuman: c\n\nAssistant: d", "");
        let dialogues = read("f", &text).unwrap();
        assert!(dialogues[0].query.is_plain());
        assert_eq!(dialogues[0].query, "a\n\nb\n\nc");
        for (chosen, words) in [
            ("no turns", "got none"),
            ("\n\nAssistant: a", "got no message"),
            ("\n\nHuman: a\n\nAssistant: b\n\nAssistant: c", "ends with the user's turn"),
        ] {
            let error = read("f", &line(chosen, "")).unwrap_err().to_string();
            assert!(error.starts_with("f, line 1: ") && error.contains(words), "{error}");
        }
    }
}
