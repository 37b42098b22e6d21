use serde_json::json;

use super::*;

fn templates(text: &str) -> Result<BTreeMap<String, Arc<LazyTemplate>>, String> {
    let sources = [
        ("t", text),
        ("_p", "{{title}}"),
        ("_up", "{{name}} {{@index}} {{../name}} {{../../title}}"),
        ("_counted", "{{@index}}"),
        ("_loop", "{{> _loop}}"),
    ];
    let compiled = sources.into_iter().map(|(name, text)| {
        let template = LazyTemplate::new(name, format!("{name}.hbs"), text);
        template.template().map_err(|error| error.to_string())?;
        Ok((name.to_owned(), Arc::new(template)))
    });
    compiled.collect()
}

fn example() -> Json {
    json!({
        "title": "x", "items": [{ "name": "n", "tags": ["a"] }], "inner": { "leaf": 1, "a b": "c" },
        "nothing": null, "len": "long",
    })
}

fn check(text: &str) -> Result<(), String> {
    let templates = templates(text)?;
    Checker::new(&templates).check("t", &example()).map_err(|error| error.to_string())
}

/// What comes out, as in a pack.
fn rendered(text: &str) -> Result<String, String> {
    let mut engine = handlebars::Handlebars::new();
    engine.set_strict_mode(true);
    engine.register_helper("section", Box::new(crate::prompt::section::SectionHelper));
    for (name, template) in templates(text)? {
        engine.register_template(&name, template.template().unwrap().clone());
    }
    engine.render("t", &example()).map_err(|error| error.to_string())
}

