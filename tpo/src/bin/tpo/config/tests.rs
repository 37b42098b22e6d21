//! Consistency of settings, flags and documentation.

use clap::CommandFactory;

use super::options::{GROUPS, OptionSpec, TABLE, Table, document};
use crate::args::Args;

/// The generated tables of docs/configuration.md. With `UPDATE_DOCS=1` in the environment they are written.
#[test]
fn the_document_has_the_generated_tables() {
    const MARKS: [&str; 2] = ["<!-- settings -->\n", "\n<!-- end of settings -->"];
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).unwrap();
    let (tables, after) = rest.split_once(MARKS[1]).unwrap();
    let expected = document();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let text = format!("{before}{}{expected}{}{after}", MARKS[0], MARKS[1]);
        std::fs::write(path, text).unwrap();
        return;
    }
    assert_eq!(tables, expected, "run with UPDATE_DOCS=1 to write docs/configuration.md");
}

#[test]
fn names_are_unique_and_defaults_are_accepted() {
    toml::from_str::<Table>(TABLE).unwrap();
    assert_ne!(OptionSpec::all().count(), 0);
    let mut names: Vec<&str> = OptionSpec::all().map(|option| option.name.as_str()).collect();
    names.extend(GROUPS.iter().map(|group| group.table.as_str()));
    names.sort_unstable();
    names.dedup();
    // The tables [data] and [engine], and more, hold a setting of the same name.
    let shared = GROUPS.iter().filter(|group| OptionSpec::named(&group.table).is_some()).count();
    assert_eq!(names.len() + shared, OptionSpec::all().count() + GROUPS.len());
    for option in OptionSpec::all() {
        let of_study = option.study.iter().flat_map(|list| &list.default);
        for value in option.default.iter().chain(of_study) {
            assert_eq!(option.kind.check(value.as_ref()), Ok(()), "--{}", option.name);
        }
    }
}

/// `-h` fits a screen of 80 columns and 40 lines, and no line of any help is longer than 120 characters.
#[test]
fn help_is_short_and_narrow() {
    fn check(command: &mut clap::Command) {
        let name = command.get_name().to_owned();
        for text in [command.render_help(), command.render_long_help()] {
            for line in text.to_string().lines() {
                assert!(line.chars().count() <= 120, "{name}: {line}");
            }
        }
        command.get_subcommands_mut().for_each(check);
    }
    fn fits(command: &mut clap::Command) {
        let help = command.render_help().to_string();
        assert!(help.lines().count() <= 40, "{} lines:\n{help}", help.lines().count());
        command.get_subcommands_mut().for_each(fits);
    }
    let mut command = Args::command();
    command.build();
    check(&mut command);
    let mut command = Args::command().term_width(80);
    command.build();
    fits(&mut command);
}
