//! Horizontal positions of items.

use super::order::mean;
use super::rank::{Item, Items, PerItem};

/// How many times positions are improved, down and up.
const SWEEPS: usize = 10;
/// The weight of a bus, which keeps it straight, compared to that of a node.
const BUS_WEIGHT: f64 = 6.0;
/// The weight of an item without neighbours on a side, which stays.
const STAY_WEIGHT: f64 = 0.05;

/// The wanted position of an item, how much it counts, and its width.
struct Target {
    position: f64,
    weight: f64,
    width: f64,
}

/// The centre of each item, in the order given and without overlaps: again and again, each rank is moved as near as
/// possible to the mean positions of its items' neighbours in the rank before.
pub(super) fn positions(items: &Items, order: &[Vec<Item>], widths: &PerItem<f64>) -> PerItem<f64> {
    let mut x = items.each(0.0);
    for rank in order {
        let target = |item: &Item| Target { position: 0.0, weight: 1.0, width: widths[*item] };
        set(&mut x, rank, &rank.iter().map(target).collect::<Vec<_>>());
    }
    let step = |rank: &Vec<Item>, neighbours: &PerItem<Vec<Item>>, x: &mut PerItem<f64>| {
        let target = |item: &Item| {
            let own_weight = if items.is_node(*item) { 1.0 } else { BUS_WEIGHT };
            let mean = mean(&neighbours[*item], x).map(|position| (position, own_weight));
            let (position, weight) = mean.unwrap_or((x[*item], STAY_WEIGHT));
            Target { position, weight, width: widths[*item] }
        };
        let targets: Vec<Target> = rank.iter().map(target).collect();
        set(x, rank, &targets);
    };
    for sweep in 0..SWEEPS {
        if sweep % 2 == 0 {
            order.iter().for_each(|rank| step(rank, &items.above, &mut x));
        } else {
            order.iter().rev().for_each(|rank| step(rank, &items.below, &mut x));
        }
    }
    let left = items.all().map(|item| x[item]).fold(f64::INFINITY, f64::min);
    x.values_mut().for_each(|x| *x -= left);
    x
}

fn set(x: &mut PerItem<f64>, rank: &[Item], targets: &[Target]) {
    for (item, position) in rank.iter().zip(spread(targets)) {
        x[*item] = position;
    }
}

/// The positions nearest to the targets that keep the order and the widths: least squares under an order, solved by
/// merging neighbours that push each other (pool adjacent violators).
fn spread(targets: &[Target]) -> Vec<f64> {
    struct Block {
        sum: f64,
        weight: f64,
        items: usize,
    }
    let widths = targets.iter().map(|target| target.width);
    let distances = widths.clone().zip(widths.skip(1)).map(|(left, right)| (left + right) / 2.0);
    let mut offset = 0.0;
    let offsets = std::iter::once(0.0).chain(distances).map(|distance| {
        offset += distance;
        offset
    });
    let offsets: Vec<f64> = offsets.take(targets.len()).collect();
    let mut blocks: Vec<Block> = Vec::new();
    for (target, offset) in targets.iter().zip(&offsets) {
        let weight = target.weight;
        let mut block = Block { sum: (target.position - offset) * weight, weight, items: 1 };
        while let Some(before) = blocks.pop_if(|b| b.sum / b.weight >= block.sum / block.weight) {
            block.sum += before.sum;
            block.weight += before.weight;
            block.items += before.items;
        }
        blocks.push(block);
    }
    let starts =
        blocks.iter().flat_map(|block| std::iter::repeat_n(block.sum / block.weight, block.items));
    starts.zip(offsets).map(|(start, offset)| start + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_met_where_they_do_not_collide() {
        let gap = 10.0;
        let spread = |targets: &[(f64, f64)]| {
            let targets = targets.iter();
            let targets = targets.map(|(position, weight)| Target {
                position: *position,
                weight: *weight,
                width: gap,
            });
            spread(&targets.collect::<Vec<_>>())
        };
        assert_eq!(spread(&[(0.0, 1.0), (100.0, 1.0), (500.0, 1.0)]), [0.0, 100.0, 500.0]);
        assert_eq!(spread(&[(0.0, 1.0), (0.0, 1.0), (0.0, 1.0)]), [-gap, 0.0, gap]);
        let pulled = spread(&[(50.0, 1.0), (50.0, 3.0)]);
        assert!((pulled[1] - pulled[0] - gap).abs() < 1e-9 && pulled[1] - 50.0 < 50.0 - pulled[0]);
    }
}