#[test]
fn accepts_what_is_there() {
    for (text, expected) in [
        ("{{title}} {{inner.leaf}} {{this.title}} {{./title}}", "x 1 x x"),
        ("{{#each items}}{{name}} {{@index}} {{../title}} {{@root.title}}{{/each}}", "n 0 x x"),
        ("{{#each items as |item i|}}{{item.name}} {{i}}{{else}}{{title}}{{/each}}", "n 0"),
        (
            "{{#each items as |item|}}{{#each item.tags}}{{this}}{{item.name}}{{/each}}{{/each}}",
            "an",
        ),
        (
            "{{#each items}}{{#each tags}}{{@../index}}{{@first}} {{../../title}}{{/each}}{{/each}}",
            "0true x",
        ),
        (
            "{{#each items}}{{#if @last}}{{@last}}{{/if}}{{#with ../inner}}{{@index}}{{/with}}{{/each}}",
            "true0",
        ),
        ("{{#if title}}{{title}}{{else if inner}}{{inner.leaf}}{{/if}}", "x"),
        ("{{#with inner}}{{leaf}}{{[a b]}}{{/with}}{{#unless title}}x{{/unless}}", "1c"),
        ("{{#with inner as |it|}}{{it.leaf}}{{/with}}{{#if 0 includeZero=true}}z{{/if}}", "1z"),
        (
            "{{section \"T\" title}} {{#if (eq inner.leaf 1)}}x{{/if}} {{len items}}",
            "<T>\nx\n</T> x 1",
        ),
        ("{{and title (not nothing)}} {{gt (len title) 0}} {{(len items)}}", "true true 1"),
        ("{{nothing}}{{this.len}}{{section \"T\" 1}}{{{title}}}{{&title}}", "long<T>\n1\n</T>xx"),
        ("{{> _p}} {{!-- {{{{ a comment --}} \\{{title}}", "x  {{title}}"),
        ("{{#each items}}{{> _up}}{{/each}}", "n 0 n x"),
    ] {
        assert_eq!(check(text), Ok(()), "{text}");
        assert_eq!(rendered(text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn names_what_is_not() {
    let unknown = |line, variable: &str, known: &str| {
        Err(format!("t.hbs, line {line}: unknown variable {variable:?}; known here: {known}"))
    };
    let all = "inner, items, len, nothing, title";
    assert_eq!(check("\n\n{{titel}}"), unknown(3, "titel", all));
    assert_eq!(check("{{#if missing}}x{{/if}}"), unknown(1, "missing", all));
    assert_eq!(check("{{#if title}}\n{{nope}}{{/if}}"), unknown(2, "nope", all));
    assert_eq!(check("{{#if title}}{{else}}\n{{nope}}{{/if}}"), unknown(2, "nope", all));
    let chain = "{{#if title}}\n{{else if inner}}\n{{nope}}{{/if}}";
    assert_eq!(check(chain), unknown(3, "nope", all));
    assert_eq!(check("{{#if title}}{{else if nope}}{{/if}}"), unknown(1, "nope", all));
    assert_eq!(
        check("{{#if title}}{{else if inner}}{{else}}\n{{nope}}{{/if}}"),
        unknown(2, "nope", all)
    );
    assert_eq!(check("{{inner.twig}}"), unknown(1, "inner.twig", "a b, leaf"));
    assert_eq!(check("{{#each items}}{{title}}{{/each}}"), unknown(1, "title", "name, tags"));
    assert_eq!(check("{{#each items}}{{../nope}}{{/each}}"), unknown(1, "../nope", all));
    assert_eq!(check("{{title.deeper}}"), unknown(1, "title.deeper", "this"));
    assert_eq!(check("{{section \"T\" nope}}"), unknown(1, "nope", all));
    assert_eq!(check("{{../title}}"), unknown(1, "../title", "this"));
    assert_eq!(check("{{#each items}}{{./../name}}{{/each}}"), unknown(1, "./../name", all));
    assert_eq!(check("{{#each items as |x i|}}{{i.y}}{{/each}}"), unknown(1, "i.y", "this, x, i"));
    assert_eq!(check("{{#each items as |x|}}{{@root.x}}{{/each}}"), {
        let known = format!("{all}, x");
        unknown(1, "@root.x", &known)
    });
}

#[test]
fn names_what_packs_do_not_have() {
    for (text, part) in [
        ("{{shout title}}", "unknown helper \"shout\""),
        ("{{#repeat title}}x{{/repeat}}", "unknown block {{#repeat}}"),
        ("{{section title}}", "expected {{section"),
        ("{{> _q}}", "unknown partial \"_q\""),
        ("{{> _loop}}", "includes itself"),
        ("{{#*inline \"x\"}}y{{/inline}}", "decorators"),
        ("{{#> _p}}y{{/_p}}", "partials have no content"),
        ("{{lookup items 0}}", "lookup cannot be checked; use {{#each}}"),
        ("{{#if (lookup items 0)}}x{{/if}}", "lookup cannot be checked"),
        ("{{{{raw}}}} {{title}} {{{{/raw}}}}", "raw blocks cannot be used"),
        ("é{{#if title}}\n é {{{{if title}}}} {{x}} {{{{/if}}}}{{/if}}", "line 2: raw blocks"),
        ("{{#if (title)}}x{{/if}}", "unknown helper \"title\""),
        ("{{log}}", "unknown helper \"log\""),
    ] {
        let message = check(text).expect_err(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn counts_the_arguments() {
    for (text, part) in [
        ("{{#if}}x{{/if}}", "expected {{#if value}}, got 0 argument(s)"),
        ("{{#each items title}}x{{/each}}", "expected {{#each value}}, got 2 argument(s)"),
        ("{{#if title}}{{else unless}}x{{/if}}", "expected {{#unless value}}, got 0"),
        ("{{#if title x=1}}x{{/if}}", "{{#if}} takes no such named argument"),
        ("{{#each items includeZero=true}}x{{/each}}", "{{#each}} takes no such named argument"),
        ("{{#if title includeZero=nope}}x{{/if}}", "unknown variable \"nope\""),
        ("{{eq title}}", "expected {{eq value value}}, got 1 argument(s)"),
        ("{{#if (and title title title)}}x{{/if}}", "expected {{and value value}}, got 3"),
        ("{{not}}", "expected {{not value}}, got 0"),
        ("{{len}}", "a variable of this name is {{this.len}}"),
        ("{{len items x=1}}", "and 1 named one(s)"),
        ("{{section}}", "expected {{section \"NAME\" value}}, got 0"),
        ("{{if title}}", "if is a block: {{#if value}} ... {{/if}}"),
        ("{{each}}", "each is a block"),
        ("{{#if (unless title)}}x{{/if}}", "unless is a block"),
        ("{{#if title as |x|}}x{{/if}}", "{{#if}} has no such block parameters"),
        ("{{#with inner as |a b|}}x{{/with}}", "{{#with}} has no such block parameters"),
    ] {
        let message = check(text).expect_err(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn knows_where_elements_are_counted() {
    for (text, part) in [
        ("{{@index}}", "@index is known only inside of {{#each}}"),
        ("{{#if @first}}x{{/if}}", "@first is known only"),
        ("{{#with inner}}{{@last}}{{/with}}", "@last is known only"),
        ("{{#each items}}{{@../index}}{{/each}}", "@../index is known only"),
        ("{{#each items}}{{else}}{{@index}}{{/each}}", "@index is known only"),
        ("{{#each items}}{{@key}}{{/each}}", "a list has no keys"),
        ("{{#each items}}{{@nope}}{{/each}}", "unknown variable @nope"),
        ("{{#with @root}}x{{/with}}", "use one of its fields: @root.name"),
        ("{{> _counted}}", "_counted.hbs, line 1: @index is known only"),
    ] {
        let message = check(text).expect_err(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}

#[test]
fn tells_texts_from_lists_and_objects() {
    for (text, part) in [
        ("{{items}}", "expected a text, but \"items\" is a list; use {{#each}}"),
        ("{{inner}}", "\"inner\" is an object; use one of its fields: a b, leaf"),
        ("{{{inner}}}", "is an object"),
        ("{{#each items}}{{this}}{{/each}}", "\"this\" is an object; use one of its fields: name"),
        ("{{#each items}}{{tags}}{{/each}}", "is a list"),
        ("{{#each items as |item|}}{{item}}{{/each}}", "is an object"),
        ("{{section \"X\" items}}", "is a list; use {{#each}}"),
        ("{{section \"X\" inner}}", "is an object"),
        ("{{section items title}}", "is a list"),
        ("{{section \"X\" [1]}}", "is a list"),
        ("{{items.[0].name}}", "reaches into a list, which may be shorter; use {{#each}}"),
        ("{{items.[7].name}}", "reaches into a list"),
        ("{{items.0.name}}", "reaches into a list"),
        ("{{items.name}}", "reaches into a list"),
        ("{{#each items}}{{tags.[0]}}{{/each}}", "reaches into a list"),
        ("{{#if items.[0]}}x{{/if}}", "reaches into a list"),
        ("{{#each inner}}x{{/each}}", "{{#each}} needs a list, but \"inner\" is an object"),
        ("{{#each title}}x{{/each}}", "is a text"),
        ("{{#each (eq 1 1)}}x{{/each}}", "{{#each}} needs a list"),
        ("{{#with items}}x{{/with}}", "{{#with}} needs an object, but \"items\" is a list"),
        ("{{#with nothing}}x{{/with}}", "is nothing"),
    ] {
        let message = check(text).expect_err(text);
        assert!(message.contains(part), "{text}: {message}");
    }
}
