//! Name, identity and nature of an engine.

use std::borrow::Cow;

/// The name of an engine, what distinguishes it in caches, and whether its responses are simulated.
///
/// # Examples
/// ```
/// use textgrad_core::EngineInfo;
///
/// let info = EngineInfo::new("openai:llama3").with_identity("openai+http://localhost:8000/v1#llama3");
/// assert_eq!(info.name(), "openai:llama3");
/// assert!(!info.is_simulation());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EngineInfo {
    name: Cow<'static, str>,
    identity: Option<String>,
    is_simulation: bool,
}

impl EngineInfo {
    /// The info of an engine whose name identifies it, and which is no simulation.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self { name: name.into(), identity: None, is_simulation: false }
    }

    /// [`new`](Self::new) for a constant name, usable in a `static`.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), identity: None, is_simulation: false }
    }

    /// Sets the identity.
    #[must_use]
    pub fn with_identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Sets whether the responses are simulated.
    #[must_use]
    pub const fn with_simulation(mut self, is_simulation: bool) -> Self {
        self.is_simulation = is_simulation;
        self
    }

    /// A short name for logs, journals and reports, such as `openai:llama-3.1-70b`. Never a secret.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What distinguishes the engine from all others whose responses may be cached: two engines of the same
    /// identity must be interchangeable to a caller. Default: the name; the engine of a server adds its address.
    /// Never a secret.
    ///
    /// Caches build their keys from it. Journals and recordings use the name: they belong to a run, which may
    /// move to another address.
    #[must_use]
    pub fn identity(&self) -> &str {
        self.identity.as_deref().unwrap_or(&self.name)
    }

    /// Whether the responses are simulated. Whatever shows figures of such an engine must say so.
    #[must_use]
    pub const fn is_simulation(&self) -> bool {
        self.is_simulation
    }
}
