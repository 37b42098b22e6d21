//! Rules: which fault, on which route, when; and how they are written.

use std::fmt;
use std::str::FromStr;

use super::kind::{Fault, KINDS};
use crate::fake_server::routes::Route;

/// The routes on which a fault can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// `chat`: `POST /v1/chat/completions`.
    Chat,
    /// `classify`: `POST /classify`, or the reward routes of another server.
    Classify,
    /// `completions`: `POST /v1/completions`.
    Completions,
    /// `any`: chat and classify, each with a count of its own.
    Any,
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Classify => "classify",
            Self::Completions => "completions",
            Self::Any => "any",
        })
    }
}

/// The requests of a route that a fault happens to. They are numbered from 1, in order of arrival, without
/// those that a wrong key turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// `first:K`: the first K.
    First(u64),
    /// `nth:K`: only the Kth.
    Nth(u64),
    /// `every:K`: the Kth, the 2Kth, and so on.
    Every(u64),
    /// `always`: all.
    Always,
}

impl When {
    fn hits(self, number: u64) -> bool {
        match self {
            Self::First(count) => number <= count,
            Self::Nth(nth) => number == nth,
            Self::Every(step) => step > 0 && number.is_multiple_of(step),
            Self::Always => true,
        }
    }
}

/// A fault, the route it happens on, and when.
///
/// Written as `KIND[=ARG][@WHEN][,ROUTE]` (or `KIND[=ARG]@ROUTE`): `500`, `429-ms=20@first:2`,
/// `stall=100@every:3,classify`, `reset@any`. Without a selector it is `first:1`, so that a client that tries
/// again sees an answer; without a route it is `chat`, or `classify` for the faults of scores. Of several
/// rules that fit one request the first given wins: a request has one fault at most.
///
/// # Examples
/// ```
/// use textgrad_tests::fake_server::{Fault, FaultRule, On, When};
///
/// let rule: FaultRule = "503@nth:2,classify".parse()?;
/// assert_eq!(rule, FaultRule::new(Fault::Unavailable).when(When::Nth(2)).on(On::Classify));
/// assert!("teapot".parse::<FaultRule>().is_err());
/// # Ok::<(), textgrad_tests::fake_server::ParseFaultError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRule {
    fault: Fault,
    on: On,
    when: When,
}

impl FaultRule {
    /// A fault of the first request of its usual route.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        let on = fault.only_on().unwrap_or(On::Chat);
        Self { fault, on, when: When::First(1) }
    }

    /// The same fault of other requests.
    #[must_use]
    pub fn when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// The same fault on another route.
    #[must_use]
    pub fn on(mut self, on: On) -> Self {
        self.on = on;
        self
    }

    /// The fault.
    #[must_use]
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// What a rule can be, one line for each part, for messages and help.
    #[must_use]
    pub fn syntax() -> String {
        let kinds: Vec<String> = KINDS
            .iter()
            .map(|kind| match kind.argument {
                Some(argument) => format!("{}=<{argument}>", kind.name),
                None => kind.name.to_owned(),
            })
            .collect();
        format!(
            "KIND[=ARG][@WHEN][,ROUTE]\n  kinds: {}\n  when: first:K, nth:K, every:K, always (without: \
             first:1)\n  route: chat, classify, completions, any (without: chat, or classify for faults of scores)",
            kinds.join(", ")
        )
    }

    pub(super) fn on_route(&self, route: Route) -> bool {
        match self.on {
            On::Chat => route == Route::Chat,
            On::Classify => route == Route::Classify,
            On::Completions => route == Route::Completions,
            On::Any => matches!(route, Route::Chat | Route::Classify),
        }
    }

    pub(super) fn when_number(&self, number: u64) -> bool {
        self.when.hits(number)
    }
}

impl From<Fault> for FaultRule {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}

/// A text that is no [`FaultRule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseFaultError(String);

impl fmt::Display for ParseFaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; expected {}", self.0, FaultRule::syntax())
    }
}

impl std::error::Error for ParseFaultError {}

