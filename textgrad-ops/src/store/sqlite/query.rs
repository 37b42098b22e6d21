//! Inserts, lookups and lists.

use rusqlite::types::Value;
use rusqlite::{
    Error, ErrorCode, OptionalExtension, Row, TransactionBehavior, params, params_from_iter,
};
use textgrad_core::{Response, Usage};

use super::database::{Database, VERSION, millis, signed, unsigned};
use super::entry::{CacheEntry, CacheFilter, SqliteInfo};
use crate::store::cache::CacheKey;
use crate::util::jsonl::crc32c;

/// An answer is marked as used when its mark is older, in milliseconds: a minute is fine enough to tell old
/// from young, and a run that asks again and again writes little.
pub(super) const MARK_EVERY: i64 = 60_000;

/// An answer to be kept.
#[derive(Debug, Clone)]
pub(super) struct New {
    pub(super) key: String,
    pub(super) engine: String,
    pub(super) model: String,
    pub(super) purpose: &'static str,
    pub(super) usage: Usage,
    pub(super) texts: Texts,
}

/// An answer and what was asked, as JSON.
#[derive(Debug, Clone)]
pub(super) struct Texts {
    pub(super) response: String,
    pub(super) request: Option<String>,
}

/// An answer that was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) response: String,
    /// Whether the checksum matches.
    pub(super) is_intact: bool,
    used: i64,
    now: i64,
}

impl Found {
    /// Whether it should be marked as used.
    pub(super) fn is_due(&self) -> bool {
        self.now.saturating_sub(self.used) >= MARK_EVERY
    }
}

impl New {
    pub(super) fn of(
        key: &CacheKey<'_>,
        response: &Response,
        keep_request: bool,
    ) -> Result<Self, serde_json::Error> {
        let request = keep_request.then(|| serde_json::to_string(key.request)).transpose()?;
        Ok(Self {
            key: key.key.to_string(),
            engine: key.engine.to_owned(),
            model: response.model.clone(),
            purpose: key.request.purpose.as_str(),
            usage: response.usage,
            texts: Texts { response: serde_json::to_string(response)?, request },
        })
    }

    /// The checksum of a response under its key.
    fn checksum(key: &str, response: &str) -> i64 {
        crc32c([key.as_bytes(), response.as_bytes()]).into()
    }

    fn bytes(&self) -> i64 {
        let request = self.texts.request.as_ref().map_or(0, String::len);
        signed((self.texts.response.len() + request) as u64)
    }
}

const PUT_ENTRY: &str = "
INSERT INTO entries
    (key, engine, model, purpose, created, used, prompt_tokens, completion_tokens, cached_tokens, bytes)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (key) DO UPDATE SET
    engine = excluded.engine, model = excluded.model, purpose = excluded.purpose, created = excluded.created,
    used = excluded.used, prompt_tokens = excluded.prompt_tokens,
    completion_tokens = excluded.completion_tokens, cached_tokens = excluded.cached_tokens,
    bytes = excluded.bytes
RETURNING id";

const COLUMNS: &str = "e.key, e.engine, e.model, e.purpose, e.created, e.used, e.prompt_tokens, \
                       e.completion_tokens, e.cached_tokens, e.bytes";

