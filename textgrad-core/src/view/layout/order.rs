//! The order of the items of each rank, with few crossings.

use super::rank::{Item, Items, PerItem};

/// How many times the order is improved, down and up.
const SWEEPS: usize = 6;

/// The items of each rank from left to right: again and again, each is moved to the mean position of its neighbours in
/// the rank before (Sugiyama's barycentre), and the order with the fewest crossings is kept.
pub(super) fn order(items: &Items) -> Vec<Vec<Item>> {
    let mut all: Vec<Item> = items.all().collect();
    // A bus begins beside its node.
    all.sort_by_key(|item| (items.rank[*item], items.source[*item], *item));
    let same_rank = |a: &Item, b: &Item| items.rank[*a] == items.rank[*b];
    let mut ranks: Vec<Vec<Item>> = all.chunk_by(same_rank).map(<[Item]>::to_vec).collect();
    let mut position = items.each(0.0);
    let mut best = (crossings(items, &ranks, &mut position), ranks.clone());
    for sweep in 0..SWEEPS {
        if best.0 == 0 {
            break;
        }
        if sweep % 2 == 0 {
            ranks.iter_mut().for_each(|rank| sort(rank, &mut position, &items.above));
        } else {
            ranks.iter_mut().rev().for_each(|rank| sort(rank, &mut position, &items.below));
        }
        let found = crossings(items, &ranks, &mut position);
        if found < best.0 {
            best = (found, ranks.clone());
        }
    }
    best.1
}

/// Sorts a rank by the mean position of each item's neighbours; one without neighbours keeps its own.
fn sort(rank: &mut Vec<Item>, position: &mut PerItem<f64>, neighbours: &PerItem<Vec<Item>>) {
    let mut keyed: Vec<(f64, Item)> = rank
        .iter()
        .map(|item| (mean(&neighbours[*item], position).unwrap_or(position[*item]), *item))
        .collect();
    keyed.sort_by(|a, b| a.0.total_cmp(&b.0));
    *rank = keyed.into_iter().map(|(_, item)| item).collect();
    number(rank, position);
}

/// Numbers a rank from left to right, between 0 and 1: ranks differ in length.
fn number(rank: &[Item], position: &mut PerItem<f64>) {
    for (index, item) in rank.iter().enumerate() {
        position[*item] = (index as f64 + 0.5) / rank.len() as f64;
    }
}

/// The mean position of some items; `None` if there are none.
pub(super) fn mean(items: &[Item], position: &PerItem<f64>) -> Option<f64> {
    let sum: f64 = items.iter().map(|item| position[*item]).sum();
    (!items.is_empty()).then(|| sum / items.len() as f64)
}

/// How many pairs of lines between neighbouring ranks cross; numbers all ranks.
fn crossings(items: &Items, ranks: &[Vec<Item>], position: &mut PerItem<f64>) -> u64 {
    let mut index_of = items.each(0);
    for rank in ranks {
        number(rank, position);
        for (index, item) in rank.iter().enumerate() {
            index_of[*item] = index;
        }
    }
    let mut total = 0;
    for rank in ranks {
        // The lower ends of the lines, read along the upper rank: each inversion is a crossing.
        let mut ends: Vec<usize> = Vec::new();
        for item in rank {
            let mut own: Vec<usize> = items.below[*item].iter().map(|end| index_of[*end]).collect();
            own.sort_unstable();
            ends.append(&mut own);
        }
        total += sort_inversions(&mut ends);
    }
    total
}

/// Sorts numbers and counts the pairs that were in the wrong order.
fn sort_inversions(numbers: &mut [usize]) -> u64 {
    if numbers.len() < 2 {
        return 0;
    }
    let (left, right) = numbers.split_at_mut(numbers.len() / 2);
    let mut total = sort_inversions(left) + sort_inversions(right);
    for number in right {
        total += (left.len() - left.partition_point(|other| *other <= *number)) as u64;
    }
    // Merges the two sorted halves.
    numbers.sort();
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inversions_are_counted() {
        for (mut numbers, expected) in
            [(vec![], 0), (vec![0, 1, 1, 2], 0), (vec![2, 1, 0], 3), (vec![1, 0, 1, 0], 3)]
        {
            assert_eq!(sort_inversions(&mut numbers), expected, "{numbers:?}");
        }
    }
}