impl FromStr for FaultRule {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |problem: String| Err(ParseFaultError(format!("fault `{text}`: {problem}")));
        // `KIND,ROUTE` is taken too: the selector may be left out before the comma as well as before the `@`.
        let (kind, place) = match text.split_once(['@', ',']) {
            Some((kind, place)) => (kind, Some(place)),
            None => (text, None),
        };
        let (name, argument) = match kind.split_once('=') {
            Some((name, argument)) => (name, Some(argument)),
            None => (kind, None),
        };
        let Some(kind) = KINDS.iter().find(|kind| kind.name == name) else {
            return fail(format!("there is no kind `{name}`"));
        };
        let fault = match (kind.argument, argument) {
            (None, Some(_)) => return fail(format!("`{name}` takes no argument")),
            (Some(what), None) => return fail(format!("`{name}` needs an argument: {what}")),
            (what, argument) => match (kind.build)(argument.unwrap_or_default()) {
                Some(fault) => fault,
                None => {
                    return fail(format!(
                        "the argument of `{name}` must be {}",
                        what.unwrap_or("absent")
                    ));
                }
            },
        };

        let only_on = fault.only_on();
        let mut rule = Self::new(fault);
        let (mut routed, mut timed) = (false, false);
        for part in place.into_iter().flat_map(|place| place.split(',')) {
            if let Some(on) = parse_on(part) {
                if only_on.is_some_and(|only| only != on) || std::mem::replace(&mut routed, true) {
                    return fail(format!("`{name}` cannot be on route `{on}` here"));
                }
                rule = rule.on(on);
            } else if let Some(when) = parse_when(part) {
                if std::mem::replace(&mut timed, true) {
                    return fail(format!("`{part}` is a second selector"));
                }
                rule = rule.when(when);
            } else {
                return fail(format!("`{part}` is neither a selector nor a route"));
            }
        }
        Ok(rule)
    }
}

fn parse_on(text: &str) -> Option<On> {
    [On::Chat, On::Classify, On::Completions, On::Any].into_iter().find(|on| on.to_string() == text)
}

fn parse_when(text: &str) -> Option<When> {
    if text == "always" {
        return Some(When::Always);
    }
    let (selector, count) = text.split_once(':')?;
    let count = count.parse().ok().filter(|count| *count > 0)?;
    match selector {
        "first" => Some(When::First(count)),
        "nth" => Some(When::Nth(count)),
        "every" => Some(When::Every(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rule(text: &str) -> FaultRule {
        text.parse().unwrap()
    }

    fn problem(text: &str) -> String {
        text.parse::<FaultRule>().unwrap_err().to_string()
    }

    #[test]
    fn rules_are_read() {
        assert_eq!(rule("500"), FaultRule::new(Fault::ServerError));
        assert_eq!(rule("nan-score").on, On::Classify);
        assert_eq!(
            rule("stall=100@every:3,any"),
            FaultRule::new(Fault::Stall(Duration::from_millis(100)))
                .when(When::Every(3))
                .on(On::Any)
        );
        assert_eq!(rule("503,classify"), rule("503@classify"));
        assert_eq!(rule("503@classify,always"), rule("503@always,classify"));
    }

    #[test]
    fn selectors_hit_the_requests_they_name() {
        let hits = |text: &str| {
            (1..=6).filter(|number| rule(text).when_number(*number)).collect::<Vec<_>>()
        };
        assert_eq!(hits("500"), [1]);
        assert_eq!(hits("500@first:3"), [1, 2, 3]);
        assert_eq!(hits("500@nth:4"), [4]);
        assert_eq!(hits("500@every:2"), [2, 4, 6]);
        assert_eq!(hits("500@always"), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn mistakes_are_named_and_what_exists_is_listed() {
        for (text, expected) in [
            ("teapot", "there is no kind `teapot`"),
            ("500=1", "`500` takes no argument"),
            ("stall", "`stall` needs an argument: milliseconds"),
            ("stall=x", "the argument of `stall` must be milliseconds"),
            ("stall=600001", "600000 at most"),
            ("429-seconds=-1", "must be seconds"),
            ("fewer-choices=0", "at least 1"),
            ("500@sometimes", "`sometimes` is neither"),
            ("500@first:0", "`first:0` is neither"),
            ("500@first:1,nth:2", "`nth:2` is a second selector"),
            ("length@classify", "`length` cannot be on route `classify`"),
            ("500@chat,any", "`500` cannot be on route `any`"),
        ] {
            let message = problem(text);
            assert!(message.contains(expected), "{message}");
            assert!(message.starts_with(&format!("fault `{text}`: ")), "{message}");
            assert!(message.contains("cut-off-body"), "{message}");
            assert!(message.contains("every:K"), "{message}");
        }
    }
}
