//! The folder that a program runs in.

use std::io;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::locate::locate;

/// A fresh folder, removed when it is dropped.
pub(super) struct Folder(Option<TempDir>);

/// A folder that is ready, and where the program is.
pub(super) struct Prepared {
    pub(super) folder: Folder,
    pub(super) program: PathBuf,
}

impl Folder {
    /// A folder with these files, each with a path inside it, and the place of the program.
    pub(super) async fn prepare(
        program: String,
        files: Vec<(String, Vec<u8>)>,
    ) -> io::Result<Prepared> {
        let work = spawn_blocking(move || {
            let folder = tempfile::Builder::new().prefix("textgrad-").tempdir()?;
            for (name, content) in files {
                let path = folder.path().join(name);
                if let Some(parent) = path.parent() {
                    std::fs::create_dir_all(parent)?;
                }
                std::fs::write(path, content)?;
            }
            let program = locate(&program, folder.path())?;
            Ok(Prepared { folder: Self(Some(folder)), program })
        });
        work.await.map_err(io::Error::other)?
    }

    /// Removes it now. What cannot be removed is left to the system's own cleaning.
    pub(super) async fn close(mut self) {
        let folder = self.0.take();
        let _ = spawn_blocking(move || drop(folder)).await;
    }

    pub(super) fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), TempDir::path)
    }
}

impl Drop for Folder {
    /// Removes the folder without blocking the runtime, if there is one.
    fn drop(&mut self) {
        if let (Some(folder), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            drop(runtime.spawn_blocking(move || drop(folder)));
        }
    }
}

/// Whether a name is a path that stays inside of a folder.
pub(super) fn stays_inside(name: &str) -> bool {
    let mut parts = Path::new(name).components().peekable();
    parts.peek().is_some()
        && parts.all(|part| matches!(part, Component::Normal(_)))
        && !name.contains('\0')
        && !name.ends_with(['/', '\\'])
}
