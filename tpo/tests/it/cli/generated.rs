//! Completions and man pages.

use super::config::shown;
use super::{Ended, folder, program, read};

/// Completions and man pages have every command and every setting.
#[test]
fn completions_and_man_pages_name_every_setting() {
    let folder = folder();
    let folder = folder.path();
    let tpo = |arguments: &[&str]| {
        let mut command = program(folder);
        command.args(arguments);
        // A script does not fit a pipe.
        Ended::from(command.output().unwrap()).with_code(0).out
    };
    tpo(&["man", "man/man1"]);
    let page =
        |command: &str| read(folder.join(format!("man/man1/tpo-{command}.1"))).replace("\\-", "-");
    let pages = [page("run"), page("serve")];
    let synopsis = |command: &str| {
        let page = page(command);
        let (_, text) = page.split_once(".SH SYNOPSIS\n").unwrap();
        text.split("\n.SH").next().unwrap().replace("\\fB", "").replace("\\fR", "")
    };
    for (command, expected) in [
        ("run", "tpo run [OPTIONS]"),
        ("merge", "tpo merge --out <DIR> <PART>..."),
        ("export", "tpo export [OPTIONS] <RUN>..."),
        ("config-show", "tpo config show [OPTIONS]"),
    ] {
        assert_eq!(synopsis(command), expected);
    }
    let settings = shown(folder, &[]);
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = tpo(&["completions", shell]);
        for setting in &settings {
            let name = setting["name"].as_str().unwrap();
            assert!(script.contains(name), "{shell}: {name}");
            let [run, serve] = &pages;
            let page = if setting["table"] == "serve" { serve } else { run };
            assert!(page.contains(&format!("--{name}")), "{name}");
        }
        for command in ["bench", "export", "completions"] {
            assert!(script.contains(command), "{shell}: {command}");
            assert!(folder.join(format!("man/man1/tpo-{command}.1")).exists(), "{command}");
        }
        // A choice of values is completed.
        assert!(script.contains("continued") || shell == "elvish" || shell == "powershell");
    }
}
