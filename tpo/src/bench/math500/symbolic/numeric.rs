//! Expressions at points.

use std::f64::consts::PI;

use num_rational::BigRational;
use num_traits::ToPrimitive;
use textgrad_core::Seed;

use super::expression::Expression;

/// How many points are tried.
const POINTS: u64 = 5;

/// How far two values must be apart to differ, relative to the largest number on the way to them, which
/// bounds what rounding can have done.
const APART: f64 = 1e-6;

/// Whether two expressions have different values at a point where both have one. Letters are positive numbers
/// there, which come from a fixed seed.
pub(super) fn differ(one: &Expression, other: &Expression) -> bool {
    (0..POINTS).any(|point| {
        let point = Seed::new(500).child("point", point);
        let mut largest = 1e-3;
        let values = [one, other].map(|expression| value(expression, point, &mut largest));
        match values {
            [Some(one), Some(other)] if largest.is_finite() => {
                let apart = one.plus(other.negative()).size();
                apart.is_finite() && apart > APART * largest
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
