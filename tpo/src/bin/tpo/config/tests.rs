//! The list of settings is that of the flags.

use clap::ArgAction;

use super::command;
use super::settings::{Kind, SETTINGS, Setting, tables};

fn flag(setting: &Setting) -> clap::Arg {
    let command = command();
    let found = command.get_arguments().find(|arg| arg.get_long() == Some(setting.name));
    let flag = found.unwrap_or_else(|| panic!("--{} is no flag of tpo run", setting.name));
    assert_eq!(flag.get_id().as_str(), setting.id(), "the identifier of --{}", setting.name);
    flag.clone()
}

#[test]
fn every_flag_of_a_run_is_a_setting_of_a_file() {
    let command = command();
    let flags = command.get_arguments().filter_map(clap::Arg::get_long);
    for flag in flags.filter(|flag| !["config", "help"].contains(flag)) {
        let settings = SETTINGS.iter().filter(|setting| setting.name == flag);
        assert_eq!(settings.count(), 1, "--{flag}");
    }
}

#[test]
fn settings_say_what_holds_where_their_flags_do_not() {
    for setting in SETTINGS {
        let has_default = !flag(setting).get_default_values().is_empty();
        assert_eq!(has_default, setting.unset.is_empty(), "--{}", setting.name);
    }
}

#[test]
fn settings_are_written_as_their_flags_are_read() {
    for setting in SETTINGS {
        let flag = flag(setting);
        let list = matches!(flag.get_action(), ArgAction::Append);
        assert_eq!(list, setting.kind == Kind::Texts, "--{}", setting.name);
        let takes = |value: &str| {
            let argument = format!("--{}={value}", setting.name);
            // Some flags need a folder.
            command().try_get_matches_from(["run", "--out=out", argument.as_str()]).is_ok()
        };
        let kind = setting.kind;
        assert_eq!(takes("true") && !takes("no"), kind == Kind::Bool, "--{}", setting.name);
        if matches!(kind, Kind::Whole | Kind::Number) {
            assert!(takes("1") && !takes("x"), "--{}", setting.name);
            assert_eq!(takes("0.5"), kind == Kind::Number, "--{}", setting.name);
        }
    }
}

/// docs/configuration.md lists every setting with its default.
#[test]
fn the_document_lists_the_settings() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let document = std::fs::read_to_string(path).unwrap();
    let mut at = 0;
    for table in tables() {
        for setting in SETTINGS.iter().filter(|setting| setting.table == table) {
            let flag = flag(setting);
            let defaults = flag.get_default_values().iter();
            let default: Vec<&str> = defaults.filter_map(|value| value.to_str()).collect();
            let default = match default.first() {
                Some(default) => format!("`{default}`"),
                None => setting.unset.to_owned(),
            };
            let row = format!(
                "| `{table}` | `{}` | {} | {default} |",
                setting.name,
                setting.kind.expected()
            );
            let found = document.get(at..).and_then(|rest| rest.find(&row));
            at += found.unwrap_or_else(|| panic!("expected the row, in this order: {row}"));
        }
    }
    let rows = document
        .lines()
        .filter(|line| tables().iter().any(|table| line.starts_with(&format!("| `{table}` |"))));
    assert_eq!(rows.count(), SETTINGS.len());
}
