//! The queries of a run.

use std::path::Path;

use tokio::io::AsyncReadExt;
use tpo::input::{self, Format};
use tpo::{Error, Query};

/// Reads the queries. Returns the name of their source with them.
pub(crate) async fn read(
    data: Option<&Path>,
    format: Option<Format>,
    limit: Option<usize>,
) -> Result<(String, Vec<Query>), Error> {
    let parse = |name: &str, text: &str| match format {
        Some(format) => input::parse_as(format, name, text),
        None => input::parse(name, text),
    };
    let (name, mut queries) = match data {
        None => ("built-in".to_owned(), input::BUILTIN.map(Query::from).to_vec()),
        Some(path) if path == Path::new("-") => {
            let mut text = String::new();
            let read = tokio::io::stdin().read_to_string(&mut text).await;
            read.map_err(|source| unreadable(Path::new("standard input"), source))?;
            ("standard input".to_owned(), parse("standard input", &text)?)
        }
        Some(path) => {
            let text = tokio::fs::read_to_string(path).await;
            let name = path.display().to_string();
            let text = text.map_err(|source| unreadable(path, source))?;
            let queries = parse(&name, &text)?;
            (name, queries)
        }
    };
    limit_to(&mut queries, limit)?;
    Ok((name, queries))
}

/// Keeps the first `limit` items.
pub(crate) fn limit_to<T>(queries: &mut Vec<T>, limit: Option<usize>) -> Result<(), Error> {
    if let Some(limit) = limit {
        if limit == 0 {
            return Err(Error::Config {
                setting: "limit",
                expected: "at least 1",
                got: "0".into(),
            });
        }
        queries.truncate(limit);
    }
    Ok(())
}

pub(crate) fn unreadable(path: &Path, source: std::io::Error) -> Error {
    Error::Input {
        source_name: path.display().to_string(),
        reason: format!("cannot be read: {source}"),
    }
}
