//! Work that blocks, within the runtime.

use tpo::Error;

/// Does it beside the runtime. Dropping the future lets it go on to its end.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Panic { message: error.to_string() })?
}
