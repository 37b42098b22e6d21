//! Running a program on a text, within limits.
//!
//! [`CommandScorer`](crate::score::CommandScorer) scores texts by the result of a [`Runner`].
//!
//! # What holds
//! | limit | on Unix | elsewhere |
//! |---|---|---|
//! | time | the program and its process group are killed | the program is killed, not what it started |
//! | output | kept up to a bound for each stream, the rest is counted | the same |
//! | memory | address space of each process (`ulimit -v`), where the system has it: Linux and the BSDs do, macOS does not and the run fails | refused when the runner is built |
//! | environment | what was given, nothing else | the same |
//!
//! The folder is a new one for each run. In what the program writes, its path is shown as `.`: so equal runs say
//! equal things, if the program is one that does (test programs like to say how long they took).
//!
//! This is no sandbox. A program may read and write what the user may, use the network, and leave its process
//! group to escape the time limit. Run programs that a model wrote in a container or under another user.

mod process;
mod run;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use derive_setters::Setters;
use tokio::sync::Semaphore;

use self::process::{is_missing, stays_inside};
pub use self::run::{Captured, End, Run};
use crate::error::Error;

/// A program that is run on texts, each time in a fresh folder and within limits. Cheap to clone.
///
/// The text is in a file of that folder, on standard input, or both. Arguments are never passed through a
/// shell. What holds on which system is in the documentation of [the module](self).
///
/// # Examples
/// ```
/// # #[cfg(unix)]
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use textgrad_ops::command::{End, Runner};
///
/// let tests = Runner::builder("sh")
///     .args(["tests.sh", "$HOME; this is no shell"])
///     .text_file("answer.txt")
///     .file("tests.sh", "grep -q 4 answer.txt && echo \"$1\"")
///     .build()?;
/// let run = tests.run("2 + 2 = 4").await?;
/// assert_eq!(run.end, End::Exited(0));
/// assert_eq!(run.stdout.text, "$HOME; this is no shell\n");
/// assert_eq!(tests.run("2 + 2 = 5").await?.end, End::Exited(1));
/// # Ok::<(), textgrad_ops::Error>(()) }).unwrap();
/// ```
#[derive(Debug, Clone)]
pub struct Runner(Arc<Ready>);

#[derive(Debug)]
struct Ready {
    settings: RunnerBuilder,
    permits: Option<Semaphore>,
}

/// Settings of a [`Runner`].
#[derive(Clone, Setters)]
#[setters(strip_option)]
#[must_use = "a builder does nothing until it builds"]
pub struct RunnerBuilder {
    #[setters(skip)]
    program: String,
    #[setters(skip)]
    args: Vec<String>,
    /// Puts the text into a file of this name in the folder. Arguments name it by this name, for the program
    /// is started in the folder.
    #[setters(into)]
    text_file: Option<String>,
    /// Gives the text on standard input. So it is without a text file too.
    #[setters(bool)]
    text_on_stdin: bool,
    #[setters(skip)]
    files: Vec<(String, Vec<u8>)>,
    #[setters(skip)]
    env: Vec<(String, String)>,
    /// How long it may run, from its start; default: [`Runner::TIME_LIMIT`].
    time_limit: Duration,
    /// How much address space each of its processes may take, in bytes; default: no limit. Only
    /// on Unix. Programs that reserve much more than they use (Java, Go, Node) need a generous one.
    memory_limit: Option<u64>,
    /// How much of each of its two output streams is kept, in bytes: the first and the last half of it;
    /// Default: [`Runner::OUTPUT_LIMIT`].
    output_limit: usize,
    /// How many may run at the same time; default: as many as are asked for. Clones share it.
    concurrency: Option<usize>,
}

impl Runner {
    /// Default time limit of a program.
    pub const TIME_LIMIT: Duration = Duration::from_secs(10);
    /// Default limit of each stream, in bytes: about 4,000 tokens.
    pub const OUTPUT_LIMIT: usize = 16 * 1024;

    /// A program: an absolute path, or a name that is looked for in the folders of the caller's `PATH`. A
    /// relative path with a folder in it is one inside of the fresh folder.
    pub fn builder(program: impl Into<String>) -> RunnerBuilder {
        RunnerBuilder {
            program: program.into(),
            args: Vec::new(),
            text_file: None,
            text_on_stdin: false,
            files: Vec::new(),
            env: Vec::new(),
            time_limit: Self::TIME_LIMIT,
            memory_limit: None,
            output_limit: Self::OUTPUT_LIMIT,
            concurrency: None,
        }
    }

    /// The program and its arguments, for a reader.
    #[must_use]
    pub fn command_line(&self) -> String {
        let settings = &self.0.settings;
        let words = std::iter::once(&settings.program).chain(&settings.args);
        let bare = |word: &str| {
            let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%".contains(c);
            !word.is_empty() && word.chars().all(plain)
        };
        let words: Vec<String> =
            words.map(|word| if bare(word) { word.clone() } else { format!("{word:?}") }).collect();
        words.join(" ")
    }

