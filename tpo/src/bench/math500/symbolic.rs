//! Equality of two expressions, as far as it can be decided.
//!
//! Letters and π take random values. [`exact`] decides what can be decided by exact arithmetic (a nonzero polynomial
//! has almost no zeros among random points: Schwartz and Zippel), and numbers refute equality of the rest.

use std::f64::consts::PI;

use num_complex::Complex64;
use num_traits::{ToPrimitive, Zero};
use textgrad_core::Seed;

use super::exact::exact;
use super::expression::{Expression, Unread, parse};
use super::normalize::is_fraction;

/// The comparison of two expressions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Different,
    Undecided(String),
}

/// Compares two expressions.
pub(super) fn compare(one: &str, other: &str) -> Comparison {
    // The rules compute with rounded decimals, so that 0.1*3 is not 3/10 for them. One decimal against a sum
    // or quotient of whole numbers is rounded once and safe.
    let decimal = |text: &str| text.contains('.');
    let rounded = match (decimal(one), decimal(other)) {
        (false, false) => false,
        (true, false) => !(is_plain(one) && is_rational(other)),
        (false, true) => !(is_plain(other) && is_rational(one)),
        (true, true) => !(is_plain(one) && is_plain(other)),
    };
    let (one, other) = match (parse(one), parse(other)) {
        (Ok(one), Ok(other)) => (one, other),
        (Err(Unread::Malformed), _) | (_, Err(Unread::Malformed)) => return Comparison::Different,
        (Err(Unread::Unknown(reason)), _) | (_, Err(Unread::Unknown(reason))) => {
            return Comparison::Undecided(reason);
        }
    };
    let undecided = |reason: &str| Comparison::Undecided(reason.to_owned());
    match are_equal(&one, &other) {
        Some(true) if rounded => undecided("the rules round decimals in between"),
        Some(true) => Comparison::Equal,
        Some(false) => Comparison::Different,
        None if differ(&one, &other) => Comparison::Different,
        None => undecided("no difference was found by numbers"),
    }
}

/// Whether it is one number, or a fraction of two.
fn is_plain(text: &str) -> bool {
    text.parse::<f64>().is_ok() || is_fraction(text)
}

/// Whether it has no letters, and so no roots.
fn is_rational(text: &str) -> bool {
    !text.chars().any(char::is_alphabetic)
}

/// The points that are tried. They come from a fixed seed.
fn points() -> impl Iterator<Item = Seed> {
    (0..5).map(|point| Seed::new(500).child("point", point))
}

/// Whether two expressions are equal, by exact values; `None` if these do not tell.
fn are_equal(one: &Expression, other: &Expression) -> Option<bool> {
    for point in points() {
        let difference = exact(one, Some(point))?.minus(&exact(other, Some(point))?)?;
        if !difference.is_zero() {
            return difference.is_certain().then_some(false);
        }
    }
    Some(true)
}

/// How far two values must be apart to differ, relative to the largest number on the way to them, which
/// bounds what rounding can have done.
const MIN_DIFFERENCE: f64 = 1e-6;

/// Whether two expressions have different values at a point where both have one. Letters are positive numbers
/// there.
fn differ(one: &Expression, other: &Expression) -> bool {
    points().any(|point| {
        let mut largest = 1e-3;
        let values = [one, other].map(|expression| value(expression, point, &mut largest));
        match values {
            [Some(one), Some(other)] if largest.is_finite() => {
                let apart = (one - other).norm();
                apart.is_finite() && apart > MIN_DIFFERENCE * largest
            }
            _ => false,
        }
    })
}

/// The value at a point; none where there is none.
fn value(expression: &Expression, point: Seed, largest: &mut f64) -> Option<Complex64> {
    let mut of = |inner: &Expression| value(inner, point, largest);
    let value = match expression {
        Expression::Number(number) => number.to_f64()?.into(),
        Expression::Pi => PI.into(),
        Expression::Symbol(name) => {
            let drawn = point.child(name, 0).value() >> 11;
            (0.6 + 1.8 * (drawn as f64 / (1_u64 << 53) as f64)).into()
        }
        Expression::Sum(one, other) => of(one)? + of(other)?,
        Expression::Product(one, other) => of(one)? * of(other)?,
        Expression::Quotient(one, other) => {
            let (over, under) = (of(one)?, of(other)?);
            // What is nearly zero may be zero, rounded.
            if under.norm() < 1e-9 {
                return None;
            }
            over / under
        }
        Expression::Negative(inner) => -of(inner)?,
        Expression::Power(base, exponent) => power(of(base)?, of(exponent)?)?,
        Expression::Root(inner) => power(of(inner)?, 0.5.into())?,
    };
    *largest = largest.max(value.norm());
    value.norm().is_finite().then_some(value)
}