impl Database {
    pub(super) fn get(&mut self, key: &str) -> Result<Option<Found>, Error> {
        let now = (self.clock)();
        let mut find = self.db.prepare_cached(
            "SELECT t.response, e.used, t.checksum FROM entries e JOIN texts t USING (id) WHERE e.key = ?1",
        )?;
        let found = |row: &Row<'_>| {
            let response = text(row, 0)?;
            let is_intact = New::checksum(key, &response) == row.get::<_, i64>(2)?;
            Ok(Found { response, is_intact, used: row.get(1)?, now })
        };
        find.query_row([key], found).optional()
    }

    /// Removes an entry.
    pub(super) fn drop_entry(&mut self, key: &str) -> Result<(), Error> {
        self.db.execute("DELETE FROM entries WHERE key = ?1", [key]).map(drop)
    }

    /// Puts answers in and marks others as used, all or none of it.
    pub(super) fn write(&mut self, news: &[Box<New>], touched: &[String]) -> Result<(), Error> {
        let now = (self.clock)();
        let change = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        {
            let mut entry = change.prepare_cached(PUT_ENTRY)?;
            let mut texts = change.prepare_cached(
                "INSERT OR REPLACE INTO texts (id, response, request, checksum) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for new in news {
                let usage = new.usage;
                let row = params![
                    new.key,
                    new.engine,
                    new.model,
                    new.purpose,
                    now,
                    signed(usage.prompt_tokens),
                    signed(usage.completion_tokens),
                    signed(usage.cached_tokens),
                    new.bytes()
                ];
                let id: i64 = entry.query_row(row, |row| row.get(0))?;
                let checksum = New::checksum(&new.key, &new.texts.response);
                texts.execute(params![id, new.texts.response, new.texts.request, checksum])?;
            }
            let mut mark =
                change.prepare_cached("UPDATE entries SET used = max(used, ?2) WHERE key = ?1")?;
            for key in touched {
                mark.execute(params![key, now])?;
            }
        }
        change.commit()
    }

    pub(super) fn info(&mut self) -> Result<SqliteInfo, Error> {
        let room = self.room()?;
        let sums = "SELECT count(*), min(created), max(created), max(used), total(prompt_tokens), \
                    total(completion_tokens), total(cached_tokens) FROM entries";
        self.db.query_row(sums, [], |row| {
            let time = |column| -> Result<_, Error> {
                Ok(row.get::<_, Option<i64>>(column)?.map(unsigned))
            };
            // `total` never overflows, unlike `sum`, and is exact up to 2^53.
            let tokens = |column| -> Result<_, Error> { Ok(row.get::<_, f64>(column)? as u64) };
            Ok(SqliteInfo {
                schema: VERSION,
                entries: unsigned(row.get(0)?),
                bytes: room.used,
                free_bytes: room.free,
                usage: Usage {
                    prompt_tokens: tokens(4)?,
                    completion_tokens: tokens(5)?,
                    cached_tokens: tokens(6)?,
                    ..Usage::default()
                },
                oldest: time(1)?,
                newest: time(2)?,
                used: time(3)?,
            })
        })
    }

    pub(super) fn entries(&mut self, filter: &CacheFilter) -> Result<Vec<CacheEntry>, Error> {
        let (conditions, values) = conditions(filter, (self.clock)());
        let list = format!(
            "SELECT {COLUMNS} FROM entries e WHERE {conditions} ORDER BY e.used DESC, e.id DESC LIMIT {}",
            limit(filter)
        );
        let mut list = self.db.prepare_cached(&list)?;
        list.query_map(params_from_iter(values), entry)?.collect()
    }

    /// At most two entries whose keys begin so, with their texts.
    pub(super) fn stored(&mut self, prefix: &str) -> Result<Vec<(CacheEntry, Texts)>, Error> {
        // Keys are hexadecimal digits, and `g` is behind all of these.
        let mut find = self.db.prepare_cached(&format!(
            "SELECT {COLUMNS}, t.response, t.request FROM entries e JOIN texts t USING (id) \
             WHERE e.key >= ?1 AND e.key < ?1 || 'g' LIMIT 2"
        ))?;
        let stored = |row: &Row<'_>| {
            Ok((entry(row)?, Texts { response: text(row, 10)?, request: row.get(11)? }))
        };
        find.query_map([prefix], stored)?.collect()
    }

    /// What is wrong with the file.
    pub(super) fn check(&mut self) -> Result<Vec<String>, Error> {
        let mut check = self.db.prepare("PRAGMA integrity_check")?;
        let said: Result<Vec<String>, Error> = check.query_map([], |row| row.get(0))?.collect();
        let said = said.and_then(|said| Ok((said, self.damaged()?)));
        match said {
            Ok((said, damaged)) => {
                let damaged = damaged
                    .into_iter()
                    .map(|key| format!("the checksum of the entry {key} does not match"));
                Ok(said.into_iter().filter(|line| line != "ok").chain(damaged).collect())
            }
            // Damaged where the check itself must read on.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
                Ok(vec![error.to_string()])
            }
            Err(error) => Err(error),
        }
    }
}

impl Database {
    /// The keys of entries whose checksum does not match.
    fn damaged(&self) -> Result<Vec<String>, Error> {
        let mut all = self.db.prepare(
            "SELECT e.key, t.response, t.checksum FROM entries e JOIN texts t USING (id)",
        )?;
        let damaged = |row: &Row<'_>| {
            let key: String = row.get(0)?;
            let is_intact = New::checksum(&key, &text(row, 1)?) == row.get::<_, i64>(2)?;
            Ok((!is_intact).then_some(key))
        };
        all.query_map([], damaged)?.filter_map(Result::transpose).collect()
    }
}

/// A text that may be damaged: what is not UTF-8 is replaced, so that its checksum cannot match.
fn text(row: &Row<'_>, column: usize) -> Result<String, Error> {
    let bytes = row.get_ref(column)?.as_bytes()?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

pub(super) fn limit(filter: &CacheFilter) -> i64 {
    // SQLite takes a limit below zero as none.
    filter.limit.map_or(-1, signed)
}

/// A filter as an SQL condition, and its values.
pub(super) fn conditions(filter: &CacheFilter, at: i64) -> (String, Vec<Value>) {
    let CacheFilter { engine, model, purpose, unused_for, used_within, limit: _ } = filter;
    let text = |text: &Option<String>| text.clone().map(Value::Text);
    let before = |age: Option<std::time::Duration>| {
        age.map(|age| Value::Integer(at.saturating_sub(millis(age))))
    };
    let all = [
        ("e.engine =", text(engine)),
        ("e.model =", text(model)),
        ("e.purpose =", text(purpose)),
        ("e.used <=", before(*unused_for)),
        ("e.used >=", before(*used_within)),
    ];
    let (mut conditions, mut values) = ("1".to_owned(), Vec::new());
    for (condition, value) in all {
        if let Some(value) = value {
            values.push(value);
            conditions.push_str(&format!(" AND {condition} ?{}", values.len()));
        }
    }
    (conditions, values)
}

fn entry(row: &Row<'_>) -> Result<CacheEntry, Error> {
    let number = |column| -> Result<u64, Error> { Ok(unsigned(row.get(column)?)) };
    Ok(CacheEntry {
        key: row.get(0)?,
        engine: row.get(1)?,
        model: row.get(2)?,
        purpose: row.get(3)?,
        created: number(4)?,
        used: number(5)?,
        usage: Usage {
            prompt_tokens: number(6)?,
            completion_tokens: number(7)?,
            cached_tokens: number(8)?,
            ..Usage::default()
        },
        bytes: number(9)?,
    })
}
