//! Requests of such a framework: constants with gaps, filled in and joined.

pub(crate) const SAMPLE_SYSTEM: &str = "You answer the questions of people, usefully and honestly.";

pub(crate) const FEEDBACK_SYSTEM: &str = concat!(
    "You comment on texts inside of a machine that betters them. Tags tell the parts apart: ",
    "<CONVERSATION> with <LM_SYSTEM_PROMPT>, <LM_INPUT> and <LM_OUTPUT> is what happened, ",
    "<OBJECTIVE_FUNCTION> is what is aimed at, <ROLE> is what a text serves as, ",
    "<VARIABLE> is the text to comment on.\n\n",
    "Comments only: the better text is written by somebody else.",
);

pub(crate) const UPDATE_SYSTEM: &str = concat!(
    "You better texts inside of a machine. Tags tell the parts apart: <ROLE>, <VARIABLE>, ",
    "<CONTEXT> with <CONVERSATION> and <FEEDBACK>, <CONSTRAINTS>, <EXAMPLES>.\n\n",
    "Send <IMPROVED_VARIABLE> (the better text) </IMPROVED_VARIABLE>, ",
    "and nothing within these two but the text.",
);

pub(crate) fn contrastive_system(query: &str, rejected: &str) -> String {
    String::from(
        "Two answers to a request were judged, and one lost. The one that won is sent to you next. \
         Say point by point where the winner is stronger and where it is not.\n\n",
    ) + "<QUERY> "
        + query
        + " </QUERY>\n\n<REJECTED_RESPONSE> "
        + rejected
        + " </REJECTED_RESPONSE>\n\nLeave the request itself unanswered."
}

pub(crate) fn evaluation_system(query: &str) -> String {
    String::from(
        "An answer to a request is sent to you next. \
         Say point by point what is strong in it and what is weak.\n\n",
    ) + "<QUERY> "
        + query
        + " </QUERY>\n\nLeave the request itself unanswered."
}

/// A call of a model. Without a system prompt, such a framework prints the word for nothing of its language.
pub(crate) fn conversation(system: Option<&str>, prompt: &str, response: &str) -> String {
    let system = system.unwrap_or("None");
    format!("<LM_SYSTEM_PROMPT> {system} </LM_SYSTEM_PROMPT>\n\n")
        + &format!("<LM_INPUT> {prompt} </LM_INPUT>\n\n")
        + &format!("<LM_OUTPUT> {response} </LM_OUTPUT>\n\n")
}

/// A call of a function; inputs as title, role and short text.
pub(crate) fn function(purpose: &str, inputs: &[(&str, &str, &str)], output: &str) -> String {
    let inputs: Vec<String> = inputs
        .iter()
        .map(|(title, role, text)| format!("**{title}(role: {role})**: {}", short(text)))
        .collect();
    let inputs = inputs.join("\n\n");
    format!("Function purpose: {purpose}\n\n")
        + &format!("<INPUTS_TO_FUNCTION> {inputs} </INPUTS_TO_FUNCTION>\n\n")
        + &format!("<OUTPUT_OF_FUNCTION> {output} </OUTPUT_OF_FUNCTION>\n\n")
}

/// Twenty words at most: else the first ten and the last ten.
pub(crate) fn short(text: &str) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    if words.len() <= 20 {
        return text.to_owned();
    }
    words[..10].join(" ") + " (...) " + &words[words.len() - 10..].join(" ")
}

fn start(role: &str, call: &str) -> String {
    format!("Comments are wanted on a text that serves as <ROLE> {role} </ROLE>. ")
        + "It was part of this:\n\n"
        + &format!("<CONVERSATION> {call} </CONVERSATION>\n\n")
}

fn evaluate(role: &str, value: &str) -> String {
    format!("The text, which serves as <ROLE> {role} </ROLE>, begins and ends like this:\n\n")
        + &format!("<VARIABLE> {} </VARIABLE>\n\n", short(value))
        + "Say what about it keeps the aim from being met.\n\n"
}

/// Examples of good feedback, put before the last part of a request for feedback.
pub(crate) fn with_examples(request: &str, role: &str, value: &str, examples: &[&str]) -> String {
    let last = evaluate(role, value);
    let shown = format!("<EXAMPLES>{}</EXAMPLES>", examples.join("\n"));
    request.strip_suffix(&last).unwrap().to_owned()
        + &format!("Comment as it was done here:\n\n{shown}\n\n")
        + &last
}