/// The principal value of a power.
fn power(base: Complex64, exponent: Complex64) -> Option<Complex64> {
    if base.is_zero() {
        return (exponent.re > 0.0).then_some(base);
    }
    // The sum has no -0, which lies on the other side of the cut.
    Some((base + Complex64::zero()).powc(exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_found_to_be() {
        for (one, other) in [
            ("(x+1)^2", "x^2+2x+1"),
            ("1/2x", "x/2"),
            ("sqrt(8)", "2sqrt(2)"),
            ("1/sqrt(2)", "sqrt(2)/2"),
            ("1/(1+sqrt(2))", "sqrt(2)-1"),
            ("sqrt(2)*sqrt(3)", "sqrt(6)"),
            ("sqrt(-4)", "2sqrt(-1)"),
            ("sqrt(1/3)", "sqrt(3)/3"),
            ("pi*x/x", "pi"),
            ("(x^2-1)/(x-1)", "x+1"),
            ("0.125", "1/8"),
            ("3!", "6"),
            ("-x^2", "0-x*x"),
            ("x^-1", "1/x"),
            ("2sqrt(x+1)", "sqrt(1+x)+sqrt(x+1)"),
            ("xy", "y*x"),
            ("2*10^6", "2000000"),
            ("1.5e3", "1500"),
            ("x**2", "x^2"),
            // A letter before a parenthesis is a factor.
            ("x(x+1)", "x^2+x"),
            ("2x_1+1", "1+x_1*2"),
            ("pi2", "2ip"),
            ("3.8", "3+4/5"),
            ("2000000.0", "2*10^6"),
        ] {
            assert_eq!(compare(one, other), Comparison::Equal, "{one} and {other}");
        }
    }

    #[test]
    fn what_differs_is_refuted() {
        for (one, other) in [
            ("x+1", "x+2"),
            ("sqrt(2)", "1.41421356"),
            ("pi", "22/7"),
            ("2^x", "x^2"),
            ("sqrt(x)", "x"),
            ("x(x+1)", "x^2+2x"),
            ("sqrt(2)+sqrt(3)", "sqrt(5)"),
            ("a<b", "b"),
            ("1,2", "2,1"),
            ("x=5", "5"),
            ("±3", "3"),
            ("x_1", "x_2"),
            ("|x|", "x"),
            ("2+|x-1|", "2+x"),
            ("x.", "x"),
            ("0.5.", "1/2"),
            ("2pi2", "4pi"),
            ("10^9+1/1000", "10^9"),
            // The rules' parser reads neither.
            ("*3", "*3+0"),
            ("5+", "5+0+"),
            ("2*/3", "5"),
            ("()", "5"),
        ] {
            assert_eq!(compare(one, other), Comparison::Different, "{one} and {other}");
        }
    }

    #[test]
    fn what_cannot_be_decided_is_said() {
        for (one, other) in [
            ("sqrt(3+2sqrt(2))", "1+sqrt(2)"),
            ("2^x*2^x", "4^x"),
            ("sqrt(x^2)", "x"),
            ("1/0", "2/0"),
            ("ln(x)", "x"),
            ("log_2", "x"),
            ("1|2", "3"),
            ("x.n", "x"),
            ("5..2", "5"),
            ("3.8", "sqrt(361)/5"),
            ("[1]", "1"),
            ("1)+(2", "3"),
            ("5e", "5*oo"),
            ("0.1*3", "3/10"),
            ("sqrt(2.0)", "sqrt(2)"),
            ("sqrt(2,)", "sqrt(2)"),
        ] {
            let reply = compare(one, other);
            assert!(matches!(reply, Comparison::Undecided(_)), "{one} and {other}: {reply:?}");
        }
    }
}
