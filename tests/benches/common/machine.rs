//! Description of the machine that figures are measured on.

/// What is measured, and on how many cores.
pub(crate) fn title(what: &str) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{what} ({cores} cores)");
}
