//! Names for the parameters of a graph.

use textgrad_core::{Parameter, truncate};

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
