//! Errors of this crate.

use std::any::Any;
use std::error::Error as StdError;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt as _;

use crate::engine::EngineError;
use crate::prompt::PromptError;
use crate::variable::{ImageError, truncate};

/// What can go wrong in a forward or a backward pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    // Calls of engines and prompts.
    /// An engine failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A prompt could not be made.
    #[error(transparent)]
    Prompt(#[from] PromptError),

    /// What was given as an image is none.
    #[error(transparent)]
    Image(#[from] ImageError),

    // Ops.
    /// An op's forward failed.
    #[error("op {op:?} failed")]
    Forward {
        /// The op.
        op: String,
        /// What went wrong.
        source: Box<Error>,
    },
    /// An op's backward failed.
    #[error("the backward of op {op:?} failed")]
    Backward {
        /// The op.
        op: String,
        /// What went wrong.
        source: Box<Error>,
    },
    /// An op, or an engine that it asked, panicked.
    #[error("op {op:?} panicked: {message}")]
    Panic {
        /// The op.
        op: String,
        /// The message of the panic.
        message: String,
    },
    /// An op made another number of outputs than its caller needs.
    #[error("expected op {op:?} to make {expected} output(s), but it made {got}")]
    OutputCount {
        /// The op.
        op: String,
        /// How many were needed.
        expected: usize,
        /// How many came.
        got: usize,
    },
    /// An op's backward answered for another number of inputs than it has.
    #[error(
        "expected the backward of op {op:?} to answer for each of its {expected} input(s), but it answered for {got}; say None where there is nothing to say"
    )]
    GradientCount {
        /// The op.
        op: String,
        /// How many inputs it has.
        expected: usize,
        /// How many answers came.
        got: usize,
    },
    /// An op was not given an input that it needs.
    #[error("expected an input named {expected:?}, but the inputs are {got:?}")]
    MissingInput {
        /// The name that was looked for.
        expected: String,
        /// The names that there are.
        got: Vec<String>,
    },
    /// An op was given an image where it needs text.
    #[error(
        "expected text for input {input:?} (role: {}), but it holds an {got}",
        truncate(role, 80)
    )]
    NotText {
        /// The input.
        input: String,
        /// The variable's role.
        role: String,
        /// What it holds.
        got: &'static str,
    },
    /// An op was given text where it needs an image.
    #[error(
        "expected an image for input {input:?} (role: {}), but it holds {got}",
        truncate(role, 80)
    )]
    NotImage {
        /// The input.
        input: String,
        /// The variable's role.
        role: String,
        /// What it holds.
        got: &'static str,
    },
    /// Anything else that an op has to say.
    #[error("{message}")]
    Op {
        /// What was expected, what came, and what to do.
        message: String,
        /// The cause.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },

    // Backward passes.
    /// There is nothing to differentiate with respect to.
    #[error(
        "the objective (role: {}) requires no gradient: it depends on no Parameter and no Variable::differentiable, or its op says that its output requires none",
        truncate(role, 80)
    )]
    NothingRequiresGrad {
        /// The objective's role.
        role: String,
    },

    /// The objective was made of none of the variables that a pass is with respect to.
    #[error(
        "expected a variable that the objective (role: {}) was made of, got only others (roles: {}); a pass does not go \
         past what is stopped, nor past an output that requires no gradient",
        truncate(role, 80),
        truncate(&wrt.join(", "), 200)
    )]
    NothingInGraph {
        /// The objective's role.
        role: String,
        /// The roles of the variables.
        wrt: Vec<String>,
    },

    /// A pass with respect to no variable.
    #[error(
        "expected at least one variable for `wrt`, got none (objective: {}); without `wrt` a pass goes to all that \
         requires a gradient",
        truncate(role, 80)
    )]
    EmptyWrt {
        /// The objective's role.
        role: String,
    },

    /// The bookkeeping of a backward pass contradicts itself.
    #[error(
        "expected {expected} in the backward pass, got {got}; this is a defect of textgrad-core"
    )]
    Internal {
        /// The invariant.
        expected: &'static str,
        /// What contradicts it.
        got: String,
    },

    // Drawings.
    /// What was given as the JSON of a graph is none, or of another version.
    #[error(
        "expected the JSON of a graph in version {expected}, got one that does not fit: {problem}"
    )]
    GraphJson {
        /// The version that this library reads and writes.
        expected: u32,
        /// What is wrong.
        problem: String,
    },

    // Parameters.
    /// A name in a module that makes no path.
    #[error(
        "expected the names of a module's members to be distinct, not empty and without a dot, got {name:?} in the module at {module:?}"
    )]
    MemberName {
        /// The module's path; empty for the outermost.
        module: String,
        /// The name.
        name: String,
    },
    /// Texts that are not those of a module.
    #[error(
        "expected one text for each parameter of the module; without a text: {missing:?}, without a parameter: {unknown:?}, shared but with another text: {contradicting:?}; nothing was assigned"
    )]
    StateDict {
        /// Parameters without a text.
        missing: Vec<String>,
        /// Texts without a parameter.
        unknown: Vec<String>,
        /// Further names of shared parameters, with another text than the first.
        contradicting: Vec<String>,
    },
    /// A parameter was assigned since the value that an update was made from.
    #[error(
        "the parameter (role: {}) was assigned since this update was made; nothing was assigned: run forward and backward again",
        truncate(role, 80)
    )]
    StaleParameter {
        /// The parameter's role.
        role: String,
    },
    /// A parameter occurs twice in one set of assignments.
    #[error(
        "the parameter (role: {}) occurs twice among the assignments; nothing was assigned",
        truncate(role, 80)
    )]
    RepeatedParameter {
        /// The parameter's role.
        role: String,
    },
}

