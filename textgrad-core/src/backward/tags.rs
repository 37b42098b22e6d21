//! Tags: the reductions that gradients passed through, and the merging of what they share at a variable.
//!
//! The pass keeps tags, not the gradient: an op cannot lose a tag by returning a new gradient. A gradient carries the
//! index of one node of the graph. From there the tags are a graph of their own, from the innermost outwards, so that
//! a gradient that passed through many reductions holds no list of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use crate::gradient::{Context, Feedback, Gradient, Reduce};

/// The tags of a pass, by the indices of their nodes. The index of a call is its rank: the smaller, the further
/// inside.
#[derive(Default)]
pub(super) struct Tags(HashMap<usize, TagNode>);

struct TagNode {
    /// None where tags of several gradients meet without a reduction.
    reduce: Option<Arc<dyn Reduce>>,
    /// The next tags; all have higher indices.
    outer: Vec<usize>,
}

impl Tags {
    /// The tag of what leaves a node, by the tags of what arrived there and the reduction that the node asks for.
    pub(super) fn through(
        &mut self,
        node: usize,
        arrived: impl Iterator<Item = Option<usize>>,
        reduce: Option<Arc<dyn Reduce>>,
    ) -> Option<usize> {
        let mut outer: Vec<usize> = arrived.flatten().collect();
        outer.sort_unstable();
        outer.dedup();
        match (outer.as_slice(), &reduce) {
            ([], None) => None,
            ([only], None) => Some(*only),
            _ => {
                self.0.insert(node, TagNode { reduce, outer });
                Some(node)
            }
        }
    }
}

/// Feedback to be merged at a variable.
pub(super) struct Group {
    pub(super) rank: usize,
    pub(super) reduce: Arc<dyn Reduce>,
    pub(super) feedback: Vec<Feedback>,
    bundles: Vec<usize>,
    /// Whether the next tags are still to be looked up.
    is_fresh: bool,
}

/// The gradients at a variable while they are merged.
#[derive(Default)]
pub(super) struct Items {
    /// In the order of the graph. One that was merged is in the place of the first.
    bundles: Vec<Bundle>,
    /// The tags that are to be looked at next: rank, bundle, and whether it was there before.
    queue: BinaryHeap<Reverse<(usize, usize, bool)>>,
    /// How many items have feedback.
    open: usize,
}

/// Gradients with the same tags: one that arrived, or the results of a merge.
struct Bundle {
    gradients: Vec<Gradient>,
    /// The bundle that it was merged into; itself if it was not.
    into: usize,
    /// Reductions that no other bundle shared. They come back if a merge has several results.
    alone: Vec<usize>,
}

impl Items {
    /// The gradients that arrived, each with its tag.
    pub(super) fn new(arrived: impl Iterator<Item = (Gradient, Option<usize>)>) -> Self {
        let mut items = Self::default();
        for (into, (gradient, tag)) in arrived.enumerate() {
            if gradient.feedback().is_some() {
                items.open += 1;
                items.queue.extend(tag.map(|tag| Reverse((tag, into, false))));
            }
            items.bundles.push(Bundle { gradients: vec![gradient], into, alone: Vec::new() });
        }
        items
    }

    pub(super) fn gradients(&self) -> impl Iterator<Item = &Gradient> {
        self.bundles.iter().flat_map(|bundle| &bundle.gradients)
    }

    pub(super) fn into_gradients(self) -> impl Iterator<Item = Gradient> {
        self.bundles.into_iter().flat_map(|bundle| bundle.gradients)
    }

    /// The bundle that one is part of now.
    fn current(&mut self, mut index: usize) -> usize {
        while let Some(into) = self.bundles.get(index).map(|bundle| bundle.into)
            && into != index
        {
            let next = self.bundles.get(into).map_or(into, |bundle| bundle.into);
            if let Some(bundle) = self.bundles.get_mut(index) {
                bundle.into = next;
            }
            index = next;
        }
        index
    }

    /// The next group of feedback to merge: that of the innermost reduction which two or more share.
    pub(super) fn next_group(&mut self, tags: &Tags) -> Option<Group> {
        while self.open > 1 {
            let Reverse((rank, ..)) = *self.queue.peek()?;
            let (mut bundles, mut is_fresh) = (Vec::new(), false);
            while let Some(Reverse((other, bundle, is_known))) = self.queue.peek().copied()
                && other == rank
            {
                self.queue.pop();
                bundles.push(self.current(bundle));
                is_fresh |= !is_known;
            }
            bundles.sort_unstable();
            bundles.dedup();
            // A merge may have had no results.
            let is_empty = |index: &usize| {
                self.bundles.get(*index).is_none_or(|bundle| bundle.gradients.is_empty())
            };
            bundles.retain(|index| !is_empty(index));
            let tag = tags.0.get(&rank);
            let found = bundles.iter().filter_map(|index| self.bundles.get(*index));
            let feedback = found.flat_map(|bundle| &bundle.gradients);
            let feedback: Vec<Feedback> =
                feedback.filter_map(Gradient::feedback).cloned().collect();
            let reduce = tag.and_then(|tag| tag.reduce.as_ref());
            if let Some(reduce) = reduce.filter(|_| feedback.len() > 1) {
                let reduce = Arc::clone(reduce);
                return Some(Group { rank, reduce, feedback, bundles, is_fresh });
            }
            for bundle in bundles {
                if reduce.is_some()
                    && let Some(bundle) = self.bundles.get_mut(bundle)
                {
                    bundle.alone.push(rank);
                }
                let outer = tag.filter(|_| is_fresh).map_or(&[][..], |tag| &tag.outer);
                self.queue.extend(outer.iter().map(|rank| Reverse((*rank, bundle, false))));
            }
        }
        None
    }

