use serde_json::json;

use super::super::Question;
use super::super::judgment::Game;
use super::*;

const LABELS: [&str; 5] = ["A>>B", "A>B", "A=B", "B>A", "B>>A"];

fn question(n: usize) -> Question {
    let line = json!({ "uid": format!("q{n}"), "category": "hard_prompt", "prompt": "Why?" });
    serde_json::from_value(line).unwrap()
}

/// An answer of some length with some markup.
fn answer(n: usize, model: &str, words: usize, markup: [usize; 3]) -> Answer {
    let [headers, items, bold] = markup;
    let text = [
        "# Title\n".repeat(headers),
        "- item\n".repeat(items),
        "**bold** ".repeat(bold),
        "word ".repeat(words),
    ];
    let mut answer = Answer::new(&question(n), model, &text.concat(), 0.0);
    // The counts of the o200k vocabulary, which a build without it does not compute.
    let tokens = 3 * (headers + items + bold) + words + usize::from(bold + words > 0);
    if cfg!(feature = "o200k") {
        assert_eq!(answer.style.token_len, Some(tokens));
    }
    answer.style.token_len = Some(tokens);
    answer
}

fn judgment(n: usize, model: &str, labels: [&str; 2]) -> Judgment {
    Judgment {
        uid: format!("q{n}"),
        category: "hard_prompt".to_owned(),
        judge: "judge".to_owned(),
        model: model.to_owned(),
        baseline: "base".to_owned(),
        games: labels.map(|label| Some(Game::new(&[], format!("[[{label}]]")))),
    }
}

/// Two models and a baseline, made up by a formula: the first writes more and is liked for it.
fn made_up() -> (Vec<Judgment>, Vec<Answer>) {
    let (mut judgments, mut answers) = (Vec::new(), Vec::new());
    for n in 0..40 {
        let base = 60 + n * 37 % 90;
        answers.push(answer(n, "base", base, [n % 3, n * 5 % 7, n * 3 % 4]));
        for (position, model) in ["long", "short"].into_iter().enumerate() {
            let words = if position == 0 { 80 + n * 53 % 150 } else { 20 + n * 41 % 100 };
            let markup = [n * 7 % 4, n * 11 % (9 - 4 * position), n % (5 - 2 * position)];
            answers.push(answer(n, model, words, markup));
            // From 0, much worse than the baseline, to 4.
            let liked = (2 * words / (words + base) * 2 + n * 13 % 4).min(4);
            let labels = [LABELS[liked], LABELS[4 - (liked + n % 2).min(4)]];
            judgments.push(judgment(n, model, labels));
        }
    }
    (judgments, answers)
}

fn refs<T>(of: &[T]) -> Vec<&T> {
    of.iter().collect()
}

fn of(
    judgments: &[Judgment],
    answers: &[Answer],
    seed: Seed,
) -> Result<Option<StyleControlled>, Error> {
    StyleControlled::of(&refs(judgments), &refs(answers), seed)
}

/// The official program's features and fit (of all verdicts, with PyTorch 1.13) give these for the same files.
#[test]
fn the_official_programs_fit_comes_out() {
    let (judgments, answers) = made_up();
    let (models, rows) = rows(&refs(&judgments), &refs(&answers)).unwrap();
    assert_eq!(models, ["long", "short"]);
    let fitted = fit(&rows, models.len() + STYLE, 0.0);
    let expected = [1.10701, 0.81033, 1.49166, 0.39966, -0.13068, -0.34894];
    for (fitted, expected) in fitted.iter().zip(expected) {
        assert!((fitted - expected).abs() < 0.0002, "{fitted} {expected}");
    }
}

#[test]
fn a_model_that_is_liked_for_its_length_is_not_better_at_equal_length() {
    let (judgments, answers) = made_up();
    let controlled = of(&judgments, &answers, Seed::new(1)).unwrap().unwrap();
    let (long, short) = (controlled.models["long"], controlled.models["short"]);
    // Without control: 86.3 and 40.1. The official program's samples have medians of 75.2 and 69.5, and
    // 5th percentiles of 66.8 and 60.6.
    assert!((long.score - 75.2).abs() < 2.5 && (short.score - 69.5).abs() < 2.5, "{controlled:?}");
    assert!((long.lower - 66.8).abs() < 3.5 && (short.lower - 60.6).abs() < 3.5, "{controlled:?}");
    for interval in [long, short] {
        assert!(interval.lower < interval.score && interval.score < interval.upper);
    }
    assert!(controlled.coefficients[0] > 1.0, "{controlled:?}");
    let again = of(&judgments, &answers, Seed::new(1)).unwrap().unwrap();
    assert_eq!(controlled, again);
    assert_ne!(Some(controlled), of(&judgments, &answers, Seed::new(2)).unwrap());
}

#[test]
fn equal_styles_and_empty_answers_leave_the_plain_score() {
    let answers: Vec<Answer> =
        (0..20).flat_map(|n| ["base", "mine"].map(|model| answer(n, model, 0, [0; 3]))).collect();
    let judgments: Vec<Judgment> = (0..20)
        .map(|n| judgment(n, "mine", if n % 4 == 0 { ["A>B", "B>A"] } else { ["B>A", "A>B"] }))
        .collect();
    let controlled = of(&judgments, &answers, Seed::new(1)).unwrap().unwrap();
    assert!((controlled.models["mine"].score - 75.0).abs() < 4.0, "{controlled:?}");
    assert_eq!(controlled.coefficients, [0.0; STYLE]);
}

#[test]
fn what_cannot_be_compared_is_named() {
    let (mut judgments, answers) = made_up();
    let seed = Seed::new(1);
    let without: Vec<Answer> = answers
        .iter()
        .filter(|a| (a.model.as_str(), a.uid.as_str()) != ("base", "q3"))
        .cloned()
        .collect();
    let error = of(&judgments, &without, seed).unwrap_err().to_string();
    assert_eq!(error, "base: expected an answer to \"q3\", whose style is needed; found none");
    let mut uncounted = answers.clone();
    uncounted.iter_mut().filter(|a| a.uid == "q3").for_each(|a| a.style.token_len = None);
    let error = of(&judgments, &uncounted, seed).unwrap_err().to_string();
    assert!(
        error.contains("expected token_len of the answer to \"q3\", which is not computed"),
        "{error}"
    );
    judgments[5].baseline = "other".to_owned();
    let error = of(&judgments, &answers, seed).unwrap_err().to_string();
    assert!(error.contains("against one baseline, got \"base\" and \"other\""), "{error}");
    assert_eq!(of(&[judgment(1, "mine", ["A>B", "no"])], &answers, seed).unwrap(), None);
}
