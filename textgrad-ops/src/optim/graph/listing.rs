//! A graph as a small program: its calls, and the values that they name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use textgrad_core::{Call, Graph, Parameter, Variable, truncate};

use super::Target;
use crate::prompts::{GraphArgument, GraphCallContext, GraphValue};

/// The longest name of an op or an argument that is shown, in characters.
const NAME_CHARS: usize = 60;

/// What is shown of a graph.
pub(super) struct Listing {
    /// The calls in order, and where some are left out, how many.
    pub(super) calls: Vec<GraphCallContext>,
    pub(super) left_out: usize,
    /// What they name, without the parameters and the objective.
    pub(super) values: Vec<GraphValue>,
}

/// The calls that lie between the parameters and the objective, at most `max_calls` of them: those that are
/// nearest to a parameter or to the objective, of equally near ones the first. Linear in the size of the graph,
/// but for sorting.
pub(super) fn list(
    graph: &Graph,
    objective: &Variable,
    targets: &[Target],
    max_calls: usize,
    value_chars: usize,
) -> Listing {
    let between = distances(graph, objective, targets);
    let mut nearest: Vec<usize> = (0..between.len()).collect();
    nearest
        .sort_by_key(|position| between.get(*position).map(|(_, distance)| (*distance, *position)));
    let shown: HashSet<usize> = nearest.into_iter().take(max_calls).collect();

    let made: HashMap<(*const Call, usize), &Variable> = graph
        .variables()
        .filter_map(|variable| {
            let source = variable.source()?;
            Some(((Arc::as_ptr(source.call()), source.output()), variable))
        })
        .collect();
    let mut names = Names::new(objective, targets, value_chars);
    let mut calls: Vec<GraphCallContext> = Vec::new();
    for (position, (call, _)) in between.iter().enumerate() {
        if !shown.contains(&position) {
            match calls.last_mut() {
                Some(last) if last.left_out > 0 => last.left_out += 1,
                _ => calls.push(GraphCallContext {
                    outputs: Vec::new(),
                    op: String::new(),
                    inputs: Vec::new(),
                    left_out: 1,
                }),
            }
            continue;
        }
        let inputs = call.inputs().iter().map(|input| GraphArgument {
            argument: label(input.name()),
            name: names.of(input.variable()),
        });
        let inputs = inputs.collect();
        let outputs = (0..call.outputs().len()).map(|output| {
            let made = made.get(&(Arc::as_ptr(call), output));
            made.map_or_else(|| "_".to_owned(), |variable| names.of(variable))
        });
        let outputs = outputs.collect();
        calls.push(GraphCallContext { outputs, op: label(call.op().name()), inputs, left_out: 0 });
    }
    Listing { calls, left_out: between.len() - shown.len(), values: names.values }
}

/// The calls between the parameters and the objective in topological order, each with the number of calls to
/// the nearest of these.
fn distances<'a>(
    graph: &'a Graph,
    objective: &Variable,
    targets: &[Target],
) -> Vec<(&'a Arc<Call>, usize)> {
    let mut below: HashMap<&Variable, usize> = HashMap::new();
    let mut from_parameters: HashMap<*const Call, usize> = HashMap::new();
    below.extend(targets.iter().map(|target| (&target.leaf, 0)));
    // What was made is found by its call, since a call comes before what it made.
    let distance = |variable: &Variable, calls: &HashMap<*const Call, usize>| {
        let source = variable.source()?;
        calls.get(&Arc::as_ptr(source.call())).map(|distance| distance + 1)
    };
    for call in graph.calls() {
        let inputs = call.inputs().iter().map(|input| input.variable());
        let nearest = inputs
            .filter_map(|input| {
                below.get(input).copied().or_else(|| distance(input, &from_parameters))
            })
            .min();
        if let Some(nearest) = nearest {
            from_parameters.insert(Arc::as_ptr(call), nearest);
        }
    }
    let mut to_objective: HashMap<*const Call, usize> = HashMap::new();
    if let Some(source) = objective.source() {
        to_objective.insert(Arc::as_ptr(source.call()), 0);
    }
    let calls: Vec<&Arc<Call>> = graph.calls().collect();
    for call in calls.iter().rev() {
        let Some(own) = to_objective.get(&Arc::as_ptr(call)).copied() else { continue };
        for input in call.inputs() {
            if let Some(source) = input.variable().source() {
                let known = to_objective.entry(Arc::as_ptr(source.call())).or_insert(own + 1);
                *known = (*known).min(own + 1);
            }
        }
    }
    let between = calls.into_iter().filter_map(|call| {
        let address = Arc::as_ptr(call);
        let below = from_parameters.get(&address)?;
        Some((call, to_objective.get(&address).map_or(*below, |above| *above.min(below))))
    });
    between.collect()
}

