//! The tables, and their version.

/// Marks a database as ours: "TGcache" cut to four bytes, in SQLite's `application_id`.
pub(super) const APPLICATION: i64 = 0x5447_6361;

/// Goes up when an older program would misread the file. Held in SQLite's `user_version`.
pub(super) const VERSION: u32 = 1;

/// What is said about an answer is apart from its texts, so that to mark it as used, to list, and to prune do
/// not read these. A trigger, not a foreign key: those hold only where a connection asks for them.
pub(super) const TABLES: &str = "
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    engine TEXT NOT NULL,
    model TEXT NOT NULL,
    purpose TEXT NOT NULL,
    created INTEGER NOT NULL,
    used INTEGER NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
CREATE INDEX entries_by_use ON entries (used);
CREATE TABLE texts (
    id INTEGER PRIMARY KEY,
    response TEXT NOT NULL,
    request TEXT
) STRICT;
CREATE TRIGGER texts_go_with_their_entry AFTER DELETE ON entries BEGIN
    DELETE FROM texts WHERE id = old.id;
END;
";
