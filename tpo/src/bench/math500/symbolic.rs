//! Equality of two expressions, as far as it can be decided.
//!
//! Letters and π take random values. [`exact`] decides what can be decided by exact arithmetic (a nonzero polynomial
//! has almost no zeros among random points: Schwartz and Zippel), and numbers refute equality of the rest.

use std::collections::BTreeMap;
use std::f64::consts::PI;

use num_bigint::BigInt;
use num_complex::Complex64;
use num_integer::Integer;
use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};
use textgrad_core::Seed;

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
            return difference.certain.then_some(false);
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

/// Roots in a sum, at most.
const MAX_TERMS: usize = 64;

/// The length of a numerator or denominator, in bits, at most.
const MAX_BITS: u64 = 16_000;

/// The largest exponent that is multiplied out.
const MAX_EXPONENT: u64 = 40;

/// The largest number whose root is simplified, which takes at most its root of divisions.
const MAX_RADICAND: i128 = 1_000_000_000_000;

/// A sum of square roots of integers, each with a fraction as its factor. The integers are not 0 and have no square
/// factors, so the form is canonical: zero has no terms.
#[derive(Debug, Clone, Default, PartialEq)]
struct RootSum(BTreeMap<i128, BigRational>);

impl RootSum {
    fn number(number: BigRational) -> Self {
        let mut sum = Self::default();
        sum.add(1, number);
        sum
    }

    /// The number that it is, if it has no roots.
    fn rational(&self) -> Option<BigRational> {
        match self.0.len() {
            0 => Some(BigRational::zero()),
            1 => self.0.get(&1).cloned(),
            _ => None,
        }
    }

    fn add(&mut self, radicand: i128, factor: BigRational) {
        let sum = self.0.remove(&radicand).unwrap_or_default() + factor;
        if !sum.is_zero() {
            self.0.insert(radicand, sum);
        }
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        let mut sum = self.clone();
        for (radicand, factor) in &other.0 {
            sum.add(*radicand, factor.clone());
        }
        sum.bounded()
    }

    fn times(&self, other: &Self) -> Option<Self> {
        let mut product = Self::default();
        for (one, factor) in &self.0 {
            for (other, by) in &other.0 {
                let shared = one.gcd(other);
                let radicand = (one / shared).checked_mul(other / shared)?;
                // The product of two imaginary numbers is negative.
                let outside = if *one < 0 && *other < 0 { -shared } else { shared };
                let outside = BigRational::from_integer(outside.into());
                product.add(radicand, factor * by * outside);
            }
        }
        product.bounded()
    }

    /// The same; `None` if it is too large.
    fn bounded(self) -> Option<Self> {
        let fits = |n: &BigRational| n.numer().bits() <= MAX_BITS && n.denom().bits() <= MAX_BITS;
        (self.0.len() <= MAX_TERMS && self.0.values().all(fits)).then_some(self)
    }

    /// The principal square root of a number; `None` if it is too large.
    fn square_root(number: &BigRational) -> Option<Self> {
        // The root of a/b is that of ab, divided by b.
        let mut radicand = (number.numer() * number.denom()).to_i128()?;
        if radicand.abs() > MAX_RADICAND {
            return None;
        }
        let (mut outside, mut divisor) = (BigInt::one(), 2);
        while divisor * divisor <= radicand.abs() {
            if radicand % (divisor * divisor) == 0 {
                radicand /= divisor * divisor;
                outside *= divisor;
            } else {
                divisor += 1;
            }
        }
        let mut root = Self::default();
        if radicand != 0 {
            root.add(radicand, BigRational::new(outside, number.denom().clone()));
        }
        Some(root)
    }
}

/// A quotient of sums of roots; the divisor is never zero.
#[derive(Debug, Clone)]
struct Exact {
    over: RootSum,
    under: RootSum,
    /// Whether it is known to be another number than zero if it is not zero.
    certain: bool,
}

impl Exact {
    fn whole(over: RootSum) -> Self {
        Self { over, under: RootSum::number(BigRational::one()), certain: true }
    }

    /// What has no exact value takes a random one, the same for the same text.
    fn unknown(text: &str, point: Seed) -> Self {
        Self { certain: false, ..Self::drawn(text, point) }
    }

    fn drawn(name: &str, point: Seed) -> Self {
        let drawn = BigInt::from(point.child(name, 0).value() >> 24);
        Self::whole(RootSum::number(BigRational::from_integer(drawn)))
    }

    fn is_zero(&self) -> bool {
        self.over.0.is_empty()
    }

    fn plus(&self, other: &Self) -> Option<Self> {
        let over = self.over.times(&other.under)?.plus(&other.over.times(&self.under)?)?;
        let under = self.under.times(&other.under)?;
        Some(Self { over, under, certain: self.certain && other.certain })
    }

    fn minus(&self, other: &Self) -> Option<Self> {
        self.plus(&other.negative()?)
    }

    fn negative(&self) -> Option<Self> {
        self.times(&Self::whole(RootSum::number(-BigRational::one())))
    }

    fn times(&self, other: &Self) -> Option<Self> {
        let (over, under) = (self.over.times(&other.over)?, self.under.times(&other.under)?);
        Some(Self { over, under, certain: self.certain && other.certain })
    }

    /// `None` for zero.
    fn inverse(self) -> Option<Self> {
        (!self.is_zero()).then_some(Self { over: self.under, under: self.over, ..self })
    }

    fn power(&self, exponent: &BigInt) -> Option<Self> {
        let times = exponent.magnitude().to_u64().filter(|times| *times <= MAX_EXPONENT)?;
        let one = Self::whole(RootSum::number(BigRational::one()));
        let product = (0..times).try_fold(one, |product, _| product.times(self))?;
        if *exponent < BigInt::zero() { product.inverse() } else { Some(product) }
    }
}

/// The value of an expression at a point, where letters and π have random values; without a point, only numbers
/// have a value. `None` if it is too large, or divides by zero.
fn exact(expression: &Expression, point: Option<Seed>) -> Option<Exact> {
    let of = |inner: &Expression| exact(inner, point);
    match expression {
        Expression::Number(number) => Some(Exact::whole(RootSum::number(number.clone()))),
        Expression::Pi => Some(Exact::drawn("pi", point?)),
        Expression::Symbol(name) => Some(Exact::drawn(name, point?)),
        Expression::Sum(one, other) => of(one)?.plus(&of(other)?),
        Expression::Product(one, other) => of(one)?.times(&of(other)?),
        Expression::Quotient(one, other) => of(one)?.times(&of(other)?.inverse()?),
        Expression::Negative(inner) => of(inner)?.negative(),
        Expression::Power(base, exponent) => match number(exponent).filter(BigRational::is_integer)
        {
            Some(whole) => of(base)?.power(&whole.to_integer()),
            None => {
                let point = point?;
                Some(Exact::unknown(&format!("{:?}^{:?}", of(base)?, of(exponent)?), point))
            }
        },
        Expression::Root(inner) => match number(inner).and_then(|of| RootSum::square_root(&of)) {
            Some(root) => Some(Exact::whole(root)),
            None => {
                let point = point?;
                Some(Exact::unknown(&format!("root of {:?}", of(inner)?), point))
            }
        },
    }
}

/// The number that an expression without letters is, if it has no roots.
fn number(expression: &Expression) -> Option<BigRational> {
    let Exact { over, under, .. } = exact(expression, None)?;
    Some(over.rational()? / under.rational()?)
}

#[cfg(test)]
mod tests;
