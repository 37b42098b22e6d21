//! Positions of items within their rows.

use super::bus::Items;
use super::order::mean;

/// How many times the rows are gone through, down and up.
const SWEEPS: usize = 10;
/// What passes through a row is kept straight with the force of so many nodes.
const STRAIGHT: f64 = 6.0;
/// An item without neighbours on a side stays where it is with the force of so many nodes.
const STAY: f64 = 0.05;

/// The centre of each item, in the order given and without overlaps: again and again, each row is moved as
/// near as possible to the middles of what its items are connected to in the row before.
pub(super) fn place(items: &Items, order: &[Vec<usize>], widths: &[f64]) -> Vec<f64> {
    let mut x = vec![0.0; items.count()];
    for row in order {
        set(&mut x, row, &spread(row.iter().map(|_| (0.0, 1.0)), row, widths));
    }
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let step = |row: &Vec<usize>, x: &mut Vec<f64>| {
            let wishes: Vec<(f64, f64)> = row
                .iter()
                .map(|item| {
                    let neighbours = if down { items.up(*item) } else { items.down(*item) };
                    let own = x.get(*item).copied().unwrap_or_default();
                    let force = if items.is_node(*item) { 1.0 } else { STRAIGHT };
                    mean(neighbours, x).map_or((own, STAY), |middle| (middle, force))
                })
                .collect();
            let found = spread(wishes.into_iter(), row, widths);
            set(x, row, &found);
        };
        if down {
            order.iter().for_each(|row| step(row, &mut x));
        } else {
            order.iter().rev().for_each(|row| step(row, &mut x));
        }
    }
    let left = x.iter().copied().fold(f64::INFINITY, f64::min);
    x.iter_mut().for_each(|x| *x -= left);
    x
}

fn set(x: &mut [f64], row: &[usize], found: &[f64]) {
    for (item, found) in row.iter().zip(found) {
        if let Some(x) = x.get_mut(*item) {
            *x = *found;
        }
    }
}

/// The places nearest to the wishes (place, force) that keep the order and the widths: least squares under an
/// order, solved by merging neighbours that push each other (pool adjacent violators).
fn spread(wishes: impl Iterator<Item = (f64, f64)>, row: &[usize], widths: &[f64]) -> Vec<f64> {
    struct Block {
        sum: f64,
        force: f64,
        items: usize,
    }
    let width = |item: &usize| widths.get(*item).copied().unwrap_or_default();
    let mut offsets = Vec::with_capacity(row.len());
    let (mut offset, mut last) = (0.0, None);
    for item in row {
        if let Some(last) = last {
            offset += (last + width(item)) / 2.0;
        }
        last = Some(width(item));
        offsets.push(offset);
    }
    let mut blocks: Vec<Block> = Vec::new();
    for ((wish, force), offset) in wishes.zip(&offsets) {
        let mut block = Block { sum: (wish - offset) * force, force, items: 1 };
        while let Some(before) = blocks.pop_if(|b| b.sum / b.force >= block.sum / block.force) {
            block.sum += before.sum;
            block.force += before.force;
            block.items += before.items;
        }
        blocks.push(block);
    }
    let starts =
        blocks.iter().flat_map(|block| std::iter::repeat_n(block.sum / block.force, block.items));
    starts.zip(offsets).map(|(start, offset)| start + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_are_met_where_they_do_not_collide() {
        let row = [0, 1, 2];
        let widths = [10.0; 3];
        let gap = 10.0;
        let far = spread([(0.0, 1.0), (100.0, 1.0), (500.0, 1.0)].into_iter(), &row, &widths);
        assert_eq!(far, [0.0, 100.0, 500.0]);
        let near = spread([(0.0, 1.0), (0.0, 1.0), (0.0, 1.0)].into_iter(), &row, &widths);
        assert_eq!(near, [-gap, 0.0, gap]);
        let pulled = spread([(50.0, 1.0), (50.0, 3.0)].into_iter(), &row[..2], &widths);
        assert!((pulled[1] - pulled[0] - gap).abs() < 1e-9 && pulled[1] - 50.0 < 50.0 - pulled[0]);
    }
}