    /// The file of the folder that holds the text, if one does.
    #[must_use]
    pub fn text_file(&self) -> Option<&str> {
        self.0.settings.text_file.as_deref()
    }

    /// Runs the program on a text. Failure and timeout are outcomes, not errors. It needs
    /// a Tokio runtime with the drivers for I/O and time (`enable_all`).
    ///
    /// Cancel safe: dropping the future kills the program and its process group, and removes the folder.
    ///
    /// # Errors
    /// [`Error::Command`] if the program is not there, could not be started, or could not be limited.
    pub async fn run(&self, text: &str) -> Result<Run, Error> {
        self.run_with(text, []).await
    }

    /// Runs the program on a text, with more files in its folder than those that are there in every run. Else
    /// it is as [`run`](Self::run).
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and [`Error::Runner`] for a name that leaves the folder or is there twice.
    pub async fn run_with(
        &self,
        text: &str,
        files: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Run, Error> {
        let files: Vec<(String, Vec<u8>)> = files.into_iter().collect();
        self.check_names(files.iter().map(|(name, _)| name))?;
        // The semaphore is never closed.
        let _permit = match &self.0.permits {
            Some(permits) => permits.acquire().await.ok(),
            None => None,
        };
        let settings = &self.0.settings;
        process::run(settings, text, files)
            .await
            .map_err(|source| Error::Command { program: settings.program.clone(), source })
    }
}

impl Runner {
    /// Refuses names of files that leave the folder, or are there twice.
    pub(crate) fn check_names<'a>(
        &'a self,
        more: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), Error> {
        check_names(self.0.settings.names().chain(more))
    }
}

impl RunnerBuilder {
    /// One more argument.
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// More arguments.
    pub fn args<A: Into<String>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// One more file in the folder, such as unit tests; the name may have folders in it.
    pub fn file(mut self, name: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name.into(), content.into()));
        self
    }

    /// A variable of the program's environment, which is else empty: no `PATH`, no `HOME`. A program that
    /// looks for other programs needs `PATH`.
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The runner.
    ///
    /// # Errors
    /// [`Error::Runner`] for a program that is not there, a name of a file that leaves the folder or is there twice,
    /// an environment variable without a name, a zero byte in an argument, a limit of nothing, or a memory limit
    /// elsewhere than on Unix.
    pub fn build(mut self) -> Result<Runner, Error> {
        self.text_on_stdin |= self.text_file.is_none();
        self.check()?;
        let permits = self.concurrency.map(Semaphore::new);
        Ok(Runner(Arc::new(Ready { settings: self, permits })))
    }

    /// The names of the files that are there in every run.
    fn names(&self) -> impl Iterator<Item = &String> {
        self.files.iter().map(|(name, _)| name).chain(&self.text_file)
    }

    fn check(&self) -> Result<(), Error> {
        if self.program.is_empty() || self.program.contains('\0') {
            return refuse("a program", &self.program);
        }
        if let Some(arg) = self.args.iter().find(|arg| arg.contains('\0')) {
            return refuse("arguments without a zero byte", arg);
        }
        check_names(self.names())?;
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                // Not the value: it may be a secret.
                return refuse("an environment variable with a name and without zero bytes", name);
            }
        }
        if self.time_limit.is_zero() {
            return refuse("a time limit above 0", &self.time_limit);
        }
        // Tokio's semaphores know no more.
        if self.concurrency.is_some_and(|runs| runs == 0 || runs > Semaphore::MAX_PERMITS) {
            return refuse("at least one run at a time", &self.concurrency);
        }
        match self.memory_limit {
            Some(_) if !cfg!(unix) => refuse("no memory limit on this system", &self.memory_limit),
            Some(0) => refuse("a memory limit above 0", &0),
            _ if is_missing(&self.program) => {
                refuse("a program in a folder of PATH, or the path of one", &self.program)
            }
            _ => Ok(()),
        }
    }
}

fn refuse(expected: &str, got: &dyn fmt::Debug) -> Result<(), Error> {
    Err(Error::Runner { expected: expected.to_owned(), got: format!("{got:?}") })
}

fn check_names<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), Error> {
    let mut known = BTreeSet::new();
    for name in names {
        if !stays_inside(name) {
            return refuse("a name of a file inside of the program's folder", name);
        }
        if !known.insert(name) {
            return refuse("files of different names", name);
        }
    }
    Ok(())
}

impl fmt::Debug for RunnerBuilder {
    /// The environment by its names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files: Vec<&String> = self.files.iter().map(|(name, _)| name).collect();
        let env: Vec<&String> = self.env.iter().map(|(name, _)| name).collect();
        f.debug_struct("RunnerBuilder")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("text_file", &self.text_file)
            .field("files", &files)
            .field("env", &env)
            .field("time_limit", &self.time_limit)
            .field("memory_limit", &self.memory_limit)
            .finish_non_exhaustive()
    }
}