impl Error {
    /// An error of an op's own, in words.
    pub fn op(message: impl Into<String>) -> Self {
        Self::Op { message: message.into(), source: None }
    }

    /// An error of an op's own with its cause.
    pub fn op_caused_by(
        message: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Op { message: message.into(), source: Some(source.into()) }
    }

    /// The failure of an op's forward.
    pub(crate) fn in_forward(op: &str, error: Self) -> Self {
        Self::Forward { op: op.to_owned(), source: Box::new(error) }
    }

    /// The engine's error, if one is at the bottom of this, also below an error of an op's own.
    #[must_use]
    pub fn engine(&self) -> Option<&EngineError> {
        let mut error = self;
        loop {
            match error {
                Self::Engine(engine) => return Some(engine),
                Self::Forward { source, .. } | Self::Backward { source, .. } => error = source,
                Self::Op { source, .. } => match engine_or_error(source.as_deref()?)? {
                    Ok(engine) => return Some(engine),
                    Err(inner) => error = inner,
                },
                _ => return None,
            }
        }
    }

    /// Whether the same thing may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.engine().is_some_and(EngineError::is_retryable)
    }

    /// How long a server asked to wait before the next try.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.engine().and_then(EngineError::retry_after)
    }
}

/// The first engine's error, or error of this crate, among an error and its causes.
fn engine_or_error<'a>(
    error: &'a (dyn StdError + Send + Sync + 'static),
) -> Option<Result<&'a EngineError, &'a Error>> {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(engine) = error.downcast_ref::<EngineError>() {
            return Some(Ok(engine));
        }
        let inner = error.downcast_ref::<Error>();
        if let Some(inner) = inner.or_else(|| error.downcast_ref::<Box<Error>>().map(|e| &**e)) {
            return Some(Err(inner));
        }
        cause = error.source();
    }
    None
}

/// Calls a function; a panic becomes its message.
///
/// # Errors
/// The message of the panic.
///
/// # Examples
/// ```
/// use textgrad_core::catch_panic;
///
/// assert_eq!(catch_panic(|| 1 + 1), Ok(2));
/// assert_eq!(catch_panic(|| -> u8 { panic!("no {}", "way") }), Err("no way".to_owned()));
/// ```
pub fn catch_panic<T>(function: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(function)).map_err(|panic| message(&*panic))
}

/// Awaits a future; a panic becomes its message.
///
/// # Errors
/// The message of the panic.
pub async fn catch_panic_async<T>(future: impl Future<Output = T>) -> Result<T, String> {
    AssertUnwindSafe(future).catch_unwind().await.map_err(|panic| message(&*panic))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// An error with all its causes on one line.
#[must_use]
pub fn describe(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // A transparent error repeats what it wraps, and some errors show their causes.
        if !text.ends_with(&message) && !text.contains(&format!(": {message}: ")) {
            text.push_str(": ");
            text.push_str(&message);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ErrorKind;

    #[test]
    fn the_engine_error_is_found_through_the_ops() {
        let engine = EngineError::new(ErrorKind::RateLimited, "slow down")
            .with_retry_after(Duration::from_secs(3));
        let error = Error::Backward {
            op: "outer".into(),
            source: Box::new(Error::Forward {
                op: "inner".into(),
                source: Box::new(engine.into()),
            }),
        };
        assert!(error.is_retryable());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
        assert_eq!(error.to_string(), r#"the backward of op "outer" failed"#);
        assert!(!Error::op("no").is_retryable());
    }

    #[test]
    fn the_engine_error_is_found_below_what_an_op_says_of_it() {
        #[derive(Debug, thiserror::Error)]
        #[error("could not ask")]
        struct Wrapped(#[source] Box<Error>);
        let engine = || EngineError::new(ErrorKind::Quota, "no credit");
        let of_core = Error::in_forward("inner", engine().into());
        for error in [
            Error::op_caused_by("could not ask", engine()),
            Error::op_caused_by("could not ask", of_core),
            Error::op_caused_by("twice", Wrapped(Box::new(engine().into()))),
            Error::op_caused_by("twice", Error::op_caused_by("once", engine())),
        ] {
            assert_eq!(error.engine().map(EngineError::kind), Some(ErrorKind::Quota), "{error:?}");
        }
        assert!(Error::op_caused_by("no", std::io::Error::other("disk")).engine().is_none());
    }
}
