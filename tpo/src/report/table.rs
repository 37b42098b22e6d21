//! Tables of numbers.

use serde_json::Value as Json;

use super::stats::Interval;
use crate::error::Error;

/// A cell for machines: all of every number.
pub(crate) fn exact(cell: &Json) -> String {
    match cell {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        Json::Number(number) if number.is_f64() => number.as_f64().unwrap_or(f64::NAN).to_string(),
        other => other.to_string(),
    }
}

/// A cell for people.
pub(super) fn readable(cell: &Json) -> String {
    match (cell, cell.as_u64()) {
        (Json::Null, _) => "–".to_owned(),
        (_, Some(count)) => grouped(count),
        _ => cell.as_f64().map_or_else(|| exact(cell), shown),
    }
}

/// A number with as many digits as say something.
pub(super) fn shown(number: f64) -> String {
    // No "-0".
    let number = number + 0.0;
    let size = number.abs();
    let text = match size {
        _ if size >= 1000.0 => {
            let sign = if number < 0.0 { "−" } else { "" };
            return format!("{sign}{}", grouped(size.round() as u64));
        }
        _ if number.fract() == 0.0 => format!("{number}"),
        _ if size >= 100.0 => format!("{number:.1}"),
        _ if size >= 0.0995 => format!("{number:.3}"),
        _ if size >= 0.0001 => format!("{number:.5}"),
        _ => format!("{number:.2e}"),
    };
    text.replace('-', "−")
}

fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Interval {
    /// The mean and both ends.
    pub(super) fn cells(self) -> [Json; 3] {
        [self.mean, self.low, self.high].map(Json::from)
    }
}

/// Numbers in rows and columns.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The names of the columns.
    pub columns: Vec<&'static str>,
    /// The rows, each with as many cells as there are columns: texts, numbers, and null where there is none. A whole
    /// number was counted, another one measured.
    pub rows: Vec<Vec<Json>>,
}

impl Table {
    /// A table without rows, with the columns of a header, which are separated by commas.
    pub(super) fn new(header: &'static str) -> Self {
        Self { columns: header.split(',').collect(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Json>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// As CSV (RFC 4180) with a first line of names. `simulated` goes into a last column of every row.
    ///
    /// A text that a spreadsheet would take for a formula has a `'` before it.
    ///
    /// # Errors
    /// None in practice: it is written to memory.
    pub fn to_csv(&self, simulated: bool) -> Result<String, Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let failed = |reason: String| Error::Input { source_name: "CSV".to_owned(), reason };
        let names = self.columns.iter().copied().chain(["simulated"]);
        writer.write_record(names).map_err(|error| failed(error.to_string()))?;
        for row in &self.rows {
            let cells = row.iter().map(|cell| match cell {
                Json::String(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => {
                    format!("'{text}")
                }
                cell => exact(cell),
            });
            let cells = cells.chain([simulated.to_string()]);
            writer.write_record(cells).map_err(|error| failed(error.to_string()))?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
        String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_with_what_says_something() {
        for (number, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-15.0, "−15"),
            (-1.23456, "−1.235"),
            (123.456, "123.5"),
            (72_840.0, "72,840"),
            (-1234.5, "−1,235"),
            (0.012_345, "0.01235"),
            (0.000_001_2, "1.20e−6"),
        ] {
            assert_eq!(shown(number), expected);
        }
        assert_eq!(readable(&1_234_567_u64.into()), "1,234,567");
    }

    #[test]
    fn csv_holds_any_text_and_all_of_a_number() {
        let mut table = Table::new("run,mean");
        table.row(["a,\"b\"\nc".into(), (0.1 + 0.2).into()]);
        table.row(["=1+1".into(), Json::Null]);
        let expected =
            "run,mean,simulated\n\"a,\"\"b\"\"\nc\",0.30000000000000004,true\n'=1+1,,true\n";
        assert_eq!(table.to_csv(true).unwrap(), expected);
    }
}
