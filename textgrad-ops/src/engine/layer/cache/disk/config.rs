//! How a file of answers is kept.

/// How a [`DiskCache`](super::DiskCache) is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskCacheConfig {
    pub(super) max_bytes: u64,
    pub(super) keep_requests: bool,
}

impl Default for DiskCacheConfig {
    fn default() -> Self {
        Self { max_bytes: 1 << 30, keep_requests: true }
    }
}

impl DiskCacheConfig {
    /// How large the file may become, in bytes; 1 GiB by default. When it is larger, the answers that were not
    /// used for the longest make room, down to nine tenths of it, so that this is not done at each insert.
    ///
    /// It counts the pages of the file that hold something. Beside the file, SQLite keeps up to about 4 MiB of
    /// what was written last in a file of the same name with `-wal` at its end. An empty file has some 40 KiB:
    /// with less than that nothing is kept.
    #[must_use]
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Whether requests are kept beside their answers, so that they can be looked at; true by default. Without
    /// them a file is smaller and does not tell what was asked, but for what the answers repeat: they are found
    /// by a hash.
    #[must_use]
    pub fn keep_requests(mut self, keep: bool) -> Self {
        self.keep_requests = keep;
        self
    }
}
