//! Properties of all graphs: random graphs in random order against plain models.

use std::collections::{HashMap, HashSet};

use crate::support::dag::{Built, Model, spec, timing};
use crate::support::run;
use petgraph::visit::EdgeRef;
use proptest::prelude::*;
use textgrad_core::{Graph, GraphEdge, GraphNode, Variable};

fn config() -> ProptestConfig {
    ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_pass_finds_what_the_model_says_in_any_order_of_completion(
        spec in spec(),
        timings in prop::collection::vec(timing(), 3),
    ) {
        let mut seeds = Vec::new();
        for timing in &timings {
            let built = run(Built::new(&spec, timing));
            let found = run(built.backward());
            let mut asked = built.runs.lock().unwrap().clone();
            asked.sort_unstable();
            if found.is_none() {
                prop_assert!(asked.is_empty());
                return Ok(());
            }
            let (expected, expected_asked) = Model::new(&spec, &built).expected();
            prop_assert_eq!(found.unwrap(), expected);
            prop_assert_eq!(asked, expected_asked, "each op is asked at most once");
            seeds.push(built.seeds.lock().unwrap().clone());
        }
        for other in &seeds[1..] {
            prop_assert_eq!(other, &seeds[0]);
        }
        let distinct: HashSet<_> = seeds[0].values().collect();
        prop_assert_eq!(distinct.len(), seeds[0].len(), "every request has a seed of its own");
    }

    #[test]
    fn a_pass_to_named_variables_asks_each_edge_that_leads_to_them_once_and_no_other(
        spec in spec(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let built = run(Built::new(&spec, &vec![(0, 0); 14]));
        let wanted: Vec<usize> = picks.iter().map(|pick| pick.index(built.variables.len())).collect();
        let found = run(built.backward_to(&wanted));
        let mut asked = built.runs.lock().unwrap().clone();
        asked.sort_unstable();
        let model = Model::to(&spec, &built, &wanted);
        let (expected, expected_asked) = model.expected();
        prop_assert_eq!(found.is_some(), wanted.iter().any(|place| model.holds(*place)));
        if let Some(found) = found {
            prop_assert_eq!(found, expected);
        }
        prop_assert_eq!(asked, expected_asked);
    }

    #[test]
    fn a_graph_measures_what_the_definition_says(
        spec in spec(),
        costs in prop::collection::vec(0..9_u8, 14),
    ) {
        let built = run(Built::new(&spec, &vec![(0, 0); 14]));
        let graph = Graph::trace(built.root());
        let naive = Naive::new(&built, &costs);
        let reachable = naive.reachable(built.root());

        // The graph holds what the root was made of and nothing else; what comes first is not made of what
        // comes later.
        let variables: HashSet<&Variable> = graph.variables().collect();
        prop_assert_eq!(variables.len(), graph.variables().count());
        prop_assert_eq!(&variables, &reachable.iter().collect());
        for edge in graph.as_petgraph().edge_references() {
            prop_assert!(edge.source() < edge.target());
        }

        // One edge per argument, named and numbered; one per output.
        let calls: Vec<_> = graph.calls().collect();
        let arguments: usize = calls.iter().map(|call| call.inputs().len()).sum();
        let is_argument = |edge: &GraphEdge| matches!(edge, GraphEdge::Argument { .. });
        let edges = graph.as_petgraph().edge_weights();
        prop_assert_eq!(edges.filter(|edge| is_argument(edge)).count(), arguments);
        for variable in graph.variables() {
            let naive_consumers: usize = calls
                .iter()
                .map(|call| call.inputs().iter().filter(|i| i.variable() == variable).count())
                .sum();
            prop_assert_eq!(graph.consumers(variable).count(), naive_consumers);
        }

        prop_assert_eq!(graph.depth(), naive.depth(built.root()));
        prop_assert_eq!(graph.width(), naive.width(&calls.iter().map(|c| c.op().name()).collect::<Vec<_>>()));

        let path = graph.critical_path(|call| naive.costs[call.op().name()]);
        prop_assert_eq!(path.cost, naive.cost(built.root()));
        check_path(&graph, &path.nodes, built.root(), |node| match node {
            GraphNode::Call(call) => naive.costs[call.op().name()],
            GraphNode::Variable(_) => 0.0,
        }, path.cost)?;
    }
}

/// The path runs from a leaf, or a call without inputs, along edges to the root, and costs what it says.
fn check_path(
    graph: &Graph,
    nodes: &[GraphNode],
    root: &Variable,
    cost: impl Fn(&GraphNode) -> f64,
    total: f64,
) -> Result<(), TestCaseError> {
    let sum: f64 = nodes.iter().map(cost).sum();
    prop_assert_eq!(sum, total);
    prop_assert!(matches!(nodes.last(), Some(GraphNode::Variable(last)) if last == root));
    match nodes.first() {
        Some(GraphNode::Variable(leaf)) => prop_assert!(leaf.source().is_none()),
        Some(GraphNode::Call(call)) => prop_assert!(call.inputs().is_empty()),
        None => prop_assert!(false, "an empty path"),
    }
    for pair in nodes.windows(2) {
        match (&pair[0], &pair[1]) {
            (GraphNode::Variable(variable), GraphNode::Call(call)) => {
                let mut consumers = graph.consumers(variable);
                prop_assert!(consumers.any(|(consumer, _)| std::sync::Arc::ptr_eq(consumer, call)));
            }
            (GraphNode::Call(call), GraphNode::Variable(variable)) => {
                let source = variable.source().unwrap();
                prop_assert!(std::sync::Arc::ptr_eq(source.call(), call));
            }
            other => prop_assert!(false, "two of a kind in a row: {:?}", other),
        }
    }
    Ok(())
}

/// The definitions, by recursion.
struct Naive<'a> {
    built: &'a Built,
    costs: HashMap<String, f64>,
}

