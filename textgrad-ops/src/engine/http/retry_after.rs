//! The wait that a server asks for, from its headers.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Reads `retry-after-ms`, then `retry-after` as seconds, then as a date, as the OpenAI clients do.
///
/// A date counts from the server's own `Date`, so that a clock that is wrong here does no harm; `now` stands
/// in where the server sends none. A value that is not a positive number is ignored.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str, unit: f64| {
        let seconds = text.parse::<f64>().ok()? * unit;
        let usable = seconds.is_finite() && seconds > 0.0;
        // A number too large for a duration still asks for a wait.
        usable.then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
    };
    if let Some(delay) = text("retry-after-ms").and_then(|text| number(text, 1e-3)) {
        return Some(delay);
    }
    let wish = text(RETRY_AFTER.as_str())?;
    if let Some(delay) = number(wish, 1.0) {
        return Some(delay);
    }
    let until = httpdate::parse_http_date(wish).ok()?;
    let from =
        text(DATE.as_str()).and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    until.duration_since(from).ok().filter(|delay| !delay.is_zero())
}

/// The wait until the limits that are used up begin anew: of `x-ratelimit-reset-requests` and `-tokens`
/// those whose `x-ratelimit-remaining-*` is 0, the longer one. For a 429 without another header.
pub(super) fn limits_reset(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: String| headers.get(name).and_then(|value| value.to_str().ok());
    let reset = |limit: &str| {
        let remaining =
            text(format!("x-ratelimit-remaining-{limit}"))?.trim().parse::<i64>().ok()?;
        let reset = duration(text(format!("x-ratelimit-reset-{limit}"))?)?;
        (remaining <= 0).then_some(reset)
    };
    [reset("requests"), reset("tokens")].into_iter().flatten().max()
}

/// Reads a duration as Go and protocol buffers write it: `36s`, `6m0s`, `1h2m3.5s`, `12ms`. `None` for
/// anything else and for no time at all.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let is_digit = |c: char| c.is_ascii_digit() || c == '.';
        let (number, tail) = rest.split_at_checked(rest.find(|c| !is_digit(c))?)?;
        let (unit, tail) = tail.split_at_checked(tail.find(is_digit).unwrap_or(tail.len()))?;
        let unit = match unit {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += number.parse::<f64>().ok()? * unit;
        rest = tail;
    }
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

#[cfg(test)]
mod tests {
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
}
