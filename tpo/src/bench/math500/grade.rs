//! Verdict on an answer.

use serde::Serialize;

use super::normalize::{
    first_normal_form, is_fraction, is_integer, second_normal_form, without_commas,
};
use super::symbolic::{Comparison, compare};

/// What the rules say of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "grade", content = "reason")]
pub enum Grade {
    /// It is right.
    Correct,
    /// It is wrong.
    Incorrect,
    /// It cannot be decided here, with the reason. The rules would ask a computer algebra system.
    Undecided(String),
}

/// Grades an answer, the inside of a box, by the rules of PRM800K.
///
/// 1. The normal forms of the data set's own grader are equal; or those of the rules are.
/// 2. Else both are split at the commas within one pair of brackets; brackets and number of parts must be the
///    same.
/// 3. Each part must be right: two fractions must be the same letters, so one that is not reduced is wrong;
///    a whole number is only equal to a whole number of the same digits; all else is right if the difference
///    simplifies to zero.
///
/// Where the rules ask a computer algebra system, sums, products, quotients, whole powers and square roots of
/// numbers, π and letters are decided by exact arithmetic, with random numbers for π and the letters. Where other
/// things occur, equality is refuted by numbers or the answer is [`Grade::Undecided`]; so it is where equality
/// would rest on how decimals are rounded. The oddities of the rules are kept: `\frac{x+1}{2}` is read as `x+1/2`,
/// a third root as a square root, `52_8` as 528, and expressions with more than two letters, among them those of
/// `pi`, are not compared but wrong.
///
/// # Examples
/// ```
/// use tpo::bench::math500::{Grade, grade};
///
/// assert_eq!(grade(r"\dfrac{3}{4}", "3/4"), Grade::Correct);
/// assert_eq!(grade(r"2(x+1)", "2x+2"), Grade::Correct);
/// assert_eq!(grade(r"\frac{6}{8}", r"\frac{3}{4}"), Grade::Incorrect);
/// assert_eq!(grade("5.0", "5"), Grade::Correct);
/// ```
#[must_use]
pub fn grade(given: &str, right: &str) -> Grade {
    if first_normal_form(given) == first_normal_form(right) {
        return Grade::Correct;
    }
    let (given, right) = match (second_normal_form(given), second_normal_form(right)) {
        (Ok(given), Ok(right)) => (given, right),
        (Err(reason), _) | (_, Err(reason)) => return Grade::Undecided(reason),
    };
    if given == right {
        return Grade::Correct;
    }
    if given.is_empty() {
        return Grade::Incorrect;
    }
    let (given_parts, right_parts) = (parts(&given), parts(&right));
    let ends = |text: &str| (text.chars().next(), text.chars().next_back());
    if given_parts.len() != right_parts.len()
        || (right_parts.len() > 1 && ends(&given) != ends(&right))
    {
        return Grade::Incorrect;
    }
    let mut undecided = None;
    for (given, right) in given_parts.iter().zip(&right_parts) {
        match part(given, right) {
            Grade::Correct => {}
            // One wrong part is enough, whatever cannot be decided of the others.
            Grade::Incorrect => return Grade::Incorrect,
            Grade::Undecided(reason) => undecided = undecided.or(Some(reason)),
        }
    }
    match (undecided, right_parts.is_empty()) {
        (Some(reason), _) => Grade::Undecided(reason),
        (None, true) => Grade::Incorrect,
        (None, false) => Grade::Correct,
    }
}

/// The parts of a tuple or an interval, or else the whole.
fn parts(text: &str) -> Vec<String> {
    const BRACKETS: [char; 4] = ['(', ')', '[', ']'];
    let text = without_commas(text);
    if text.is_empty() {
        return Vec::new();
    }
    let inner = text
        .strip_prefix(BRACKETS)
        .and_then(|rest| rest.strip_suffix(BRACKETS))
        .filter(|inner| !inner.is_empty() && !inner.contains(BRACKETS));
    match inner {
        Some(inner) => inner.split(',').map(|part| part.trim().to_owned()).collect(),
        None => vec![text],
    }
}

fn part(given: &str, right: &str) -> Grade {
    if is_fraction(given) && is_fraction(right) {
        return if given == right { Grade::Correct } else { Grade::Incorrect };
    }
    if is_integer(given) != is_integer(right) || !may_be_compared(given, right) {
        return Grade::Incorrect;
    }
    match compare(given, right) {
        Comparison::Equal => Grade::Correct,
        Comparison::Different => Grade::Incorrect,
        Comparison::Undecided(reason) => Grade::Undecided(reason),
    }
}

/// Whether the rules would hand two expressions to a computer algebra system: not those of more than two
/// letters, nor those with powers that may take it long.
fn may_be_compared(given: &str, right: &str) -> bool {
    let both = format!("({right})-({given})");
    let unknown = both.replace("sqrt", "").replace("frac", "");
    let mut letters: Vec<char> = unknown.chars().filter(|letter| letter.is_alphabetic()).collect();
    letters.sort_unstable();
    letters.dedup();
    if letters.len() > 2 || both.contains("^{") || both.contains("^(") {
        return false;
    }
    // A power with an exponent of two digits, or a power of a power.
    !both.split('^').skip(1).any(|exponent| {
        let digits = exponent.chars().take_while(char::is_ascii_digit).count();
        digits > 1
    }) && !power_of_power(&both)
}

