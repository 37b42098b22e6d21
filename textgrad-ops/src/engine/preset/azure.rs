//! Addresses of deployments on Azure.

use textgrad_core::{EngineError, ErrorKind, truncate};

/// The version of the API unless the environment names another: the last one that is dated and not a preview.
const API_VERSION: &str = "2024-10-21";

/// The base URL of a deployment's chat completions.
pub(super) fn base_url(
    endpoint: &str,
    deployment: &str,
    version: Option<&str>,
) -> Result<String, EngineError> {
    let version = version.unwrap_or(API_VERSION);
    plain("the name of a deployment", deployment)?;
    plain("a version of the API such as 2024-10-21 in OPENAI_API_VERSION", version)?;
    // The path goes behind the endpoint, so nothing may follow it there.
    if endpoint.contains(['?', '#']) {
        return Err(EngineError::new(
            ErrorKind::InvalidRequest,
            "expected an endpoint such as https://RESOURCE.openai.azure.com in \
             AZURE_OPENAI_ENDPOINT, got one with a query or a fragment",
        ));
    }
    let endpoint = endpoint.trim().trim_end_matches('/');
    Ok(format!("{endpoint}/openai/deployments/{deployment}?api-version={version}"))
}

/// Refuses what would change the address in another place than its own.
fn plain(what: &str, text: &str) -> Result<(), EngineError> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if text.bytes().all(is_plain) && text.bytes().any(|b| b != b'.') {
        return Ok(());
    }
    let got = truncate(text, 80);
    Err(EngineError::new(ErrorKind::InvalidRequest, format!("expected {what}, got {got:?}")))
}
