//! Random graphs, and a model of what a backward pass over them must bring.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use textgrad_core::{
    Backward, BackwardCx, Feedback, Gradient, Gradients, Inputs, OpFailure, OpFn, Output, Seed,
    Variable, apply, op_fn,
};

/// A graph to be built: leaves, and ops over what there is before them.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    leaves: Vec<bool>,
    ops: Vec<OpSpec>,
}

#[derive(Debug, Clone)]
struct OpSpec {
    /// Places in the list of variables, modulo its length.
    inputs: Vec<usize>,
    /// Each output's own word on whether it requires a gradient.
    outputs: Vec<Option<bool>>,
    /// Bit `i`: whether it has something to say about input `i`.
    answers: u8,
}

/// When each op answers: so many yields, then so many milliseconds.
pub(crate) type Timing = Vec<(u8, u8)>;

fn op_spec() -> impl Strategy<Value = OpSpec> {
    let outputs = prop_oneof![6 => Just(None), 1 => Just(Some(true)), 1 => Just(Some(false))];
    (prop::collection::vec(0..64_usize, 0..5), prop::collection::vec(outputs, 1..4), any::<u8>())
        .prop_map(|(inputs, outputs, answers)| OpSpec {
            inputs,
            outputs,
            // Most answer: else passes would end before they begin.
            answers: answers | answers.rotate_left(3),
        })
}

pub(crate) fn spec() -> impl Strategy<Value = Spec> {
    (
        prop::collection::vec(prop::bool::weighted(0.7), 1..5),
        prop::collection::vec(op_spec(), 1..14),
    )
        .prop_map(|(leaves, ops)| Spec { leaves, ops })
}

pub(crate) fn timing() -> impl Strategy<Value = Timing> {
    prop::collection::vec((0..4_u8, 0..6_u8), 14)
}

/// The seed of every request, by op and input.
pub(crate) type Seeds = BTreeMap<(usize, usize), Option<Seed>>;

/// A built graph: all variables, in the order in which they were made, and which op made which.
pub(crate) struct Built {
    pub(crate) variables: Vec<Variable>,
    /// Per op: its inputs and outputs as places in `variables`.
    pub(crate) ops: Vec<(Vec<usize>, Vec<usize>)>,
    pub(crate) runs: Arc<Mutex<Vec<usize>>>,
    pub(crate) seeds: Arc<Mutex<Seeds>>,
}

fn digest(op: usize, input: usize, told: &[Vec<String>]) -> String {
    let mut hasher = DefaultHasher::new();
    told.hash(&mut hasher);
    format!("op {op}, input {input}, told {:016x}", hasher.finish())
}

fn text(gradient: &Gradient) -> String {
    gradient.feedback().map_or("objective", Feedback::text).to_owned()
}

async fn op(built: &Built, place: usize, spec: &OpSpec, when: (u8, u8)) -> OpFn {
    let (runs, seeds) = (Arc::clone(&built.runs), Arc::clone(&built.seeds));
    let (outputs, answers) = (spec.outputs.clone(), spec.answers);
    op_fn(format!("op {place}"), move |_: Inputs| {
        let outputs = outputs.clone();
        async move {
            let made = outputs.iter().enumerate().map(|(i, requires_grad)| {
                let output = Output::new(format!("{place}.{i}"), "value");
                requires_grad.map_or(output.clone(), |r| output.with_requires_grad(r))
            });
            Ok(made.collect())
        }
    })
    .with_backward(move |cx: BackwardCx| {
        let (runs, seeds) = (Arc::clone(&runs), Arc::clone(&seeds));
        async move {
            for _ in 0..when.0 {
                tokio::task::yield_now().await;
            }
            if when.1 > 0 {
                tokio::time::sleep(Duration::from_millis(u64::from(when.1))).await;
            }
            runs.lock().unwrap().push(place);
            let told: Vec<Vec<String>> = (0..cx.outputs().len())
                .map(|output| cx.gradients(output).iter().map(text).collect())
                .collect();
            let said = (0..cx.inputs().len()).map(|input| {
                seeds.lock().unwrap().insert((place, input), cx.seed(input));
                let answer = Feedback::new(digest(place, input, &told));
                (answers >> input & 1 == 1).then_some(Gradient::Feedback(answer))
            });
            Ok::<_, OpFailure>(said.collect())
        }
    })
}

impl Built {
    pub(crate) async fn new(spec: &Spec, timing: &Timing) -> Self {
        let leaves = spec.leaves.iter().enumerate().map(|(i, grad)| {
            let (text, role) = (format!("leaf {i}"), "leaf");
            if *grad {
                Variable::differentiable(text, role)
            } else {
                Variable::constant(text, role)
            }
        });
        let mut built = Self {
            variables: leaves.collect(),
            ops: Vec::new(),
            runs: Arc::default(),
            seeds: Arc::default(),
        };
        for (place, op_spec) in spec.ops.iter().enumerate() {
            let places: Vec<usize> =
                op_spec.inputs.iter().map(|input| input % built.variables.len()).collect();
            let inputs = places.iter().map(|place| ("argument", built.variables[*place].clone()));
            let inputs = Inputs::new(inputs);
            let op = op(&built, place, op_spec, timing[place]).await;
            let outputs = apply(Arc::new(op), inputs).await.unwrap();
            let first = built.variables.len();
            built.variables.extend(outputs);
            built.ops.push((places, (first..built.variables.len()).collect()));
        }
        built
    }

    pub(crate) fn root(&self) -> &Variable {
        &self.variables[self.ops.last().unwrap().1[0]]
    }

