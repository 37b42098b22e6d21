//! Ranks, and the items in them: nodes, and the buses that pass through the ranks between a node and its uses.

use std::collections::BTreeMap;
use std::ops::{Index, IndexMut};

use crate::view::data::GraphData;

/// Ranks hold at most so many nodes, or twice the root of all: a call with a thousand arguments would else be a line
/// that nobody can read.
const MIN_RANK_LIMIT: usize = 24;

/// What takes up space in a rank: a node of the graph, or a bus that passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item(usize);

impl Item {
    /// The item's number: of a node, that in the graph.
    pub(super) fn number(self) -> usize {
        self.0
    }
}

/// A value for each item.
#[derive(Debug, Clone)]
pub(super) struct PerItem<T>(Vec<T>);

impl<T> PerItem<T> {
    fn push(&mut self, value: T) -> Item {
        self.0.push(value);
        Item(self.0.len() - 1)
    }

    pub(super) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }
}

#[expect(clippy::indexing_slicing, reason = "only this module makes items, and a value for each")]
impl<T> Index<Item> for PerItem<T> {
    type Output = T;

    fn index(&self, item: Item) -> &T {
        &self.0[item.0]
    }
}

#[expect(clippy::indexing_slicing, reason = "only this module makes items, and a value for each")]
impl<T> IndexMut<Item> for PerItem<T> {
    fn index_mut(&mut self, item: Item) -> &mut T {
        &mut self.0[item.0]
    }
}

/// The items of a layout: the nodes and, behind them, the items of buses.
///
/// The results of a node pass once through each rank between it and its uses, however many there are: a *bus*. There
/// is a bound on all buses together, since a text that every step of a long chain uses would pass through every rank;
/// beyond it, the longest have none and are drawn straight.
#[derive(Debug)]
pub(super) struct Items {
    node_count: usize,
    pub(super) rank: PerItem<usize>,
    /// Neighbours in the rank above, and in the rank below.
    pub(super) above: PerItem<Vec<Item>>,
    pub(super) below: PerItem<Vec<Item>>,
    /// The node that an item is, or is part of the bus of.
    pub(super) source: PerItem<Item>,
    /// Each node that has a bus, with the bus's items from above.
    pub(super) buses: Vec<(Item, Vec<Item>)>,
    /// The first rank of each stage that has nodes.
    pub(super) first_ranks: BTreeMap<usize, usize>,
}

