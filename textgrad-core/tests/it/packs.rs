//! Prompt packs from a folder: what is replaced, what is refused, and where the fault is.

use std::fs;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use textgrad_core::{
    PromptError, PromptPack, PromptTemplate, TemplateContext, TemplateSpec, section,
};

#[derive(Serialize)]
pub(super) struct Letter {
    name: String,
    points: Vec<String>,
    sender: Option<String>,
}

impl TemplateContext for Letter {
    fn example() -> Value {
        json!({ "name": "", "points": [""], "sender": "" })
    }
}

pub(super) fn letter(name: &str) -> Letter {
    Letter { name: name.into(), points: vec!["one".into(), "two".into()], sender: None }
}

pub(super) fn specs() -> Vec<TemplateSpec> {
    vec![
        TemplateSpec::new::<Letter>("letter", "Dear {{name}},\n{{> _body}}\n"),
        TemplateSpec::new::<Letter>("envelope", "To {{name}}"),
        TemplateSpec::partial("_body", "{{#each points}}\n- {{this}}\n{{/each}}"),
    ]
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

pub(super) fn load(files: &[(&str, &str)]) -> Result<PromptPack, PromptError> {
    PromptPack::from_dir(specs(), folder(files).path())
}

fn rendered(files: &[(&str, &str)]) -> String {
    load(files).unwrap().render("letter", &letter("Ada")).unwrap()
}

/// The error without the folder's own name.
pub(super) fn error(files: &[(&str, &str)]) -> String {
    let dir = folder(files);
    let error = PromptPack::from_dir(specs(), dir.path()).unwrap_err().to_string();
    error.replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn the_defaults_render() {
    let pack = PromptPack::new(specs()).unwrap();
    assert_eq!(pack.render("letter", &letter("Ada")).unwrap(), "Dear Ada,\n- one\n- two\n");
}

#[test]
fn a_file_replaces_the_template_that_it_is_named_after() {
    let pack = load(&[("letter.hbs", "Hi {{name}}"), ("notes.txt", "{{broken")]).unwrap();
    assert_eq!(pack.render("letter", &letter("Ada")).unwrap(), "Hi Ada");
    assert_eq!(pack.render("envelope", &letter("Ada")).unwrap(), "To Ada");
    let sources: Vec<(&str, &str)> = pack.sources().collect();
    assert_eq!(
        sources,
        [
            ("_body", "{{#each points}}\n- {{this}}\n{{/each}}"),
            ("envelope", "To {{name}}"),
            ("letter", "Hi {{name}}"),
        ]
    );
}

#[test]
fn partials_are_replaced_and_added() {
    assert_eq!(rendered(&[("_body.hbs", "nothing")]), "Dear Ada,\nnothing");
    let files = [("letter.hbs", "{{> _greeting}}!"), ("_greeting.hbs", "Hello {{name}}")];
    assert_eq!(rendered(&files), "Hello Ada!");
}

#[test]
fn one_newline_at_the_end_of_a_file_is_the_editors() {
    assert_eq!(rendered(&[("letter.hbs", "Hi {{name}}\n")]), "Hi Ada");
    assert_eq!(rendered(&[("letter.hbs", "Hi {{name}}\n\n")]), "Hi Ada\n");
    assert_eq!(rendered(&[("letter.hbs", "Hi {{name}}\r\n")]), "Hi Ada");
    assert_eq!(rendered(&[("letter.hbs", "")]), "");
}

#[test]
fn line_ends_of_windows_are_line_ends() {
    let windows = "Hi {{name}}\r\n{{#each points}}\r\n* {{this}}\r\n{{/each}}\r\nBye\r\n";
    let unix = windows.replace("\r\n", "\n");
    assert_eq!(rendered(&[("letter.hbs", windows)]), "Hi Ada\n* one\n* two\nBye");
    assert_eq!(rendered(&[("letter.hbs", windows)]), rendered(&[("letter.hbs", &unix)]));
}

#[test]
fn a_name_that_nobody_asks_for_is_refused() {
    assert_eq!(
        error(&[("leter.hbs", "Hi")]),
        "leter.hbs: no template has this name; expected one of letter, envelope, _body, or a \
         partial whose name begins with an underscore"
    );
}

#[test]
fn a_fault_is_named_with_its_file_and_line() {
    let unknown = "known here: name, points, sender";
    for (files, expected) in [
        (
            vec![("letter.hbs", "Hi\n\n{{nmae}}")],
            format!("letter.hbs, line 3: unknown variable \"nmae\"; {unknown}"),
        ),
        (
            vec![("letter.hbs", "Hi\r\n{{#if sendr}}x{{/if}}")],
            format!("letter.hbs, line 2: unknown variable \"sendr\"; {unknown}"),
        ),
        (
            vec![("_body.hbs", "one\ntwo {{x}}")],
            format!("_body.hbs, line 2: unknown variable \"x\"; {unknown}"),
        ),
        (
            vec![("letter.hbs", "{{#each points}}\n{{name}}{{/each}}")],
            "letter.hbs, line 2: unknown variable \"name\"; known here: this".to_owned(),
        ),
    ] {
        assert_eq!(error(&files), expected);
    }
    for (text, line) in [
        // A block that is never closed is missed at the end.
        ("Hi\n{{#if name}}\nx", 3),
        ("Hi\n\n{{name", 3),
        ("{{/if}}", 1),
        ("a\n{{#if name}}x{{/each}}", 2),
    ] {
        let message = error(&[("letter.hbs", text)]);
        assert!(message.starts_with("letter.hbs, line "), "{message}");
        assert!(message.contains("not a handlebars template"), "{message}");
        assert!(message.contains(&format!("line {line}:")), "line {line} expected: {message}");
    }
}

#[test]
fn what_would_fail_or_leave_a_hole_later_is_refused() {
    for (text, expected) in [
        ("{{points}}", "line 1: expected a text, but \"points\" is a list; use {{#each}}"),
        (
            "\n{{points.[1]}}",
            "line 2: \"points.[1]\" reaches into a list, which may be shorter; use {{#each}}",
        ),
        ("{{#if}}x{{/if}}", "line 1: expected {{#if value}}, got 0 argument(s)"),
        ("{{@index}}", "line 1: @index is known only inside of {{#each}}"),
        ("{{lookup points 0}}", "line 1: lookup cannot be checked; use {{#each}} or a field"),
        (
            "a\n{{{{raw}}}}{{name}}{{{{/raw}}}}",
            "line 2: raw blocks cannot be used; write \\{{ for braces that are text",
        ),
    ] {
        assert_eq!(error(&[("letter.hbs", text)]), format!("letter.hbs, {expected}"));
        assert!(PromptTemplate::new("mine", text, &Letter::example()).is_err(), "{text}");
    }
}

#[test]
fn a_template_that_fails_with_its_example_is_refused() {
    struct Hollow;
    impl TemplateContext for Hollow {
        fn example() -> Value {
            json!({ "inner": {} })
        }
    }
    impl Serialize for Hollow {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            Hollow::example().serialize(serializer)
        }
    }
    let text = "{{#with inner}}x{{/with}}";
    let failed = |error: PromptError, file: &str| {
        let PromptError::Render { name, reason } = error else { panic!("{error}") };
        assert!(name.ends_with(file), "{name}");
        assert!(reason.contains("inner"), "{reason}");
    };
    let built_in = PromptPack::new([TemplateSpec::new::<Hollow>("hollow", text)]);
    failed(built_in.unwrap_err(), "hollow.hbs");
    let dir = folder(&[("hollow.hbs", text)]);
    let spec = TemplateSpec::new::<Hollow>("hollow", "fine");
    failed(PromptPack::from_dir([spec], dir.path()).unwrap_err(), "/hollow.hbs");
    failed(PromptTemplate::new("mine", text, &Hollow::example()).unwrap_err(), "mine");
}

#[test]
fn a_folder_without_templates_is_refused() {
    assert!(matches!(load(&[]).unwrap_err(), PromptError::Empty { .. }));
    assert!(matches!(load(&[("README.md", "hi")]).unwrap_err(), PromptError::Empty { .. }));
    let missing = PromptPack::from_dir(specs(), Path::new("/does/not/exist")).unwrap_err();
    assert!(
        matches!(&missing, PromptError::Io { path, .. } if path.ends_with("exist")),
        "{missing}"
    );
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("letter.hbs")).unwrap();
    let error = PromptPack::from_dir(specs(), dir.path()).unwrap_err();
    assert!(
        matches!(&error, PromptError::Io { path, .. } if path.ends_with("letter.hbs")),
        "{error}"
    );
}

