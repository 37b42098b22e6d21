//! The order of each row.

use super::bus::Items;

/// How many times the rows are gone through, down and up.
const SWEEPS: usize = 6;

/// The items of each row from left to right: again and again, each is put where the middle of its neighbours
/// in the row before is (Sugiyama's barycentre), and the order with the fewest crossings is kept.
pub(super) fn order(items: &Items) -> Vec<Vec<usize>> {
    let mut rows = vec![Vec::new(); items.row_count()];
    let mut all: Vec<usize> = (0..items.count()).collect();
    // What passes begins beside what it comes from.
    all.sort_by_key(|item| (items.source(*item), *item));
    for item in all {
        if let Some(row) = rows.get_mut(items.row(item)) {
            row.push(item);
        }
    }
    let mut place = vec![0.0; items.count()];
    let mut best = (crossings(items, &rows, &mut place), rows.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        let down = sweep % 2 == 0;
        let last = rows.len().saturating_sub(1);
        for step in 0..rows.len() {
            let index = if down { step } else { last - step };
            if let Some(row) = rows.get_mut(index) {
                let neighbours = |item| if down { items.up(item) } else { items.down(item) };
                sort(row, &mut place, neighbours);
            }
        }
        let found = crossings(items, &rows, &mut place);
        if found < best.0 {
            best = (found, rows.clone());
        }
    }
    best.1
}

/// Sorts a row by the places of each item's neighbours; one without neighbours stays where it is.
fn sort<'a>(row: &mut [usize], place: &mut [f64], neighbours: impl Fn(usize) -> &'a [usize]) {
    let mut keyed: Vec<(f64, usize)> = row
        .iter()
        .map(|item| {
            let own = place.get(*item).copied().unwrap_or_default();
            (mean(neighbours(*item), place).unwrap_or(own), *item)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (slot, (_, item)) in row.iter_mut().zip(keyed) {
        *slot = item;
    }
    number(row, place);
}

/// Numbers a row from left to right, between 0 and 1: rows differ in length.
fn number(row: &[usize], place: &mut [f64]) {
    for (position, item) in row.iter().enumerate() {
        if let Some(place) = place.get_mut(*item) {
            *place = (position as f64 + 0.5) / row.len() as f64;
        }
    }
}

pub(super) fn mean(items: &[usize], place: &[f64]) -> Option<f64> {
    let sum: f64 = items.iter().filter_map(|item| place.get(*item)).sum();
    (!items.is_empty()).then(|| sum / items.len() as f64)
}

/// How many pairs of lines between neighbouring rows cross; numbers all rows.
fn crossings(items: &Items, rows: &[Vec<usize>], place: &mut [f64]) -> u64 {
    let mut position = vec![0_usize; items.count()];
    for row in rows {
        number(row, place);
        for (i, item) in row.iter().enumerate() {
            if let Some(position) = position.get_mut(*item) {
                *position = i;
            }
        }
    }
    let mut total = 0;
    for (upper, lower) in rows.iter().zip(rows.iter().skip(1)) {
        // The lower ends, read along the upper row: each inversion is a crossing.
        let mut ends: Vec<usize> = Vec::new();
        for item in upper {
            let begin = ends.len();
            ends.extend(items.down(*item).iter().filter_map(|below| position.get(*below)));
            if let Some(own) = ends.get_mut(begin..) {
                own.sort_unstable();
            }
        }
        total += inversions(&ends, lower.len());
    }
    total
}

/// Pairs that stand in the wrong order, counted with a binary indexed tree.
fn inversions(numbers: &[usize], bound: usize) -> u64 {
    let mut tree = vec![0_u64; bound + 1];
    let mut total = 0;
    for (seen, number) in numbers.iter().enumerate() {
        let mut not_larger = 0;
        let mut i = number + 1;
        while i > 0 {
            not_larger += tree.get(i).copied().unwrap_or_default();
            i &= i - 1;
        }
        total += seen as u64 - not_larger;
        let mut i = number + 1;
        while let Some(count) = tree.get_mut(i) {
            *count += 1;
            i += i & i.wrapping_neg();
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inversions_are_counted() {
        for (numbers, expected) in
            [(vec![], 0), (vec![0, 1, 1, 2], 0), (vec![2, 1, 0], 3), (vec![1, 0, 1, 0], 3)]
        {
            assert_eq!(inversions(&numbers, 3), expected, "{numbers:?}");
        }
    }
}
