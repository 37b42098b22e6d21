//! The mistakes that a worked answer can show.

use super::habits::Habit;

/// A kind of mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A number word or an article was read as another number.
    Misread,
    /// Something was left out.
    Forgot,
    /// Something was counted that is not asked for.
    Stray,
    /// The numbers were added up wrongly.
    Sum,
    /// Words stand in the wrong order.
    Order,
    /// The answer does not stand where and as it should.
    Form,
    /// There is no working in which a mistake could be seen.
    Hidden,
}

impl Fault {
    /// What helps against it.
    pub(super) fn remedy(self) -> Habit {
        match self {
            Self::Misread => Habit::Numbers,
            Self::Forgot => Habit::List,
            Self::Stray => Habit::Ignore,
            Self::Sum => Habit::Verify,
            Self::Order => Habit::Letters,
            Self::Form => Habit::Form,
            Self::Hidden => Habit::Steps,
        }
    }

    /// What the critic says of it. None of these sentences asks for a habit.
    pub(super) fn says(self) -> &'static str {
        match self {
            Self::Misread => "a number of the question was read as another one",
            Self::Forgot => "something that the question names is missing from the working",
            Self::Stray => "something was counted that the question does not ask for",
            Self::Sum => "the addition is wrong",
            Self::Order => "two words stand in the wrong order",
            Self::Form => "the answer does not stand where a reader looks for it",
            Self::Hidden => "there is no working in which the mistake could be seen",
        }
    }

    /// A sentence that asks for what helps against it.
    #[cfg(test)]
    pub(crate) fn cure(self) -> &'static str {
        self.remedy().sentence(&mut crate::sim::rng::Rng::new(0, 0))
    }
}
