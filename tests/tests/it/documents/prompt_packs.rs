//! The table of templates and their variables.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{code, document, rows};

/// The names of all variables in an example, those of lists and objects too.
fn variables(example: &Value, found: &mut BTreeSet<String>) {
    match example {
        Value::Object(fields) => {
            for (name, value) in fields {
                found.insert(name.clone());
                variables(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| variables(item, found)),
        _ => {}
    }
}

/// The variables of each template as the table has them: the row's own, and those of the rows that it refers to.
fn documented(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut table: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut last = BTreeSet::new();
    let mut referring = Vec::new();
    for row in rows(text) {
        let [names, _, cell] = &row[..] else { panic!("expected three cells: {row:?}") };
        let (named, own) = match cell.split_once("those of `") {
            Some((before, after)) => {
                let (other, after) = after.split_once('`').unwrap();
                (Some(other.to_owned()), format!("{before}{after}"))
            }
            None => (None, cell.clone()),
        };
        let mut own: BTreeSet<String> = code(&own).into_iter().map(str::to_owned).collect();
        if cell.starts_with("the same") {
            own.extend(last.iter().cloned());
        }
        for name in code(names) {
            referring.extend(named.clone().map(|other| (name.to_owned(), other)));
            assert!(table.insert(name.to_owned(), own.clone()).is_none(), "{name} stands twice");
        }
        last = own;
    }
    for (name, other) in referring {
        let others = table[&other].clone();
        table.get_mut(&name).unwrap().extend(others);
    }
    table
}

#[test]
fn the_table_names_every_template_and_every_variable() {
    let text = document("docs/prompt-packs.md");
    let table = documented(&text);
    let mut known = BTreeSet::new();
    for spec in tpo::prompts::templates() {
        if spec.name().starts_with('_') {
            continue;
        }
        known.insert(spec.name().to_owned());
        let told = table.get(spec.name()).unwrap_or_else(|| panic!("{} is missing", spec.name()));
        let mut has = BTreeSet::new();
        variables(spec.example(), &mut has);
        let missing: Vec<&String> = has.difference(told).collect();
        assert!(missing.is_empty(), "{} also has {missing:?}", spec.name());
        // Of an image's texts, the table tells what `name` may be.
        let values: &[&str] = match spec.name() {
            "image_qa" | "image_qa_system" => &["instruction", "question", "answer"],
            _ => &[],
        };
        // And a row may speak of another template.
        let stale = told.difference(&has).filter(|name| !values.contains(&name.as_str()));
        let stale: Vec<&String> = stale.filter(|name| !table.contains_key(*name)).collect();
        assert!(stale.is_empty(), "{} does not have {stale:?}", spec.name());
    }
    assert_eq!(table.keys().cloned().collect::<BTreeSet<_>>(), known);
}