const HOSTILE: [&str; 9] = [
    "{{name}} {{x}} {{{y}}} {{#if z}} {{> _body}} {{!-- c --}}",
    "{ } {} {0} %s $1",
    "</QUERY> </NAME> <SEP> <IMPROVED_VARIABLE>",
    "<b> & \"quotes\" 'single' `tick` = ;",
    "back\\slash \\{{name}} \\\\{{x}}",
    "  leading and trailing  \n\n",
    "tab\tcarriage\r\nreturn \u{0} \u{7}",
    "é 👩‍👩‍👧 \u{202e} \u{feff}",
    "",
];

#[test]
fn values_are_inserted_as_they_are() {
    let pack =
        load(&[("letter.hbs", "[{{name}}]\n{{#each points}}\n({{this}})\n{{/each}}")]).unwrap();
    for text in HOSTILE {
        let mut letter = letter(text);
        letter.points = vec![text.into(), "end".into()];
        let expected = format!("[{text}]\n({text})\n(end)\n");
        assert_eq!(pack.render("letter", &letter).unwrap(), expected);
    }
}

#[test]
fn an_indented_partial_does_not_indent_values() {
    let files = [("letter.hbs", "List:\n  {{> _body}}\nend"), ("_body.hbs", "{{name}}\n")];
    let pack = load(&files).unwrap();
    let text = pack.render("letter", &letter("one\ntwo")).unwrap();
    assert!(text.contains("one\ntwo"), "{text:?}");
}

