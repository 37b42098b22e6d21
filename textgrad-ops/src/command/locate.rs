//! Finding a program.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// The file of a program: an absolute path as it is, a relative one in `folder`, a bare name in the folders
/// of the caller's `PATH`. The child's own environment plays no part in it.
pub(super) fn locate(program: &str, folder: &Path) -> io::Result<PathBuf> {
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
