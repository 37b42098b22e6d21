//! Edges that pass through the rows between a node and its uses.

/// All that takes up space in rows: the nodes and, behind them, the places where something passes.
///
/// What a node gives to later rows passes once through each row between, however many use it: a *bus*. There
/// is a bound on all of them together, since a text that every step of a long chain uses would pass through
/// every row; beyond it, the longest have none and are drawn straight.
#[derive(Debug)]
pub(super) struct Items {
    rows: Vec<usize>,
    row_count: usize,
    /// Between items of neighbouring rows, upper first.
    up: Vec<Vec<usize>>,
    down: Vec<Vec<usize>>,
    /// The source, the first item, how many.
    buses: Vec<(usize, usize, usize)>,
    sources: Vec<usize>,
}

impl Items {
    pub(super) fn new(row: &[usize], edges: &[(usize, usize)]) -> Self {
        let count = row.len();
        let row_of = |node: usize| row.get(node).copied().unwrap_or_default();
        let mut spans = vec![0_usize; count];
        for (from, to) in edges {
            if let Some(span) = spans.get_mut(*from) {
                *span = (*span).max(row_of(*to).saturating_sub(row_of(*from)));
            }
        }
        let mut long: Vec<(usize, usize)> =
            spans.into_iter().enumerate().filter(|(_, span)| *span > 1).collect();
        long.sort_by_key(|(node, span)| (*span, *node));
        let mut budget = 4 * count + 1_000;
        let mut first_of = vec![None; count];
        let mut items = Self {
            rows: row.to_vec(),
            row_count: row.iter().max().map_or(0, |last| last + 1),
            up: Vec::new(),
            down: Vec::new(),
            buses: Vec::new(),
            sources: (0..count).collect(),
        };
        for (node, span) in long {
            let length = span - 1;
            if length > budget {
                break;
            }
            budget -= length;
            let first = items.rows.len();
            items.buses.push((node, first, length));
            if let Some(place) = first_of.get_mut(node) {
                *place = Some(first);
            }
            items.rows.extend((1..=length).map(|below| row_of(node) + below));
            items.sources.extend(std::iter::repeat_n(node, length));
        }
        items.up = vec![Vec::new(); items.rows.len()];
        items.down = vec![Vec::new(); items.rows.len()];
        for (node, first, length) in items.buses.clone() {
            let mut above = node;
            for item in first..first + length {
                items.connect(above, item);
                above = item;
            }
        }
        for (from, to) in edges {
            let span = row_of(*to).saturating_sub(row_of(*from));
            match first_of.get(*from).copied().flatten() {
                _ if span == 1 => items.connect(*from, *to),
                Some(first) if span > 1 => items.connect(first + span - 2, *to),
                _ => {}
            }
        }
        items
    }

    fn connect(&mut self, upper: usize, lower: usize) {
        if let (Some(down), Some(up)) = (self.down.get_mut(upper), self.up.get_mut(lower)) {
            down.push(lower);
            up.push(upper);
        }
    }

    pub(super) fn count(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row_count(&self) -> usize {
        self.row_count
    }

    pub(super) fn row(&self, item: usize) -> usize {
        self.rows.get(item).copied().unwrap_or_default()
    }

    /// The node that an item is, or is a bus of.
    pub(super) fn source(&self, item: usize) -> usize {
        self.sources.get(item).copied().unwrap_or_default()
    }

    /// What an item is connected to in the row above.
    pub(super) fn up(&self, item: usize) -> &[usize] {
        self.up.get(item).map_or(&[], Vec::as_slice)
    }

    /// What an item is connected to in the row below.
    pub(super) fn down(&self, item: usize) -> &[usize] {
        self.down.get(item).map_or(&[], Vec::as_slice)
    }

    /// Whether an item is a node, and not a place where something passes.
    pub(super) fn is_node(&self, item: usize) -> bool {
        self.source(item) == item
    }

    /// Each node that has a bus, with the bus's items from above.
    pub(super) fn buses(&self) -> impl Iterator<Item = (usize, std::ops::Range<usize>)> {
        self.buses.iter().map(|(node, first, length)| (*node, *first..*first + *length))
    }
}
