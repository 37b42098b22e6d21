//! How long a server asks to wait.

use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// Reads `retry-after-ms`, then `retry-after` as seconds, then as a date, as the OpenAI clients do.
///
/// A date counts from the server's own `Date`, so that a clock that is wrong here does no harm; `now` stands
/// in where the server sends none. A value that is not a positive number says nothing.
pub(super) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str, unit: f64| {
        let seconds = text.parse::<f64>().ok()? * unit;
        let usable = seconds.is_finite() && seconds > 0.0;
        // A number too large for a duration is still a wish to be left alone.
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
}
