//! Layered layout of a graph: ranks of nodes, inputs above outputs.
//!
//! The usual steps of layered drawing, each a loop over nodes and edges: [`rank`] gives each node a rank and lets the
//! results of a node pass through the ranks between it and its uses, [`order`] orders each rank with few crossings,
//! [`position`] moves the nodes of a rank below and above their neighbours.

mod order;
mod position;
mod rank;

use std::sync::Arc;

use serde::Serialize;

use self::rank::{Item, Items};
use crate::view::data::{GraphData, NodeKind};

/// The widths of what is drawn, in units of the drawing (pixels at scale 1).
const VARIABLE: (f64, f64) = (204.0, 50.0);
const CALL: (f64, f64) = (150.0, 30.0);
/// A bus that passes through a rank, with the space around it.
const BUS_WIDTH: f64 = 12.0;
/// The space around a node: to the next in its row, and between two rows.
const GAP: f64 = 24.0;
const ROW_GAP: f64 = 54.0;

/// The positions of a drawing. Its rows are the ranks.
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
    /// For each node whose results pass through later rows: the node, and the centre of the bus in each, from the row
    /// below it on.
    buses: Vec<(usize, Vec<i64>)>,
    /// The first row of each named stage that has nodes.
    stages: Vec<(usize, Arc<str>)>,
}

impl Layout {
    pub(super) fn of(graph: &GraphData) -> Self {
        let items = Items::new(graph);
        let order = order::order(&items);
        let (mut widths, mut heights) = (items.each(BUS_WIDTH), items.each(0.0_f64));
        for (item, node) in items.nodes().zip(&graph.nodes) {
            let (width, height) = match node.kind {
                NodeKind::Variable { .. } => VARIABLE,
                NodeKind::Call { .. } => CALL,
            };
            widths[item] = width + GAP;
            heights[item] = height;
        }
        let x = position::positions(&items, &order, &widths);
        let mut top = 0.0;
        let rows = order.iter().map(|rank| {
            let height = rank.iter().map(|item| heights[*item]).fold(0.0, f64::max);
            let row = (top, height);
            top += height + ROW_GAP;
            row
        });
        let x = |item: Item| x[item].round() as i64;
        let stage =
            |(stage, row): (&usize, &usize)| Some((*row, Arc::clone(graph.stages.get(*stage)?)));
        let bus = |(node, bus): &(Item, Vec<Item>)| {
            (node.number(), bus.iter().map(|item| x(*item)).collect())
        };
        Self {
            sizes: [VARIABLE, CALL],
            rows: rows.collect(),
            row: items.nodes().map(|node| items.rank[node]).collect(),
            x: items.nodes().map(x).collect(),
            buses: items.buses.iter().map(bus).collect(),
            stages: items.first_ranks.iter().filter_map(stage).collect(),
        }
    }
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