impl Items {
    pub(super) fn new(graph: &GraphData) -> Self {
        let node_count = graph.nodes.len();
        // The ends of all edges are nodes, and edges lead from smaller to larger ids: `GraphData` holds to that.
        let edges: Vec<(Item, Item)> =
            graph.edges.iter().map(|edge| (Item(edge.from), Item(edge.to))).collect();
        let stages = graph.nodes.iter().map(|node| node.stage.unwrap_or_default()).collect();
        let (mut rank, first_ranks) = ranks(PerItem(stages), &edges);
        let mut source = PerItem((0..node_count).map(Item).collect());
        let buses = buses(node_count, &edges, &mut rank, &mut source);

        let item_count = rank.0.len();
        let mut bus_of: PerItem<&[Item]> = PerItem(vec![&[]; item_count]);
        let mut above = PerItem(vec![Vec::new(); item_count]);
        let mut below = PerItem(vec![Vec::new(); item_count]);
        let mut connect = |upper: Item, lower: Item| {
            below[upper].push(lower);
            above[lower].push(upper);
        };
        for (node, bus) in &buses {
            bus_of[*node] = bus;
            let mut upper = *node;
            for item in bus {
                connect(upper, *item);
                upper = *item;
            }
        }
        for (from, to) in edges {
            let span = rank[to] - rank[from];
            if span == 1 {
                connect(from, to);
            } else if let Some(last) = bus_of[from].get(span - 2) {
                connect(*last, to);
            }
        }
        Self { node_count, rank, above, below, source, buses, first_ranks }
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = Item> {
        (0..self.node_count).map(Item)
    }

    /// The nodes and the items of buses.
    pub(super) fn all(&self) -> impl Iterator<Item = Item> {
        (0..self.rank.0.len()).map(Item)
    }

    pub(super) fn is_node(&self, item: Item) -> bool {
        item.0 < self.node_count
    }

    /// The same value for each item.
    pub(super) fn each<T: Clone>(&self, value: T) -> PerItem<T> {
        PerItem(vec![value; self.rank.0.len()])
    }
}

/// The rank of each node, and the first rank of each stage that has nodes. A node is below everything that it is made
/// of and below the stages before its own; leaves are right above their first use. Nodes are in topological order.
fn ranks(
    mut stage: PerItem<usize>,
    edges: &[(Item, Item)],
) -> (PerItem<usize>, BTreeMap<usize, usize>) {
    let count = stage.0.len();
    let mut inputs = PerItem(vec![Vec::new(); count]);
    for (from, to) in edges {
        inputs[*to].push(*from);
    }
    for node in (0..count).map(Item) {
        let stages = inputs[node].iter().map(|input| stage[*input]);
        stage[node] = stages.fold(stage[node], usize::max);
    }
    let mut by_stage: Vec<Item> = (0..count).map(Item).collect();
    by_stage.sort_by_key(|node| stage[*node]);
    let mut rank = PerItem(vec![0; count]);
    let mut base = 0;
    for nodes in by_stage.chunk_by(|a, b| stage[*a] == stage[*b]) {
        for node in nodes {
            rank[*node] = inputs[*node].iter().map(|input| rank[*input] + 1).fold(base, usize::max);
        }
        base = nodes.iter().map(|node| rank[*node] + 1).fold(base, usize::max);
    }
    let mut first_use: PerItem<Option<usize>> = PerItem(vec![None; count]);
    for (from, to) in edges {
        let first = first_use[*from].unwrap_or(usize::MAX);
        first_use[*from] = Some(first.min(rank[*to]));
    }
    let mut by_rank: BTreeMap<usize, Vec<Item>> = BTreeMap::new();
    for node in (0..count).map(Item) {
        let above_first_use = first_use[node].filter(|_| inputs[node].is_empty());
        let rank = above_first_use.map_or(rank[node], |first| first - 1);
        by_rank.entry(rank).or_default().push(node);
    }
    // Ranks that are too long become several.
    let limit = MIN_RANK_LIMIT.max(2 * count.isqrt());
    let parts = by_rank.values().flat_map(|nodes| nodes.chunks(limit));
    let mut first_ranks: BTreeMap<usize, usize> = BTreeMap::new();
    for (number, nodes) in parts.enumerate() {
        for node in nodes {
            rank[*node] = number;
            first_ranks.entry(stage[*node]).or_insert(number);
        }
    }
    (rank, first_ranks)
}

/// Adds the items of buses to the nodes, the shortest buses first.
fn buses(
    node_count: usize,
    edges: &[(Item, Item)],
    rank: &mut PerItem<usize>,
    source: &mut PerItem<Item>,
) -> Vec<(Item, Vec<Item>)> {
    let mut spans = PerItem(vec![0; node_count]);
    for (from, to) in edges {
        spans[*from] = spans[*from].max(rank[*to] - rank[*from]);
    }
    let mut long: Vec<(usize, Item)> = (0..node_count)
        .map(|node| (spans[Item(node)], Item(node)))
        .filter(|(span, _)| *span > 1)
        .collect();
    long.sort_unstable();
    let mut buses = Vec::new();
    let mut budget = 4 * node_count + 1_000;
    for (span, node) in long {
        let Some(left) = budget.checked_sub(span - 1) else { break };
        budget = left;
        let bus = (1..span).map(|distance| {
            source.push(node);
            rank.push(rank[node] + distance)
        });
        buses.push((node, bus.collect()));
    }
    buses
}
