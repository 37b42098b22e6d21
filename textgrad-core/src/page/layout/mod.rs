//! Where the nodes of a graph are drawn: in rows, inputs above what is made of them.
//!
//! The usual four steps of layered drawing, each a loop over nodes and edges: [`rows`] gives each node a row,
//! [`bus`] lets what a node gives to later rows pass through the rows between, [`order`] puts each row in an
//! order with few crossings, [`place`] moves the nodes of a row below and above what they belong to.

mod bus;
mod order;
mod place;
mod rows;

use serde::Serialize;

use self::bus::Items;
use crate::graph::export::data::{GraphData, NodeKind};

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
        let row = rows::rows(count, &edges);
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

#[cfg(test)]
mod tests;
