//! Faults of the server, and the requests they apply to.

mod kind;
mod reply;
mod rule;
mod tags;

use std::collections::BTreeMap;

pub use self::kind::{Fault, MAX_DELAY, RetryAfter};
pub use self::rule::{FaultRule, On, ParseFaultError, When};

pub(super) use self::reply::{Refusal, edit, refusal};

use super::routes::Route;

/// The rules of a server, and how many requests of each route they were asked about.
#[derive(Debug, Default)]
pub(super) struct FaultBook {
    rules: Vec<FaultRule>,
    asked: BTreeMap<Route, u64>,
}

impl FaultBook {
    pub(super) fn new(rules: Vec<FaultRule>) -> Self {
        Self { rules, asked: BTreeMap::new() }
    }

    /// What goes wrong with the next request of a route: the first rule that fits.
    pub(super) fn next(&mut self, route: Route) -> Option<Fault> {
        let number = self.asked.entry(route).or_default();
        *number += 1;
        let number = *number;
        self.rules
            .iter()
            .find(|rule| rule.on_route(route) && rule.when_number(number))
            .map(|rule| rule.fault().clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_route_is_counted_for_itself_and_the_first_rule_that_fits_wins() {
        let mut book =
            FaultBook::new(vec!["500@nth:2,any".parse().unwrap(), "503@first:3".parse().unwrap()]);
        let mut next = |route| book.next(route).map(|fault| fault.name());
        assert_eq!(next(Route::Chat), Some("503"));
        assert_eq!(next(Route::Classify), None);
        assert_eq!(next(Route::Chat), Some("500"));
        assert_eq!(next(Route::Classify), Some("500"));
        assert_eq!(next(Route::Chat), Some("503"));
        assert_eq!(next(Route::Chat), None);
    }
}
