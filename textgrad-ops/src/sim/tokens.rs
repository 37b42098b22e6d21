//! Tokens, stop texts, and where an answer ends.

use textgrad_core::{Choice, FinishReason, Sampling};

/// How many tokens a text has: four for every three words, rounded up, where a word is what stands
/// between spaces.
pub(super) fn count(text: &str) -> u64 {
    tokens(text.split_whitespace().count())
}

fn tokens(words: usize) -> u64 {
    u64::try_from(words).unwrap_or(u64::MAX).saturating_mul(4).div_ceil(3)
}

/// Ends a text where the sampling says.
pub(super) fn finish(mut text: String, sampling: &Sampling) -> Choice {
    let stop = sampling
        .stop
        .iter()
        .filter(|stop| !stop.is_empty())
        .filter_map(|stop| text.find(stop.as_str()))
        .min();
    if let Some(stop) = stop {
        text.truncate(stop);
    }
    let Some(limit) = sampling.max_tokens.map(u64::from) else {
        return Choice::new(text, FinishReason::Stop);
    };
    if count(&text) <= limit {
        return Choice::new(text, FinishReason::Stop);
    }
    text.truncate(cut(&text, limit));
    Choice::new(text, FinishReason::Length)
}

/// Where the last word ends that is within the limit.
fn cut(text: &str, limit: u64) -> usize {
    let mut end = 0;
    let mut words = 0;
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        if c.is_whitespace() {
            in_word = false;
            continue;
        }
        if !in_word {
            in_word = true;
            words += 1;
            if tokens(words) > limit {
                break;
            }
        }
        end = at + c.len_utf8();
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_at_the_first_bound_that_it_meets() {
        let finish = |stop: &[&str], max_tokens: Option<u32>| {
            let sampling = Sampling {
                stop: stop.iter().map(ToString::to_string).collect(),
                max_tokens,
                ..Sampling::default()
            };
            let choice = finish("one  two\nthrée four".to_owned(), &sampling);
            (choice.text, choice.finish_reason)
        };
        let text = |text: &str, reason| (text.to_owned(), reason);
        let whole = "one  two\nthrée four";
        assert_eq!(finish(&[], None), text(whole, FinishReason::Stop));
        assert_eq!(finish(&[], Some(6)), text(whole, FinishReason::Stop));
        assert_eq!(finish(&[], Some(5)), text("one  two\nthrée", FinishReason::Length));
        assert_eq!(finish(&[], Some(3)), text("one  two", FinishReason::Length));
        assert_eq!(finish(&[], Some(1)), text("", FinishReason::Length));
        assert_eq!(finish(&["four", "two", ""], None), text("one  ", FinishReason::Stop));
        assert_eq!(finish(&["four"], Some(3)), text("one  two", FinishReason::Length));
        assert_eq!(finish(&["two"], Some(3)), text("one  ", FinishReason::Stop));
    }

    #[test]
    fn tokens_are_four_for_three_words() {
        assert_eq!(["", "a", "a b", "a b c", "a b c d"].map(count), [0, 2, 3, 4, 6]);
    }
}
