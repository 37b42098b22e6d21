//! Leases on requests, so that of equal concurrent requests of several processes one is made.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Error, OptionalExtension as _, params};

use super::database::{Database, millis};
use super::worker::{Failure, Job, Worker};
use super::{CacheKey, SqliteStore};
use crate::store::flight::Lease;

/// How long a lease holds without being renewed.
const HOLDS: Duration = Duration::from_secs(2);
const RENEW_EVERY: Duration = Duration::from_millis(400);
/// How long an expired lease must stay as it is before another owner has it: while the file is busy, no lease can be
/// renewed. With it, what the request of a killed process costs the others at most is about three seconds.
const GRACE: Duration = Duration::from_millis(800);
/// How often a leased request is looked up: first, and at most.
const FIRST_POLL: Duration = Duration::from_millis(10);
const MAX_POLL: Duration = Duration::from_millis(200);

/// A number that no other open cache has.
pub(super) fn new_owner() -> i64 {
    RandomState::new().hash_one(std::process::id()) as i64
}

impl Database {
    /// Leases a request, unless another owner has it. `abandoned` is the end of a lease that nobody renews.
    fn claim(&mut self, key: &str, owner: i64, abandoned: Option<i64>) -> Result<bool, Error> {
        let mut claim = self.db.prepare_cached(
            "INSERT INTO leases (key, owner, expires) VALUES (?1, ?2, ?3)
             ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, expires = excluded.expires
             WHERE expires = ?4 OR owner = excluded.owner",
        )?;
        let expires = (self.clock)().saturating_add(millis(HOLDS));
        Ok(claim.execute(params![key, owner, expires, abandoned])? > 0)
    }

    fn renew(&mut self, key: &str, owner: i64) -> Result<(), Error> {
        let expires = (self.clock)().saturating_add(millis(HOLDS));
        let renew = "UPDATE leases SET expires = ?3 WHERE key = ?1 AND owner = ?2";
        self.db.prepare_cached(renew)?.execute(params![key, owner, expires]).map(drop)
    }

    fn release(&mut self, key: &str, owner: i64) -> Result<(), Error> {
        let release = "DELETE FROM leases WHERE key = ?1 AND owner = ?2";
        self.db.prepare_cached(release)?.execute(params![key, owner]).map(drop)
    }

    /// The lease on a request, if there is one.
    fn leased(&mut self, key: &str) -> Result<Option<FoundLease>, Error> {
        let now = (self.clock)();
        let mut find = self.db.prepare_cached("SELECT expires FROM leases WHERE key = ?1")?;
        let expires: Option<i64> = find.query_row([key], |row| row.get(0)).optional()?;
        // A clock that was set back does not make a lease longer.
        let holds = |expires| (now..=now.saturating_add(millis(HOLDS))).contains(&expires);
        Ok(expires.map(|expires| FoundLease { expires, holds: holds(expires) }))
    }
}

/// A lease, as it was found.
struct FoundLease {
    expires: i64,
    /// Whether it has not expired.
    holds: bool,
}

impl SqliteStore {
    /// Waits until no other process has the request, and leases it. Where the file fails there is no lease: the
    /// request is made.
    pub(super) async fn lease_request(&self, key: &CacheKey<'_>) -> Lease {
        let (digits, owner) = (key.key.to_string(), self.owner);
        let mut abandoned = None;
        loop {
            let asked = digits.clone();
            let claim = move |database: &mut Database| database.claim(&asked, owner, abandoned);
            let claimed = self.writer.call(claim).await;
            match claimed.ok_or(Failure::Stopped).and_then(|claimed| Ok(claimed?)) {
                Ok(true) => return lease(Arc::clone(&self.writer), digits, owner),
                Ok(false) => abandoned = self.released(&digits).await,
                Err(error) => {
                    self.failed("a request cannot be leased in the cache; it is made", &error);
                    return Lease::default();
                }
            }
        }
    }

    /// Waits while another process has a request: lookups do not wait for writes. Returns the end of a lease that
    /// nobody renews.
    async fn released(&self, digits: &str) -> Option<i64> {
        let (mut poll, mut expired) = (FIRST_POLL, None);
        loop {
            tokio::time::sleep(poll).await;
            let asked = digits.to_owned();
            let found = self.reader.call(move |database| database.leased(&asked)).await;
            let Some(Ok(Some(FoundLease { expires, holds }))) = found else { return None };
            if !holds && expired.replace(expires) == Some(expires) {
                return Some(expires);
            }
            poll = if holds { (poll * 2).min(MAX_POLL) } else { GRACE };
        }
    }
}

fn lease(writer: Arc<Worker>, digits: String, owner: i64) -> Lease {
    let digits: Arc<str> = digits.into();
    let (renewer, renewed) = (Arc::clone(&writer), Arc::clone(&digits));
    let renew = move || {
        let digits = Arc::clone(&renewed);
        // A lease that cannot be renewed expires: another process may then make the request too.
        renewer.send(Job::Call(Box::new(move |database| {
            let _ = database.renew(&digits, owner);
        })));
    };
    let release = move || {
        let digits = Arc::clone(&digits);
        writer.send(Job::Call(Box::new(move |database| {
            let _ = database.release(&digits, owner);
        })));
    };
    Lease::new(RENEW_EVERY, renew, release)
}
