//! Atomic replacement of files, exclusive locks, and blocking work off the async threads.

use std::fs::{File, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use textgrad_core::{EngineError, ErrorKind};

/// Flushes a file or a folder to the disk.
type Sync<'a> = &'a mut dyn FnMut(&File, &Path) -> io::Result<()>;

/// Replaces a file with `contents`, whole or not at all, and durably.
///
/// The contents are written to [`partial_path`], flushed to the disk, renamed over `path`, and the folder is
/// flushed: after a crash or a power failure `path` has either the old contents or the new. On failure the
/// partial file is removed. Blocks.
///
/// # Errors
/// Those of the operating system; `path` then has its old contents, unless only the flush of the folder failed.
///
/// # Examples
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("config.json");
/// textgrad_ops::util::fs::replace(&path, b"{}\n")?;
/// assert_eq!(std::fs::read(&path)?, b"{}\n");
/// # Ok::<(), std::io::Error>(())
/// ```
pub fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    replace_with(path, contents, &mut |file, _| file.sync_all())
}

/// The temporary name that a file is written under before it is complete: `name.partial`, in the same folder.
#[must_use]
pub fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    path.with_file_name(name)
}

/// Moves a file that is completely written at `partial` to `path`, durably: flushes the file, renames it, and
/// flushes the folder. Blocks.
///
/// # Errors
/// Those of the operating system.
pub fn persist(file: &File, partial: &Path, path: &Path) -> io::Result<()> {
    persist_with(file, partial, path, &mut |file, _| file.sync_all())
}

fn replace_with(path: &Path, contents: &[u8], sync: Sync<'_>) -> io::Result<()> {
    let partial = partial_path(path);
    let done = File::create(&partial).and_then(|mut file| {
        file.write_all(contents)?;
        persist_with(&file, &partial, path, sync)
    });
    if done.is_err() {
        // Already moved where only the flush of the folder failed.
        let _ = std::fs::remove_file(&partial);
    }
    done
}

fn persist_with(file: &File, partial: &Path, path: &Path, sync: Sync<'_>) -> io::Result<()> {
    sync(file, partial)?;
    std::fs::rename(partial, path)?;
    // Only Unix can open a folder as a file; elsewhere the file system orders the rename itself.
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        sync(&File::open(folder)?, folder)?;
    }
    Ok(())
}

/// Takes the exclusive lock of a file, without waiting. Returns false if another process has it.
///
/// The lock is released when the last handle of the open file is closed.
///
/// # Errors
/// Those of the operating system.
pub fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Runs blocking work on a thread of the runtime's blocking pool. Dropping the future does not stop the work.
/// It must be called within a tokio runtime.
///
/// # Errors
/// Those of the work, and [`BlockingError`] if it panicked or the runtime is shutting down.
pub async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: From<BlockingError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(BlockingError(error.to_string()).into()),
    }
}

/// Blocking work that did not return: it panicked, or the runtime is shutting down.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BlockingError(String);

impl From<BlockingError> for EngineError {
    fn from(error: BlockingError) -> Self {
        Self::new(ErrorKind::Other, error.to_string())
    }
}

impl From<BlockingError> for io::Error {
    fn from(error: BlockingError) -> Self {
        Self::other(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_file_is_flushed_before_the_rename_and_the_folder_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        std::fs::write(&path, "old").unwrap();
        let mut synced = Vec::new();
        replace_with(&path, b"new", &mut |file, name| {
            let now = std::fs::read_to_string(&path).unwrap();
            synced.push((name.to_owned(), file.metadata()?.is_dir(), now));
            Ok(())
        })
        .unwrap();
        let mut expected = vec![(folder.path().join("a.json.partial"), false, "old".to_owned())];
        if cfg!(unix) {
            expected.push((folder.path().to_owned(), true, "new".to_owned()));
        }
        assert_eq!(synced, expected);
        assert_eq!(names(folder.path()), ["a.json"]);
    }

    #[test]
    fn a_file_that_cannot_be_flushed_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        replace(&path, b"old").unwrap();
        let failed = replace_with(&path, b"new", &mut |_, _| Err(io::Error::other("full")));
        assert_eq!(failed.unwrap_err().to_string(), "full");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
        assert_eq!(names(folder.path()), ["a.json"]);
        assert!(replace(&folder.path().join("no/such"), b"x").is_err());
    }

    #[test]
    fn a_lock_is_exclusive() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let first = File::create(&path).unwrap();
        assert!(try_lock(&first).unwrap());
        let second = File::open(&path).unwrap();
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
    }

    #[tokio::test]
    async fn a_panic_of_blocking_work_is_an_error() {
        assert_eq!(blocking(|| Ok::<_, io::Error>(7)).await.unwrap(), 7);
        let failed = blocking(|| -> io::Result<()> { panic!("oh") }).await;
        assert!(failed.unwrap_err().to_string().contains("panic"));
    }
}
