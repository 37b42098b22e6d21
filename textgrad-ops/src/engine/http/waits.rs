//! Waits that the errors of servers ask for: in headers, bodies and messages.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use regex::Regex;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

/// Reads `retry-after-ms`, then `retry-after` as seconds, as a duration with units, or as a date.
///
/// A date counts from the server's own `Date`, so that a clock that is wrong here does no harm; `now` stands
/// in where the server sends none. A value that is not a positive number is ignored.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(delay) = text("retry-after-ms").and_then(|text| number(text, 1e-3)) {
        return Some(delay);
    }
    let wish = text(RETRY_AFTER.as_str())?;
    if let Some(delay) = number(wish, 1.0).or_else(|| duration(wish)) {
        return Some(delay);
    }
    let until = httpdate::parse_http_date(wish).ok()?;
    let from =
        text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    until.duration_since(from).ok().filter(|delay| !delay.is_zero())
}

/// The wait until the limits that are used up begin anew: the longest `x-ratelimit-reset-*` whose
/// `x-ratelimit-remaining-*` is 0. For a 429 without another header.
pub(super) fn limits_reset(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let names = headers.keys().filter_map(|name| {
        let prefix = ["x-ratelimit-reset", "ratelimit-reset"];
        let limit = prefix.iter().find_map(|prefix| name.as_str().strip_prefix(prefix))?;
        Some((name.as_str(), limit))
    });
    let resets = names.filter_map(|(name, limit)| {
        let remaining = text(&name.replacen("reset", "remaining", 1));
        let used_up = match remaining {
            Some(remaining) => remaining.parse::<i64>().ok()? <= 0,
            // There is only one limit.
            None => limit.is_empty(),
        };
        let value = text(name)?;
        // A larger number is a point in time.
        let seconds = || number(value, 1.0).filter(|delay| delay.as_secs() < 1_000_000);
        used_up.then(|| duration(value).or_else(seconds))?
    });
    resets.max()
}

/// How deep a body is searched for a wait.
const MAX_DEPTH: usize = 6;

/// The wait that the body of an error asks for: Google's `retryDelay`, `retry_after`, `estimated_time`.
pub(super) fn in_body(body: &Value) -> Option<Duration> {
    search(body, MAX_DEPTH)
}

fn search(value: &Value, depth: usize) -> Option<Duration> {
    let depth = depth.checked_sub(1)?;
    match value {
        Value::Object(fields) => {
            let own = fields.iter().find_map(|(name, value)| {
                let unit = match name.to_ascii_lowercase().replace(['-', '_'], "").as_str() {
                    "retrydelay" | "retryafter" | "retryafterseconds" | "retryafters"
                    | "retryin" | "estimatedtime" => 1.0,
                    "retryafterms" => 1e-3,
                    _ => return None,
                };
                match value {
                    Value::String(text) => number(text, unit).or_else(|| duration(text)),
                    value => seconds(value.as_f64()? * unit),
                }
            });
            own.or_else(|| fields.values().find_map(|value| search(value, depth)))
        }
        Value::Array(items) => items.iter().find_map(|item| search(item, depth)),
        _ => None,
    }
}

/// The wait that the message of an error names: "try again in 1.2s", "retry after 20 seconds".
pub(super) fn in_text(message: &str) -> Option<Duration> {
    static PATTERN: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let pattern = r"(?ix)
            \b (?: (?:again|retry(?:ing)?|reset|resets|available|ready) \s+ (?:in|after) | wait (?:\s+ for)? )
            :? \s+ (?: (?:about|around|at\ least|approximately|another) \s+ )?
            (?<wait> \d+ (?:\.\d+)? \s* [a-z]* (?: (?:\s+ and|,)? \s* \d+ (?:\.\d+)? \s* [a-z]+ )* )";
        Regex::new(pattern).ok()
    });
    let wait = PATTERN.as_ref()?.captures(message)?.name("wait")?.as_str().to_ascii_lowercase();
    let wait = wait.replace("and", " ").replace(',', " ");
    // A text may go on behind a number without a unit.
    let bare = || number(wait.split_whitespace().next()?, 1.0);
    duration(&wait).or_else(bare)
}

fn number(text: &str, unit: f64) -> Option<Duration> {
    seconds(text.trim().parse::<f64>().ok()? * unit)
}