    /// A pass with respect to some variables.
    pub(crate) async fn backward_to(&self, wanted: &[usize]) -> Option<Found> {
        let wanted = wanted.iter().map(|place| &self.variables[*place]);
        let pass = Backward::new(self.root()).wrt(wanted).run().await;
        Some(self.found(&pass.ok()?))
    }

    pub(crate) async fn backward(&self) -> Option<Found> {
        let pass = Backward::new(self.root()).seed(Seed::new(5)).run().await;
        assert_eq!(pass.is_ok(), self.root().requires_grad());
        Some(self.found(&pass.ok()?))
    }

    fn found(&self, gradients: &Gradients) -> Found {
        let place: HashMap<&Variable, usize> =
            self.variables.iter().enumerate().map(|(i, variable)| (variable, i)).collect();
        gradients
            .variables()
            .map(|variable| {
                let received = gradients.received(variable).iter().map(|received| {
                    let op = received.consumer().map(|call| call.op().name().to_owned());
                    (op, received.argument(), text(received.gradient()))
                });
                let held: Vec<String> = gradients.get(variable).iter().map(text).collect();
                (place[variable], received.collect(), held)
            })
            .collect()
    }
}

/// Per variable, in order: its place, what reached it (from which op, for which argument), what holds.
pub(crate) type Found = Vec<(usize, Vec<(Option<String>, usize, String)>, Vec<String>)>;

/// What a pass must find, computed from the specification alone: op by op, backwards.
pub(crate) struct Model<'a> {
    spec: &'a Spec,
    ops: &'a [(Vec<usize>, Vec<usize>)],
    requires: Vec<bool>,
    /// Variables that a pass does not go on from.
    closed: Vec<bool>,
    /// Variables and ops in the order of the graph, as far as a gradient is wanted.
    order: Vec<usize>,
    op_order: Vec<usize>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(spec: &'a Spec, built: &'a Built) -> Self {
        let mut requires = spec.leaves.clone();
        for (op, (inputs, _)) in spec.ops.iter().zip(&built.ops) {
            let any = inputs.iter().any(|input| requires[*input]);
            requires.extend(op.outputs.iter().map(|own| own.unwrap_or(any)));
        }
        let closed = vec![false; requires.len()];
        Self::of(spec, built, requires, closed)
    }

    /// The model of a pass with respect to some variables: what leads to them is in it, and nothing else.
    pub(crate) fn to(spec: &'a Spec, built: &'a Built, wanted: &[usize]) -> Self {
        let mut leads: Vec<bool> =
            (0..spec.leaves.len()).map(|place| wanted.contains(&place)).collect();
        let mut closed = vec![false; leads.len()];
        for (op, (inputs, _)) in spec.ops.iter().zip(&built.ops) {
            let any = inputs.iter().any(|input| leads[*input]);
            for own in &op.outputs {
                closed.push(*own == Some(false));
                leads.push(wanted.contains(&leads.len()) || any && *own != Some(false));
            }
        }
        Self::of(spec, built, leads, closed)
    }

    fn of(spec: &'a Spec, built: &'a Built, requires: Vec<bool>, closed: Vec<bool>) -> Self {
        let (order, op_order) = Default::default();
        let mut model = Self { spec, ops: &built.ops, requires, closed, order, op_order };
        model.visit(built.ops.last().unwrap().1[0]);
        model
    }

    fn visit(&mut self, variable: usize) {
        if self.order.contains(&variable) || !self.requires[variable] {
            return;
        }
        let ops = self.ops;
        let maker = ops.iter().position(|(_, outputs)| outputs.contains(&variable));
        if let Some(maker) = maker
            && !self.closed[variable]
            && !self.op_order.contains(&maker)
        {
            for input in &ops[maker].0 {
                self.visit(*input);
            }
            self.op_order.push(maker);
        }
        self.order.push(variable);
    }

    /// Whether a variable is part of the pass.
    pub(crate) fn holds(&self, variable: usize) -> bool {
        self.order.contains(&variable)
    }

    /// What every variable gets, and which ops are asked.
    pub(crate) fn expected(&self) -> (Found, Vec<usize>) {
        let mut received = vec![Vec::new(); self.requires.len()];
        let root = self.ops.last().unwrap().1[0];
        received[root].push((None, 0, "objective".to_owned()));
        let mut asked = Vec::new();
        for op in self.op_order.iter().rev() {
            let (inputs, outputs) = &self.ops[*op];
            let told: Vec<Vec<String>> = outputs
                .iter()
                .map(|output| match self.closed[*output] {
                    true => Vec::new(),
                    false => received[*output].iter().map(|(_, _, text)| text.clone()).collect(),
                })
                .collect();
            let wanted = inputs.iter().any(|input| self.requires[*input]);
            if !wanted || told.iter().all(Vec::is_empty) {
                continue;
            }
            asked.push(*op);
            // What an op says goes before what ops behind it in the graph said.
            let said = inputs.iter().enumerate().filter(|(argument, input)| {
                self.requires[**input] && self.spec.ops[*op].answers >> argument & 1 == 1
            });
            for (argument, input) in said.collect::<Vec<_>>().into_iter().rev() {
                let entry = (Some(format!("op {op}")), argument, digest(*op, argument, &told));
                received[*input].insert(0, entry);
            }
        }
        asked.sort_unstable();
        let found = self.order.iter().filter(|variable| !received[**variable].is_empty());
        let found = found.map(|variable| {
            let received = received[*variable].clone();
            let held = received.iter().map(|(_, _, text)| text.clone()).collect();
            (*variable, received, held)
        });
        (found.collect(), asked)
    }
}
