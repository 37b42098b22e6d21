//! Which row each node stands in.

/// Rows of at most so many nodes, or of twice the root of all: a call with a thousand arguments would else
/// be a line that nobody can look at.
const SHORTEST_LIMIT: usize = 24;

/// The row of each node: below everything that it is made of, and leaves right above what uses them first.
/// Nodes are in topological order.
pub(super) fn rows(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut incoming = vec![Vec::new(); count];
    for (from, to) in edges {
        if let Some(inputs) = incoming.get_mut(*to) {
            inputs.push(*from);
        }
    }
    let mut rows: Vec<usize> = Vec::with_capacity(count);
    for inputs in &incoming {
        let below = inputs.iter().filter_map(|input| rows.get(*input)).max();
        rows.push(below.map_or(0, |row| row + 1));
    }
    let mut first_use = vec![usize::MAX; count];
    for (from, to) in edges {
        if let (Some(first), Some(row)) = (first_use.get_mut(*from), rows.get(*to)) {
            *first = (*first).min(*row);
        }
    }
    for ((row, first), inputs) in rows.iter_mut().zip(first_use).zip(&incoming) {
        if inputs.is_empty() && first != usize::MAX {
            *row = first.saturating_sub(1);
        }
    }
    wrap(rows)
}

/// Breaks rows that are too long into several.
fn wrap(rows: Vec<usize>) -> Vec<usize> {
    let limit = SHORTEST_LIMIT.max(2 * rows.len().isqrt());
    let mut sizes = vec![0_usize; rows.iter().max().map_or(0, |last| last + 1)];
    let places: Vec<(usize, usize)> = rows
        .into_iter()
        .map(|row| {
            let size = sizes.get_mut(row).map_or(0, |size| std::mem::replace(size, *size + 1));
            (row, size / limit)
        })
        .collect();
    let begins: Vec<usize> = sizes
        .iter()
        .scan(0, |next, size| {
            let begin = *next;
            *next += size.div_ceil(limit).max(1);
            Some(begin)
        })
        .collect();
    places.into_iter().map(|(row, part)| begins.get(row).map_or(0, |begin| begin + part)).collect()
}