/// The request for feedback where the output is the objective.
pub(crate) fn feedback_base(role: &str, value: &str, call: &str) -> String {
    start(role, call)
        + "<OBJECTIVE_FUNCTION> The output above is the verdict on the text. Aim at a better verdict. \
           </OBJECTIVE_FUNCTION>\n\n"
        + &evaluate(role, value)
}

/// The same where something was said about the output.
pub(crate) fn feedback_chain(
    role: &str,
    value: &str,
    call: &str,
    output_role: &str,
    said: &str,
) -> String {
    start(role, call)
        + &format!("The output above went on as {output_role}.\n\n")
        + &format!("<OBJECTIVE_FUNCTION> The output got these comments: {said}. ")
        + "Aim at an output that meets them. </OBJECTIVE_FUNCTION>\n\n"
        + &evaluate(role, value)
}

/// One feedback with the call that it came out of.
pub(crate) fn gradient(role: &str, call: &str, output_role: &str, feedback: &str) -> String {
    format!("This happened:\n\n<CONVERSATION> {call} </CONVERSATION>\n\n")
        + &format!("Its output went on as {output_role}.\n\n")
        + &format!("The comments on {role}:\n\n<FEEDBACK> {feedback} </FEEDBACK>\n\n")
}

/// The request for a new text.
pub(crate) fn update(
    role: &str,
    value: &str,
    gradients: &[String],
    constraints: &[&str],
    examples: &[&str],
) -> String {
    let mut text = format!("A text that serves as <ROLE> {role} </ROLE> is to be bettered. ")
        + "It begins and ends like this:\n\n"
        + &format!("<VARIABLE> {} </VARIABLE>\n\n", short(value))
        + "What happened, and the comments:\n\n"
        + &format!("<CONTEXT>{}</CONTEXT>\n\n", gradients.join("\n"))
        + "Better the text by the comments.\n";
    if !constraints.is_empty() {
        let lines: Vec<String> = constraints
            .iter()
            .enumerate()
            .map(|(i, constraint)| format!("Constraint {}: {constraint}", i + 1))
            .collect();
        let lines = lines.join("\n");
        text += &format!("It must hold to this:\n\n<CONSTRAINTS>{lines}</CONSTRAINTS>\n\n");
    }
    if !examples.is_empty() {
        let examples = examples.join("\n");
        text += &format!("Good texts look like this:\n\n<EXAMPLES>{examples}</EXAMPLES>\n\n");
    }
    text + &format!("Send the better text of <ROLE> {role} </ROLE> ")
        + "between <IMPROVED_VARIABLE> and </IMPROVED_VARIABLE>."
}

/// The request for a new text by an optimizer with momentum: what the text was, with what it is, is between
/// the comments and the rules.
pub(crate) fn update_with_momentum(role: &str, values: &[&str], gradients: &[String]) -> String {
    let steps = values.iter().enumerate();
    let steps: Vec<String> =
        steps.map(|(i, value)| format!("\n{role} at Step {}: {value}.\n", i + 1)).collect();
    let past = String::from("The text has been these so far:\n\n")
        + &format!("<PAST_ITERATIONS>{}</PAST_ITERATIONS>\n\n", steps.concat())
        + "If the comments stay the same, change more.\n\n";
    with_past(update(role, values[values.len() - 1], gradients, &[], &[]), &past)
}

/// The same by one with gradient memory: the comments of earlier steps.
pub(crate) fn update_with_memory(
    role: &str,
    value: &str,
    gradients: &[String],
    memory: &[&str],
) -> String {
    let comments = memory.iter().enumerate();
    let comments: Vec<String> = comments
        .map(|(i, value)| format!("\n<FEEDBACK-{0}> {value}</FEEDBACK-{0}>\n", i + 1))
        .collect();
    let past = String::from("Comments of before:\n\n")
        + &format!("<PAST_FEEDBACK>{}</PAST_FEEDBACK>\n\n", comments.concat());
    with_past(update(role, value, gradients, &[], &[]), &past)
}

/// The same by one with a history of responses.
pub(crate) fn update_with_responses(
    role: &str,
    value: &str,
    gradients: &[String],
    responses: &[&str],
) -> String {
    let steps = responses.iter().enumerate();
    let steps: Vec<String> =
        steps.map(|(i, response)| format!("\nStep {}: {response}", i + 1)).collect();
    let past = String::from("Outputs of before:\n\n")
        + &format!("<PAST_RESPONSES>{}</PAST_RESPONSES>\n\n", steps.concat());
    with_past(update(role, value, gradients, &[], &[]), &past)
}

fn with_past(update: String, past: &str) -> String {
    let place = "Better the text by the comments.\n";
    update.replacen(place, &(place.to_owned() + past), 1)
}