/// A positive number of seconds. One that is too large for a duration still asks for a wait.
fn seconds(seconds: f64) -> Option<Duration> {
    let usable = seconds.is_finite() && seconds > 0.0;
    usable.then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Reads a duration with units, as Go, protocol buffers and people write it: `36s`, `6m0s`, `1h2m3.5s`, `12ms`,
/// `20 seconds`. `None` for anything else and for no time at all.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0.0;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let (number, tail) = rest.split_at_checked(rest.find(|c| !is_digit(c))?)?;
        let (unit, tail) = tail.split_at_checked(tail.find(is_digit).unwrap_or(tail.len()))?;
        let unit = match unit.trim() {
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600.0,
            "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
            "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
            "ms" | "msec" | "millisecond" | "milliseconds" => 1e-3,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    seconds(total)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Option<Duration> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        // Sun, 06 Nov 1994 08:49:37 GMT
        retry_after(&map, SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    #[test]
    fn milliseconds_go_before_seconds() {
        assert_eq!(
            read(&[("retry-after-ms", "1500"), ("retry-after", "9")]),
            Some(Duration::from_millis(1500))
        );
        assert_eq!(
            read(&[("retry-after-ms", "soon"), ("retry-after", "9")]),
            Some(Duration::from_secs(9))
        );
    }

    #[test]
    fn seconds_may_have_a_fraction() {
        assert_eq!(read(&[("retry-after", "0.25")]), Some(Duration::from_millis(250)));
        assert_eq!(read(&[("retry-after", "1e300")]), Some(Duration::MAX));
    }

    #[test]
    fn a_date_counts_from_the_servers_date_or_from_now() {
        let wish = ("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT");
        assert_eq!(read(&[wish]), Some(Duration::from_secs(20)));
        let date = ("date", "Sun, 06 Nov 1994 08:49:47 GMT");
        assert_eq!(read(&[wish, date]), Some(Duration::from_secs(10)));
        let past = ("date", "Sun, 06 Nov 1994 09:49:47 GMT");
        assert_eq!(read(&[wish, past]), None);
    }

    #[test]
    fn what_is_no_wait_says_nothing() {
        for value in ["0", "-1", "NaN", "inf", "", "tomorrow"] {
            assert_eq!(read(&[("retry-after", value)]), None, "{value}");
        }
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn durations_of_go_are_read() {
        for (text, milliseconds) in [
            ("1s", 1000),
            ("36.5s", 36_500),
            ("6m0s", 360_000),
            ("12ms", 12),
            ("1h2m3.5s", 3_723_500),
            ("2m59.56s", 179_560),
            (" 1500us ", 1),
        ] {
            let read = duration(text).unwrap();
            assert_eq!(read.as_millis(), milliseconds, "{text}");
        }
        for text in ["", "0s", "5", "s", "-1s", "1.2.3s", "1d", "soon", "1s later", "é"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_limit_that_is_used_up_says_when_it_begins_anew() {
        let reset = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            limits_reset(&map)
        };
        let requests =
            [("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "8.64s")];
        let tokens = [("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "1m3s")];
        let left = [("x-ratelimit-remaining-tokens", "17"), ("x-ratelimit-reset-tokens", "1m3s")];
        assert_eq!(reset(&requests), Some(Duration::from_millis(8640)));
        assert_eq!(reset(&[requests, left].concat()), Some(Duration::from_millis(8640)));
        assert_eq!(reset(&[requests, tokens].concat()), Some(Duration::from_secs(63)));
        assert_eq!(reset(&left), None);
        assert_eq!(reset(&tokens[1..]), None);
    }

    /// Kind: Errors | `retry-after: 17s`, `1m`, `500ms` | waited for
    #[test]
    fn a_header_may_have_a_unit() {
        for (value, milliseconds) in
            [("17s", 17_000), ("1m", 60_000), ("500ms", 500), ("2 minutes", 120_000)]
        {
            assert_eq!(
                read(&[("retry-after", value)]),
                Some(Duration::from_millis(milliseconds)),
                "{value}"
            );
        }
    }

    #[test]
    fn any_limit_that_is_used_up_counts() {
        let reset = |headers: &[(&'static str, &str)]| {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.insert(*name, value.parse().unwrap());
            }
            limits_reset(&map).map(|wait| wait.as_secs())
        };
        let minute = [
            ("x-ratelimit-remaining-tokens-minute", "0"),
            ("x-ratelimit-reset-tokens-minute", "41.5"),
        ];
        assert_eq!(reset(&minute), Some(41));
        assert_eq!(reset(&[("ratelimit-reset", "9")]), Some(9));
        assert_eq!(reset(&[("x-ratelimit-reset", "5"), ("x-ratelimit-remaining", "3")]), None);
        assert_eq!(reset(&[("x-ratelimit-reset", "1741305600000")]), None);
    }

    /// Kind: Errors | a wait in a body: `retryDelay`, `retry_after`, `estimated_time` | waited for
    #[test]
    fn bodies_name_waits_in_many_ways() {
        for (body, milliseconds) in [
            (json!([{"error": {"details": [{"x": 1}, {"retryDelay": "36.5s"}]}}]), 36_500),
            (json!({"detail": {"retry_after": 2}}), 2000),
            (json!({"error": {"metadata": {"headers": {"Retry-After": "7"}}}}), 7000),
            (json!({"error": "m", "estimated_time": 1.5}), 1500),
            (json!({"retry_after_ms": 250}), 250),
        ] {
            assert_eq!(in_body(&body), Some(Duration::from_millis(milliseconds)), "{body}");
        }
        for body in [
            json!({"error": {"message": "m"}}),
            json!({"retry_after": null}),
            json!({"retry_after": -1}),
        ] {
            assert_eq!(in_body(&body), None, "{body}");
        }
    }

    /// Kind: Errors | a wait in a message: `1.2s`, `6m0s`, `20 seconds` | waited for
    #[test]
    fn messages_name_waits_in_words() {
        for (message, milliseconds) in [
            ("Limit 3, Used 3. Please try again in 1.2s. Visit x", 1200),
            ("Please try again in 6m0s.", 360_000),
            ("Please retry after 20 seconds.", 20_000),
            ("Retry after 20", 20_000),
            ("please retry in 44.07s", 44_070),
            ("Try again in 850ms", 850),
            ("try again after 1 minute and 30 seconds", 90_000),
            ("wait about 2 minutes, then retry", 120_000),
            ("quota resets in 3h2m", 10_920_000),
            ("Please wait for 5 sec", 5000),
        ] {
            assert_eq!(in_text(message), Some(Duration::from_millis(milliseconds)), "{message}");
        }
        for message in [
            "",
            "try again later",
            "retry 3 times",
            "in 5 years",
            "try again in a moment",
            "wait 0s",
        ] {
            assert_eq!(in_text(message), None, "{message}");
        }
    }
}