    /// Replaces feedback by the results of its merge. Returns whether there was any.
    pub(super) fn merged(&mut self, tags: &Tags, group: &Group, mut merged: Vec<Feedback>) -> bool {
        keep_contexts(group, &mut merged);
        let Some(first) = group.bundles.first().copied() else { return false };
        let mut alone: Vec<usize> = Vec::new();
        for index in &group.bundles {
            if let Some(bundle) = self.bundles.get_mut(*index) {
                self.open = self.open.saturating_sub(bundle.gradients.len());
                bundle.gradients.clear();
                bundle.into = first;
                let mut other = std::mem::take(&mut bundle.alone);
                if other.len() > alone.len() {
                    std::mem::swap(&mut other, &mut alone);
                }
                alone.append(&mut other);
            }
        }
        self.open += merged.len();
        if let Some(tag) = tags.0.get(&group.rank).filter(|_| group.is_fresh) {
            self.queue.extend(tag.outer.iter().map(|rank| Reverse((*rank, first, false))));
        }
        if merged.len() > 1 {
            self.queue.extend(alone.drain(..).map(|rank| Reverse((rank, first, true))));
        }
        let Some(bundle) = self.bundles.get_mut(first) else { return false };
        bundle.gradients = merged.into_iter().map(Gradient::from).collect();
        bundle.alone = alone;
        true
    }
}

/// What was merged is still about the same uses of the variable: contexts that the merge let go of belong to
/// the first that it made.
fn keep_contexts(group: &Group, merged: &mut [Feedback]) {
    let kept: HashSet<*const Context> =
        merged.iter().flat_map(Feedback::contexts).map(Arc::as_ptr).collect();
    let contexts = group.feedback.iter().flat_map(Feedback::contexts);
    let lost: Vec<Arc<Context>> =
        contexts.filter(|context| !kept.contains(&Arc::as_ptr(context))).cloned().collect();
    if let Some(first) = merged.first_mut() {
        *first = first.clone().with_contexts(lost);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::gradient::KeepAll;

    struct Random(u64);

    impl Random {
        fn below(&mut self, bound: usize) -> usize {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
            (self.0 >> 33) as usize % bound
        }
    }

    /// The results of a merge: none, one or several.
    fn results(rank: usize, texts: &[String]) -> Vec<String> {
        let count = (rank * 7 + texts.concat().len()) % 4;
        (0..count).map(|i| format!("{rank}.{i}({})", texts.join(" "))).collect()
    }

    /// Each gradient with a list of all its tags.
    fn merged_by_lists(mut items: Vec<(String, BTreeSet<usize>)>) -> Vec<String> {
        loop {
            let shared = (0..100)
                .find(|rank| items.iter().filter(|(_, tags)| tags.contains(rank)).count() > 1);
            let Some(rank) = shared else { break };
            let at = items.iter().position(|(_, tags)| tags.contains(&rank)).unwrap();
            let (group, rest): (Vec<_>, Vec<_>) =
                items.into_iter().partition(|(_, tags)| tags.contains(&rank));
            let mut tags: BTreeSet<usize> =
                group.iter().flat_map(|(_, tags)| tags).copied().collect();
            tags.remove(&rank);
            let texts: Vec<String> = group.into_iter().map(|(text, _)| text).collect();
            let made = results(rank, &texts).into_iter().map(|text| (text, tags.clone()));
            items = rest;
            items.splice(at..at, made);
        }
        items.into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn the_merges_are_those_of_a_search_through_lists_of_all_tags() {
        let mut random = Random(1);
        for _ in 0..3000 {
            let mut tags = Tags::default();
            // From the outermost inwards; a node may have no tag at all.
            let nodes = 1 + random.below(12);
            let mut heads = vec![None; nodes];
            let mut sets = vec![BTreeSet::new(); nodes];
            for node in (0..nodes).rev() {
                let mut arrived = Vec::new();
                for _ in 0..random.below(3) {
                    let from = node + 1 + random.below(nodes);
                    if let Some(head) = heads.get(from) {
                        arrived.push(*head);
                        let outer: BTreeSet<usize> = sets[from].clone();
                        sets[node].extend(outer);
                    }
                }
                let reduce = (random.below(3) > 0).then(|| Arc::new(KeepAll) as Arc<dyn Reduce>);
                if reduce.is_some() {
                    sets[node].insert(node);
                }
                heads[node] = tags.through(node, arrived.into_iter(), reduce);
            }
            let items: Vec<(String, usize)> =
                (0..random.below(6)).map(|i| (format!("t{i}"), random.below(nodes))).collect();
            let arrived = items
                .iter()
                .map(|(text, node)| (Gradient::from(Feedback::new(text.as_str())), heads[*node]));
            let mut merging = Items::new(arrived);
            while let Some(group) = merging.next_group(&tags) {
                let texts: Vec<String> =
                    group.feedback.iter().map(|feedback| feedback.text().to_owned()).collect();
                assert!(texts.len() > 1);
                let made = results(group.rank, &texts).into_iter().map(Feedback::new).collect();
                assert!(merging.merged(&tags, &group, made));
            }
            let found: Vec<String> =
                merging.into_gradients().map(|item| item.to_string()).collect();
            let expected =
                items.into_iter().map(|(text, node)| (text, sets[node].clone())).collect();
            assert_eq!(found, merged_by_lists(expected));
        }
    }
}