#[test]
fn what_is_missing_is_nothing_where_that_is_allowed() {
    let pack = load(&[("letter.hbs", "Hi{{#if sender}} from {{sender}}{{/if}}")]).unwrap();
    assert_eq!(pack.render("letter", &letter("Ada")).unwrap(), "Hi");
    let signed = Letter { sender: Some("Bob".into()), ..letter("Ada") };
    assert_eq!(pack.render("letter", &signed).unwrap(), "Hi from Bob");
    assert!(
        matches!(pack.render("other", &signed), Err(PromptError::Missing { name }) if name == "other")
    );
}

#[test]
fn a_section_cannot_be_closed_from_inside() {
    for text in HOSTILE {
        for name in ["QUERY", "NAME", "SEP"] {
            let section = section(name, text);
            let open = section.lines().next().unwrap();
            let close = open.replacen('<', "</", 1);
            assert!(section.starts_with(&format!("{open}\n{text}")));
            assert_eq!(section.find(&close), Some(section.len() - close.len()), "{section}");
        }
    }
    let nested = section("A", &section("A", &section("A", "x")));
    assert!(nested.starts_with("<A-3>\n<A-2>\n<A>\nx"), "{nested}");
    let files = [("letter.hbs", "{{section \"QUERY\" name}}")];
    let pack = load(&files).unwrap();
    let text = pack.render("letter", &letter("a\n</QUERY>\nb")).unwrap();
    assert_eq!(text, "<QUERY-2>\na\n</QUERY>\nb\n</QUERY-2>");
}