impl<'a> Naive<'a> {
    fn new(built: &'a Built, costs: &[u8]) -> Self {
        let costs = costs.iter().enumerate();
        let costs = costs.map(|(op, cost)| (format!("op {op}"), f64::from(*cost))).collect();
        Self { built, costs }
    }

    fn inputs(&self, variable: &Variable) -> Option<(usize, Vec<&'a Variable>)> {
        let place = self.built.variables.iter().position(|known| known == variable)?;
        let op = self.built.ops.iter().position(|(_, outputs)| outputs.contains(&place))?;
        let inputs = self.built.ops[op].0.iter().map(|input| &self.built.variables[*input]);
        Some((op, inputs.collect()))
    }

    fn reachable(&self, root: &Variable) -> HashSet<Variable> {
        let (mut seen, mut open) = (HashSet::new(), vec![root.clone()]);
        while let Some(variable) = open.pop() {
            if seen.insert(variable.clone())
                && let Some((_, inputs)) = self.inputs(&variable)
            {
                open.extend(inputs.into_iter().cloned());
            }
        }
        seen
    }

    fn fold(&self, root: &Variable, own: &impl Fn(usize) -> f64) -> f64 {
        let mut best: Vec<f64> = Vec::new();
        for variable in &self.built.variables {
            let value = self.inputs(variable).map_or(0.0, |(op, inputs)| {
                let place = |input: &Variable| {
                    self.built.variables.iter().position(|known| known == input).unwrap()
                };
                own(op) + inputs.into_iter().map(|i| best[place(i)]).fold(0.0, f64::max)
            });
            best.push(value);
        }
        best[self.built.variables.iter().position(|known| known == root).unwrap()]
    }

    fn depth(&self, root: &Variable) -> usize {
        self.fold(root, &|_| 1.0) as usize
    }

    fn cost(&self, root: &Variable) -> f64 {
        self.fold(root, &|op| self.costs[&format!("op {op}")])
    }

    /// The largest number of these ops that have one depth.
    fn width(&self, names: &[&str]) -> usize {
        let mut levels: HashMap<usize, usize> = HashMap::new();
        for (op, (_, outputs)) in self.built.ops.iter().enumerate() {
            if names.contains(&format!("op {op}").as_str()) {
                let depth = self.depth(&self.built.variables[outputs[0]]);
                *levels.entry(depth).or_default() += 1;
            }
        }
        levels.into_values().max().unwrap_or(0)
    }
}