/// The names of variables, given as they are needed.
struct Names {
    known: HashMap<Variable, String>,
    values: Vec<GraphValue>,
    value_chars: usize,
}

impl Names {
    fn new(objective: &Variable, targets: &[Target], value_chars: usize) -> Self {
        let mut known = HashMap::from([(objective.clone(), "objective".to_owned())]);
        known.extend(targets.iter().map(|target| (target.leaf.clone(), target.name.clone())));
        Self { known, values: Vec::new(), value_chars }
    }

    fn of(&mut self, variable: &Variable) -> String {
        if let Some(name) = self.known.get(variable) {
            return name.clone();
        }
        let name = format!("v{}", self.values.len() + 1);
        let (value, cut) = cut(&variable.value().describe(), self.value_chars);
        let role = variable.role().to_string();
        self.values.push(GraphValue { name: name.clone(), role, value, cut });
        self.known.insert(variable.clone(), name.clone());
        name
    }
}

/// A text of at most this many characters, and whether it was longer.
pub(super) fn cut(text: &str, max_chars: usize) -> (String, bool) {
    let shown = truncate(text, max_chars);
    let cut = shown != text;
    (shown, cut)
}

/// A name in one line.
fn label(name: &str) -> String {
    let line: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    truncate(line.trim(), NAME_CHARS)
}

/// The longest name that is made of a role, without a number behind it, in characters.
const LONGEST: usize = 40;

/// A name for each parameter, made of its role: letters, digits and underscores; a number behind it where
/// several have the same. No name is `objective`, `_`, or a `v` with a number, which others have.
pub(super) fn names(parameters: &[&Parameter]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for parameter in parameters {
        let plain = plain(parameter.role());
        let taken = |name: &String| names.contains(name);
        let name = if taken(&plain) {
            let numbered = (2..).map(|number: usize| format!("{plain}_{number}"));
            // There are more numbers than names.
            numbered.take(names.len() + 1).find(|name| !taken(name)).unwrap_or_default()
        } else {
            plain
        };
        names.push(name);
    }
    names
}

fn plain(role: &str) -> String {
    let mut name = String::new();
    for c in role.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('_') {
            name.push('_');
        }
    }
    let cut = truncate(&name, LONGEST + 1);
    let name = cut.trim_end_matches(['…', '_']);
    let number = name.strip_prefix('v').unwrap_or("?");
    let reserved = name == "objective" || number.chars().all(|c| c.is_ascii_digit());
    match name {
        "" => "parameter".to_owned(),
        name if reserved => format!("parameter_{name}"),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(roles: &[&str]) -> Vec<String> {
        let parameters: Vec<Parameter> =
            roles.iter().map(|role| Parameter::new("", *role)).collect();
        names(&parameters.iter().collect::<Vec<_>>())
    }

    #[test]
    fn names_are_made_of_roles_and_unique() {
        assert_eq!(named(&["System prompt, of a writer!"]), ["system_prompt_of_a_writer"]);
        assert_eq!(named(&["a", "a 2", "a", "a"]), ["a", "a_2", "a_3", "a_4"]);
        assert_eq!(
            named(&["", "!?", "v1", "v", "objective", "Fazit für später", "問い"]),
            [
                "parameter",
                "parameter_2",
                "parameter_v1",
                "parameter_v",
                "parameter_objective",
                "fazit_für_später",
                "問い"
            ]
        );
        let long = named(&[&"word ".repeat(100)]).remove(0);
        assert_eq!((long.len(), long.as_str()), (39, "word_word_word_word_word_word_word_word"));
        assert_eq!(named(&["x\n\"</PROGRAM>{{y}}"]), ["x_program_y"]);
    }
}
