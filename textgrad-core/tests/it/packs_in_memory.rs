//! Prompt packs with templates that were changed in memory: the same checks as of files.

use textgrad_core::{PromptPack, Variable};

use super::packs::{error, letter, load, specs};

#[test]
fn a_template_is_replaced_in_memory_as_by_a_file() {
    let pack = PromptPack::new(specs()).unwrap();
    for (name, text) in [
        ("letter", "Hi {{name}}\n"),
        ("letter", "Hi {{name}}\r\nWelcome{{> _body}}"),
        ("_body", "{{#each points}}{{this}};{{/each}}"),
        ("_other", "Not used"),
        ("letter", "Hi {{nmae}}"),
        ("letter", "Hi {{#if name}}"),
        ("letter", "Hi {{> _nobody}}"),
        ("_body", "{{points}}"),
        ("_other", "{{#if"),
    ] {
        let file = format!("{name}.hbs");
        match (pack.with_template(name, text), load(&[(&file, text)])) {
            (Ok(own), Ok(of_file)) => {
                assert!(own.sources().eq(of_file.sources()), "{name}: {text}");
                let [own, of_file] =
                    [own, of_file].map(|pack| pack.render("letter", &letter("Ada")).unwrap());
                assert_eq!(own, of_file);
            }
            (Err(own), Err(_)) => {
                assert_eq!(own.to_string(), error(&[(&file, text)]).replace(&file, name))
            }
            (own, of_file) => panic!("{name}: {text}: {own:?}, but of a file {of_file:?}"),
        }
    }
    assert_eq!(pack.render("letter", &letter("Ada")).unwrap(), "Dear Ada,\n- one\n- two\n");
    // A text in place of a variable is a text.
    let learned =
        pack.with_variable("letter", Variable::constant("Yo {{name}}", "wording")).unwrap();
    let given = learned.with_template("letter", "Hi {{name}}").unwrap();
    assert!(learned.variable("letter").is_some() && given.variable("letter").is_none());
    let error = pack.with_template("lettre", "Hi").unwrap_err().to_string();
    assert!(error.starts_with("lettre: no template has this name; expected one of "), "{error}");
    assert!(error.contains("letter"), "{error}");
}