fn power_of_power(text: &str) -> bool {
    let parts: Vec<&str> = text.split('^').collect();
    let inner = parts.get(1..parts.len().saturating_sub(1)).unwrap_or_default();
    inner.iter().any(|part| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_digit()))
}

/// How many answers are right, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Accuracy {
    /// The share of right answers if all that could not be decided are wrong.
    pub accuracy: f64,
    /// The share if all of them are right: the truth lies between.
    pub at_most: f64,
    /// Right answers.
    pub correct: usize,
    /// Answers that could not be decided.
    pub undecided: usize,
    /// All answers.
    pub items: usize,
}

/// The share of right answers; none without any.
#[must_use]
pub fn accuracy(grades: &[Grade]) -> Option<Accuracy> {
    let items = grades.len();
    let count = |is: fn(&Grade) -> bool| grades.iter().filter(|grade| is(grade)).count();
    let correct = count(|grade| *grade == Grade::Correct);
    let undecided = count(|grade| matches!(grade, Grade::Undecided(_)));
    let share = |of: usize| 100.0 * of as f64 / items as f64;
    let accuracy = || Accuracy {
        accuracy: share(correct),
        at_most: share(correct + undecided),
        correct,
        undecided,
        items,
    };
    (items > 0).then(accuracy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undecided(grade: &Grade) -> bool {
        matches!(grade, Grade::Undecided(_))
    }

    #[test]
    fn answers_are_graded_by_the_rules() {
        for (given, right) in [
            ("3/4", r"\frac{3}{4}"),
            ("0.5", r"\frac{1}{2}"),
            ("0.25", r"\frac{1}{4}"),
            (r"\frac{\sqrt{2}}{2}", r"\frac{1}{\sqrt{2}}"),
            (r"\sqrt{12}", r"2\sqrt{3}"),
            ("(1, 2)", "(1,2)"),
            ("(0.5,2x)", r"(\frac{1}{2},x+x)"),
            ("x^2+2x+1", "(x+1)^2"),
            ("10,000", "10000"),
            (r"3\pi", r"\pi\cdot 3"),
            ("EVEN", r"\text{even}"),
            ("528", "52_8"),
            (r"\frac{x+1}{2}", r"x+\frac12"),
            (r"\sqrt[3]{2}", r"\sqrt{2}"),
            ("a+b", "b+a"),
        ] {
            assert_eq!(grade(given, right), Grade::Correct, "{given} for {right}");
        }
        for (given, right) in [
            (r"\frac{2}{8}", r"\frac{1}{4}"),
            // A whole number is only itself.
            ("10/2", "5"),
            (r"\sqrt{4}", "2"),
            ("5.5", "5"),
            ("(1,2]", "(1,2)"),
            ("(1,2)", "(1,2,3)"),
            ("1,2", "2,1"),
            ("", "5"),
            ("x+1", "x+2"),
            ("no", "yes"),
            // Not compared: three letters, the two of pi among them; a power of two digits.
            (r"x\pi+\pi", r"\pi(x+1)"),
            ("x^12", "x^6x^6"),
            ("x=5", "5+x"),
            // Not split, for there are parentheses within the parentheses, and lists are not compared.
            (r"(0.5,\sqrt{4})", r"(\frac{1}{2},\sqrt{4})"),
            ("3.14", r"\pi"),
        ] {
            assert_eq!(grade(given, right), Grade::Incorrect, "{given} for {right}");
        }
    }

    #[test]
    fn one_wrong_part_is_enough() {
        assert!(undecided(&grade("(1/2,2^x*2^x)", "(0.5,4^x)")));
        assert_eq!(grade("(3/2,2^x*2^x)", "(0.5,4^x)"), Grade::Incorrect);
        assert_eq!(grade("(2^x*2^x,3/2)", "(4^x,0.5)"), Grade::Incorrect);
    }

    #[test]
    fn what_is_not_known_is_undecided_unless_it_is_equal() {
        let odd = r"\mathfrak{a}+1";
        assert_eq!(grade(odd, odd), Grade::Correct);
        assert!(undecided(&grade(odd, "5")));
        assert!(undecided(&grade(r"1+\sqrt{2}", r"\sqrt{3+2\sqrt{2}}")));
    }

    #[test]
    fn hostile_answers_end() {
        let deep = format!("{}1{}", "(".repeat(5000), ")".repeat(5000));
        for given in [
            deep.as_str(),
            &"x".repeat(20_000),
            "((((9^9)^9)^9)^9)^9",
            &format!("x+{}", "(x+y)^9*".repeat(60)),
            "99999999999999999999999999999999999!",
            "5)-(0",
            "1e999999999",
            "9^-9^9",
            "sqrt(x",
            "\u{0}",
            "((((x+y)^9+1)^9+1)^9+1)^9",
        ] {
            for right in ["x+y", "5", r"\frac{x}{y}"] {
                let _ = grade(given, right);
            }
        }
        assert_ne!(grade("5)-(0.5", "5.5-0.5x"), Grade::Correct);
    }

    #[test]
    fn undecided_answers_widen_the_figure() {
        let grades =
            [Grade::Correct, Grade::Incorrect, Grade::Undecided("x".to_owned()), Grade::Correct];
        let accuracy = accuracy(&grades).unwrap();
        assert_eq!((accuracy.accuracy, accuracy.at_most), (50.0, 75.0));
        assert_eq!(super::accuracy(&[]), None);
        assert_eq!(
            serde_json::to_string(&grades[2]).unwrap(),
            r#"{"grade":"undecided","reason":"x"}"#
        );
    }
}
