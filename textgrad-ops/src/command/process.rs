//! One run of a program, in a fresh folder.

use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use futures_util::future::join3;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::RunnerBuilder;
use super::run::{Capture, End, Run};

/// How long the rest of what a program wrote is waited for once it has ended: only something that left its
/// process group still holds its pipes then.
const DRAIN: Duration = Duration::from_secs(1);

/// Puts a limit on the address space and an empty environment before a program. A constant: what the user
/// gives are positional parameters, which a shell does not look into. `env -i` runs last, since shells export variables
/// of their own.
#[cfg(unix)]
const LIMITED: &str = r#"ulimit -v "$1" || { echo "textgrad: no memory limit" >&2; exit 125; }
shift
exec /usr/bin/env -i "$@""#;
#[cfg(unix)]
const NO_LIMIT: (i32, &str) = (125, "textgrad: no memory limit\n");

/// Runs a program in a fresh folder. Dropping the future kills it with its process group.
pub(super) async fn run(
    settings: &RunnerBuilder,
    text: &str,
    more: Vec<(String, Vec<u8>)>,
) -> io::Result<Run> {
    let mut files = settings.files.clone();
    files.extend(more);
    files.extend(settings.text_file.iter().map(|name| (name.clone(), text.as_bytes().to_vec())));
    let prepared = Folder::prepare(settings.program.clone(), files).await?;
    // Dropped in reverse order: first the group is killed, then the folder goes.
    let folder = prepared.folder;
    let mut child = command(settings, &prepared.program, folder.path())?.spawn()?;
    let mut group = Group::of(&child);

    let input = settings.text_on_stdin.then(|| text.as_bytes().to_vec());
    let mut stdout = Capture::new(settings.output_limit);
    let mut stderr = Capture::new(settings.output_limit);
    let end = {
        let feed = feed(child.stdin.take(), input);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let mut streams = pin!(join3(feed, stdout.fill(out), stderr.fill(err)));
        let mut deadline = pin!(sleep(settings.time_limit));
        let mut drained = false;
        let status = loop {
            tokio::select! {
                biased;
                status = child.wait() => break Some(status?),
                _ = &mut streams, if !drained => drained = true,
                () = &mut deadline => break None,
            }
        };
        group.kill();
        if status.is_none() {
            // Elsewhere than on Unix there is no group.
            let _ = child.start_kill();
            // It was killed; whether it is reaped now or by the runtime later is all the same.
            let _ = timeout(DRAIN, child.wait()).await;
        }
        if !drained {
            let _ = timeout(DRAIN, streams).await;
        }
        status.map_or(End::TimedOut(settings.time_limit), End::of)
    };
    let path = folder.path().to_string_lossy().into_owned();
    folder.close().await;
    let shown = |capture: Capture| capture.finish().with_relative_paths(&path);
    let run = Run { end, stdout: shown(stdout), stderr: shown(stderr) };
    #[cfg(unix)]
    if settings.memory_limit.is_some()
        && run.end == End::Exited(NO_LIMIT.0)
        && run.stderr.text.ends_with(NO_LIMIT.1)
    {
        return Err(io::Error::other(format!(
            "the system knows no limit on memory: {}",
            run.stderr.text.trim()
        )));
    }
    Ok(run)
}

fn command(settings: &RunnerBuilder, program: &Path, folder: &Path) -> io::Result<Command> {
    let mut command = bare(settings, program)?;
    command
        .args(&settings.args)
        .current_dir(folder)
        .env_clear()
        .stdin(if settings.text_on_stdin { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    if settings.memory_limit.is_none() {
        command.envs(settings.env.iter().map(|(name, value)| (name, value)));
    }
    Ok(command)
}

#[cfg(unix)]
fn bare(settings: &RunnerBuilder, program: &Path) -> io::Result<Command> {
    let Some(bytes) = settings.memory_limit else { return Ok(Command::new(program)) };
    if program.to_string_lossy().contains('=') {
        let problem = "with a memory limit, the path of a program cannot hold `=`";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    let mut command = Command::new("/bin/sh");
    command.args(["-c", LIMITED, "sh"]).arg(bytes.div_ceil(1024).to_string());
    command.args(settings.env.iter().map(|(name, value)| format!("{name}={value}")));
    command.arg(program);
    Ok(command)
}

#[cfg(not(unix))]
fn bare(_: &RunnerBuilder, program: &Path) -> io::Result<Command> {
    Ok(Command::new(program))
}

/// Writes the text, as far as the program reads it.
async fn feed(stdin: Option<ChildStdin>, input: Option<Vec<u8>>) {
    if let (Some(mut stdin), Some(input)) = (stdin, input) {
        // A program need not read what it is given.
        let _ = stdin.write_all(&input).await;
        let _ = stdin.shutdown().await;
    }
}

/// The process group that a program leads; killed when it is dropped.
#[cfg(unix)]
struct Group(Option<rustix::process::Pid>);

#[cfg(unix)]
impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }

    /// Kills what is left of the group. Once only: when all of it is gone, its number may be given away.
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(unix)]
impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(not(unix))]
struct Group;

#[cfg(not(unix))]
impl Group {
    fn of(_: &Child) -> Self {
        Self
    }

    fn kill(&mut self) {}
}

/// A fresh folder, removed when it is dropped.
struct Folder(Option<TempDir>);

/// A folder that is ready, and where the program is.
struct Prepared {
    folder: Folder,
    program: PathBuf,
}

impl Folder {
    /// A folder with these files, each with a path inside it, and the place of the program.
    async fn prepare(program: String, files: Vec<(String, Vec<u8>)>) -> io::Result<Prepared> {
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
    async fn close(mut self) {
        let folder = self.0.take();
        let _ = spawn_blocking(move || drop(folder)).await;
    }

    fn path(&self) -> &Path {
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

/// Whether a program is nowhere. One that a run's folder would have is not looked for.
pub(super) fn is_missing(program: &str) -> bool {
    let path = Path::new(program);
    let is_of_folder = path.is_relative() && path.components().count() > 1;
    !is_of_folder && locate(program, Path::new("")).is_err()
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
