//! Equality of two expressions, as far as it can be decided.
//!
//! `parse` reads an expression the way the rules' computer algebra system does, `exact` decides what can be
//! decided exactly, `numeric` refutes equality at a few points.

use std::f64::consts::PI;

use num_rational::BigRational;
use num_traits::ToPrimitive;
use textgrad_core::Seed;

use super::expression::{Expression, Unread, parse};
use super::normalize::is_fraction;
use super::polynomial::{Fraction, fraction};

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
    let exact = difference(&one, &other);
    match exact {
        Some(difference) if difference.is_zero() => {
            if rounded {
                Comparison::Undecided("the rules round decimals in between".to_owned())
            } else {
                Comparison::Equal
            }
        }
        Some(difference) if difference.is_certain() => Comparison::Different,
        _ if differ(&one, &other) => Comparison::Different,
        _ => Comparison::Undecided("no difference was found by numbers".to_owned()),
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

fn difference(one: &Expression, other: &Expression) -> Option<Fraction> {
    fraction(one)?.minus(&fraction(other)?)
}

/// How many points are tried.
const POINTS: u64 = 5;

/// How far two values must be apart to differ, relative to the largest number on the way to them, which
/// bounds what rounding can have done.
const MIN_DIFFERENCE: f64 = 1e-6;

/// Whether two expressions have different values at a point where both have one. Letters are positive numbers
/// there, which come from a fixed seed.
fn differ(one: &Expression, other: &Expression) -> bool {
    (0..POINTS).any(|point| {
        let point = Seed::new(500).child("point", point);
        let mut largest = 1e-3;
        let values = [one, other].map(|expression| value(expression, point, &mut largest));
        match values {
            [Some(one), Some(other)] if largest.is_finite() => {
                let apart = one.plus(other.negative()).size();
                apart.is_finite() && apart > MIN_DIFFERENCE * largest
            }
            _ => false,
        }
    })
}

/// A complex number.
#[derive(Debug, Clone, Copy)]
struct Complex {
    re: f64,
    im: f64,
}

impl Complex {
    fn real(re: f64) -> Self {
        Self { re, im: 0.0 }
    }

    fn size(self) -> f64 {
        self.re.hypot(self.im)
    }

    fn plus(self, other: Self) -> Self {
        Self { re: self.re + other.re, im: self.im + other.im }
    }

    fn negative(self) -> Self {
        // Not -0, which lies on the other side of a root's cut.
        Self { re: 0.0 - self.re, im: 0.0 - self.im }
    }

    fn times(self, other: Self) -> Self {
        Self {
            re: self.re * other.re - self.im * other.im,
            im: self.re * other.im + self.im * other.re,
        }
    }

    fn inverse(self) -> Self {
        let square = self.re * self.re + self.im * self.im;
        Self { re: self.re / square, im: (0.0 - self.im) / square }
    }

    /// The principal value of a power.
    fn power(self, exponent: Self) -> Option<Self> {
        if self.size() == 0.0 {
            return (exponent.re > 0.0).then_some(Self::real(0.0));
        }
        let (log, angle) = (self.size().ln(), self.im.atan2(self.re));
        let size = (exponent.re * log - exponent.im * angle).exp();
        let angle = exponent.re * angle + exponent.im * log;
        Some(Self { re: size * angle.cos(), im: size * angle.sin() })
    }
}

/// The value at a point; none where there is none.
fn value(expression: &Expression, point: Seed, largest: &mut f64) -> Option<Complex> {
    let mut of = |inner: &Expression| value(inner, point, largest);
    let value = match expression {
        Expression::Number(number) => Complex::real(float(number)?),
        Expression::Pi => Complex::real(PI),
        Expression::Symbol(name) => {
            let drawn = point.child(name, 0).value() >> 11;
            Complex::real(0.6 + 1.8 * (drawn as f64 / (1_u64 << 53) as f64))
        }
        Expression::Sum(one, other) => of(one)?.plus(of(other)?),
        Expression::Product(one, other) => of(one)?.times(of(other)?),
        Expression::Quotient(one, other) => {
            let (over, under) = (of(one)?, of(other)?);
            // What is nearly zero may be zero, rounded.
            if under.size() < 1e-9 {
                return None;
            }
            over.times(under.inverse())
        }
        Expression::Negative(inner) => of(inner)?.negative(),
        Expression::Power(base, exponent) => of(base)?.power(of(exponent)?)?,
        Expression::Root(inner) => of(inner)?.power(Complex::real(0.5))?,
    };
    *largest = largest.max(value.size());
    value.size().is_finite().then_some(value)
}

fn float(number: &BigRational) -> Option<f64> {
    number.to_f64().filter(|number| number.is_finite())
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
