//! Memory of this process.

/// Bytes that belong to the process in memory; zero where the system does not say.
pub(crate) fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|statm| {
        let resident = statm.split_whitespace().nth(1)?;
        resident.parse::<usize>().ok()
    });
    // 4 KiB pages, as x86-64 has them.
    pages.unwrap_or_default() * 4096
}
