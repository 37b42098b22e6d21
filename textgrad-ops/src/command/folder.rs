//! The folder that a program runs in.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

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

/// The file of a program: an absolute path as it is, a relative one in `folder`, a bare name in the folders
/// of the caller's `PATH`. The child's own environment plays no part in it.
fn locate(program: &str, folder: &Path) -> io::Result<PathBuf> {
    let path = Path::new(program);
    if path.components().count() > 1 || path.is_absolute() {
        let path = folder.join(path);
        return match is_program(&path) {
            true => Ok(path),
            false => Err(not_found(format!("{} is not a program", path.display()))),
        };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let mut candidates = std::env::split_paths(&folders).flat_map(|folder| {
        let name = |name: &OsStr| folder.join(name);
        [name(OsStr::new(program)), name(OsStr::new(&format!("{program}.exe")))]
    });
    candidates
        .find(|path| path.is_absolute() && is_program(path))
        .ok_or_else(|| not_found("no folder of PATH has it".to_owned()))
}

fn not_found(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, problem)
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}
