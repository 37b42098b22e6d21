//! Layered layout of a graph: rows of nodes, inputs above outputs.
//!
//! The usual four steps of layered drawing, each a loop over nodes and edges: `rows` gives each node a row,
//! [`bus`] lets what a node gives to later rows pass through the rows between, [`order`] puts each row in an
//! order with few crossings, [`place`] moves the nodes of a row below and above what they belong to.

mod bus;
mod order;
mod place;

use serde::Serialize;

use self::bus::Items;
use crate::view::data::{GraphData, NodeKind};

/// The widths of what is drawn, in units of the drawing (pixels at scale 1).
const VARIABLE: (f64, f64) = (204.0, 50.0);
const CALL: (f64, f64) = (150.0, 30.0);
/// What passes through a row, with the space around it.
const BUS_WIDTH: f64 = 12.0;
/// The space around a node: to the next in its row, and between two rows.
const GAP: f64 = 24.0;
const ROW_GAP: f64 = 54.0;

/// Where everything is drawn.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Layout {
    /// The sizes of variables and calls.
    sizes: [(f64, f64); 2],
    /// Each row's top and height.
    rows: Vec<(f64, f64)>,
    /// Each node's row.
    row: Vec<usize>,
    /// Each node's centre, in whole units.
    x: Vec<i64>,
    /// For each node whose results pass through later rows: the node and where they do, from the row below
    /// it on.
    buses: Vec<(usize, Vec<i64>)>,
}

impl Layout {
    pub(super) fn of(graph: &GraphData) -> Self {
        let count = graph.nodes.len();
        let edges: Vec<(usize, usize)> =
            graph.edges.iter().map(|edge| (edge.from, edge.to)).collect();
        let row = rows(count, &edges);
        let sizes: Vec<(f64, f64)> = graph
            .nodes
            .iter()
            .map(|node| match node.kind {
                NodeKind::Variable { .. } => VARIABLE,
                NodeKind::Call { .. } => CALL,
            })
            .collect();
        let items = Items::new(&row, &edges);
        let order = order::order(&items);
        let widths: Vec<f64> = sizes
            .iter()
            .map(|(width, _)| *width + GAP)
            .chain(std::iter::repeat(BUS_WIDTH))
            .take(items.count())
            .collect();
        let x = place::place(&items, &order, &widths);

        let mut heights = vec![0.0_f64; items.row_count()];
        for (node, (_, height)) in sizes.iter().enumerate() {
            if let Some(highest) = heights.get_mut(items.row(node)) {
                *highest = highest.max(*height);
            }
        }
        let mut top = 0.0;
        let rows = heights
            .into_iter()
            .map(|height| {
                let row = (top, height);
                top += height + ROW_GAP;
                row
            })
            .collect();
        let place = |item: usize| x.get(item).copied().unwrap_or_default().round() as i64;
        let buses = items.buses().map(|(node, items)| (node, items.map(place).collect())).collect();
        Self { sizes: [VARIABLE, CALL], rows, x: (0..count).map(place).collect(), row, buses }
    }
}

/// Rows of at most so many nodes, or of twice the root of all: a call with a thousand arguments would else
/// be a line that nobody can look at.
const SHORTEST_LIMIT: usize = 24;

/// The row of each node: below everything that it is made of, and leaves right above what uses them first.
/// Nodes are in topological order.
fn rows(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A graph of variables only, which is all that a layout looks at.
    fn graph(count: usize, edges: &[(usize, usize)]) -> GraphData {
        let nodes: Vec<_> = (0..count)
            .map(|id| {
                json!({ "id": id, "class": "value", "kind": "variable", "role": "r",
                    "requires_grad": false, "value": { "type": "text", "text": "t" } })
            })
            .collect();
        let edges: Vec<_> = edges
            .iter()
            .map(|(from, to)| json!({ "kind": "argument", "from": from, "to": to, "name": "a", "position": 0 }))
            .collect();
        let json =
            json!({ "version": 2, "nodes": nodes, "edges": edges, "gradients": [], "updates": [] });
        GraphData::from_json(&json).unwrap()
    }

    fn check(count: usize, edges: &[(usize, usize)]) -> Layout {
        let layout = Layout::of(&graph(count, edges));
        for (from, to) in edges {
            assert!(layout.row[*from] < layout.row[*to], "{from} stands above {to}");
        }
        let mut rows = vec![Vec::new(); layout.rows.len()];
        for node in 0..count {
            rows[layout.row[node]].push(layout.x[node]);
        }
        for row in &mut rows {
            row.sort_unstable();
            for pair in row.windows(2) {
                assert!(pair[1] - pair[0] >= VARIABLE.0 as i64, "overlap: {row:?}");
            }
        }
        layout
    }

    #[test]
    fn a_chain_is_a_line_and_nothing_is_an_empty_drawing() {
        let chain: Vec<(usize, usize)> = (0..50).map(|i| (i, i + 1)).collect();
        let layout = check(51, &chain);
        assert_eq!(layout.x, vec![0; 51]);
        assert!(check(0, &[]).rows.is_empty());
        assert_eq!(check(3, &[]).rows.len(), 1);
    }

    #[test]
    fn leaves_stand_right_above_what_uses_them() {
        let layout = check(5, &[(0, 1), (1, 2), (3, 4), (2, 4)]);
        assert_eq!(layout.row, [0, 1, 2, 2, 3]);
    }

    #[test]
    fn long_rows_are_broken() {
        let edges: Vec<(usize, usize)> = (0..500).map(|i| (i, 500)).collect();
        let layout = check(501, &edges);
        assert!(layout.rows.len() > 8, "{}", layout.rows.len());
    }

    #[test]
    fn a_text_that_every_step_uses_passes_once_through_each_row_or_straight() {
        let steps = 2_000;
        let mut edges: Vec<(usize, usize)> = (1..steps).map(|i| (i, i + 1)).collect();
        edges.extend((1..steps).map(|i| (0, i + 1)));
        let layout = check(steps + 1, &edges);
        assert_eq!(layout.buses.len(), 1);
        assert_eq!(layout.buses[0].1.len(), steps - 2);
        // Twenty such texts do not make the drawing twenty times as large.
        let leaves = 40;
        let mut edges: Vec<(usize, usize)> = (leaves..leaves + 500).map(|i| (i, i + 1)).collect();
        edges.extend(
            (0..leaves).flat_map(|leaf| (leaves..leaves + 500).map(move |i| (leaf, i + 1))),
        );
        let layout = check(leaves + 501, &edges);
        let passing: usize = layout.buses.iter().map(|(_, bus)| bus.len()).sum();
        assert!(passing < 4 * (leaves + 501) + 1_000, "{passing}");
    }

    #[test]
    fn two_lines_that_cross_are_uncrossed() {
        // 0 -> 3, 1 -> 2: drawn in the order of the numbers they cross.
        let layout = check(6, &[(0, 3), (1, 2), (2, 4), (3, 5)]);
        assert_eq!(layout.x[0] < layout.x[1], layout.x[3] < layout.x[2]);
    }
}