#[test]
fn a_template_given_in_code_is_taken_as_it_is() {
    let example = json!({ "q": "" });
    for (text, expected) in
        [("Q: {{q}}\n", "Q: x\n"), ("Q:\r\n{{q}}", "Q:\r\nx"), ("", ""), ("\n", "\n")]
    {
        let template = PromptTemplate::new("mine", text, &example).unwrap();
        assert_eq!(template.render(&json!({ "q": "x" })).unwrap(), expected);
    }
    let error = PromptTemplate::new("mine", "a\n{{p}}", &example).unwrap_err();
    assert_eq!(error.to_string(), r#"mine, line 2: unknown variable "p"; known here: q"#);
    let template = PromptTemplate::new("mine", "{{q}}", &example).unwrap();
    assert!(matches!(template.render(&json!({})), Err(PromptError::Render { .. })));
}

/// Without bounds each would overflow the stack of a thread, or not end.
///
/// Kind: Limits | a prompt template of more than 64 KiB, 64 levels of nesting or 4 loops within each other |
/// an error with file and line
#[test]
fn a_template_that_is_too_large_or_too_deep_is_refused() {
    let nested = |open: &str, close: &str, times: usize| {
        format!("{}x{}", open.repeat(times), close.repeat(times))
    };
    let branches = format!("{{{{#if name}}}}{}{{{{/if}}}}", "{{else if name}}x".repeat(500));
    let calls = |times| {
        format!("{{{{#if {}name{}}}}}x{{{{/if}}}}", "(not ".repeat(times), ")".repeat(times))
    };
    for (text, words) in [
        (nested("{{#each points}}", "{{/each}}", 500), "levels of nesting"),
        (nested("{{#if name}}", "{{/if}}", 800), "levels of nesting"),
        (nested("{{~#unless name~}}", "{{~/unless~}}", 65), "levels of nesting"),
        (nested("{{^if name}}", "{{/if}}", 100), ""),
        (branches, "levels of nesting"),
        (calls(8_000), "levels of nesting"),
        (
            format!("{{{{#if (len {}{})}}}}x{{{{/if}}}}", "[".repeat(20_000), "]".repeat(20_000)),
            "invalid parameter",
        ),
        (format!("{{{{{}", "(a".repeat(30_000)), "not a handlebars template"),
        (nested("{{#each @root.points}}", "{{/each}}", 5), "4 {{#each}} within each other"),
        ("x".repeat(65 * 1024), "at most 65536 bytes"),
    ] {
        let message = error(&[("letter.hbs", &text)]);
        assert!(message.contains(words), "{message}");
        // A partial that nothing includes is checked by itself.
        if !words.contains("within each other") {
            let message = error(&[("_aside.hbs", &text)]);
            assert!(message.contains(words), "{message}");
        }
    }
    let whole = nested("{{#if name}}", "{{/if}}", 60);
    assert_eq!(rendered(&[("letter.hbs", &whole)]), "x");
    assert_eq!(rendered(&[("letter.hbs", &calls(60))]), "x");
}

/// Kind: Limits | partials that include each other twice, 30 levels deep | an error with file and line
#[test]
fn partials_that_multiply_each_other_are_refused() {
    let files: Vec<(String, String)> = (0..30)
        .map(|n| (format!("_p{n}.hbs"), format!("{{{{> _p{0}}}}}{{{{> _p{0}}}}}", n + 1)))
        .chain([("_p30.hbs".into(), "x".into()), ("letter.hbs".into(), "{{> _p0}}".into())])
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (&**name, &**text)).collect();
    let message = error(&files);
    assert!(message.contains("at most 20000 elements"), "{message}");
    let chain: Vec<(String, String)> = (0..70)
        .map(|n| (format!("_p{n}.hbs"), format!("{{{{> _p{}}}}}", n + 1)))
        .chain([("_p70.hbs".into(), "x".into()), ("letter.hbs".into(), "{{> _p0}}".into())])
        .collect();
    let chain: Vec<(&str, &str)> = chain.iter().map(|(name, text)| (&**name, &**text)).collect();
    let message = error(&chain);
    assert!(message.contains("at most 64 levels"), "{message}");
}

/// Kind: Limits | a prompt of more than 64 MiB | an error of this prompt
#[test]
fn a_prompt_does_not_grow_without_end() {
    let text = format!("{{{{#each points}}}}{}{{{{/each}}}}", "x".repeat(60_000));
    let pack = load(&[("letter.hbs", &text)]).unwrap();
    let long = Letter { points: vec![String::new(); 2_000], ..letter("Ada") };
    let message = pack.render("letter", &long).unwrap_err().to_string();
    assert!(message.contains("at most 67108864 bytes"), "{message}");
}
