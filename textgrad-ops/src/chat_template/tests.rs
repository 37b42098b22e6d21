use std::fs;

use super::*;

/// In the manner of Llama 3's.
const HEADERS: &str = "{% set loop_messages = messages %}{% for message in loop_messages %}\
    {% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' + message['content'] | trim + '<|eot_id|>' %}\
    {% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}\
    {% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";

const TURNS: [(&str, &str); 2] = [("user", " What is red? "), ("assistant", "Mars {{ x }}")];

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::from_source(source, Some("<bos>")).unwrap()
}

#[test]
fn a_template_with_headers() {
    let text = template(HEADERS).render(&TURNS).unwrap();
    let expected = "<bos><|start_header_id|>user<|end_header_id|>\n\nWhat is red?<|eot_id|>\
                    <|start_header_id|>assistant<|end_header_id|>\n\nMars {{ x }}<|eot_id|>";
    assert_eq!(text, expected);
}

#[test]
fn blocks_are_trimmed_as_hugging_face_does() {
    let source = "{% for m in messages %}\n  {%- if m.role == 'user' %}\n    U: {{ m.content.strip() }}\n  {% else %}\nA: {{ m['content'] }}\n  {% endif %}\n{% endfor %}\nend\n";
    assert_eq!(
        template(source).render(&TURNS).unwrap(),
        "    U: What is red?\nA: Mars {{ x }}\nend"
    );
}

#[test]
fn python_methods_namespaces_slices_and_loop_controls_work() {
    let source = "{%- set ns = namespace(n=0) -%}\
        {%- for m in messages[1:] -%}{%- set ns.n = ns.n + 1 -%}\
        {{ m.content.split(' ')[0].upper() }}{{ m.content.startswith('Mars') }}{% break %}{%- endfor -%}{{ ns.n }}\
        {%- for key, value in messages[0].items() -%}{{ key }};{%- endfor -%}\
        {%- if tools is defined and tools is not none -%}tools{%- endif -%}";
    assert_eq!(template(source).render(&TURNS).unwrap(), "MARSTrue1role;content;");
}

#[test]
fn the_percent_sign_is_the_remainder_and_puts_nothing_into_texts() {
    let alternating = "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
        {{ raise_exception('roles must alternate') }}{% endif %}{{ loop.index0 % 2 }}{{ -7 % 3 }}{% endfor %}";
    assert_eq!(template(alternating).render(&TURNS).unwrap(), "0212");
    let turned = [TURNS[1], TURNS[0]];
    assert!(template(alternating).render(&turned).is_err());
    for source in ["{{ '%s' % messages[0].role }}", "{{ '[%s]' % (1,) }}"] {
        let error = template(source).render(&TURNS).unwrap_err();
        assert!(matches!(error, ChatTemplateError::Render { .. }), "{error}");
    }
}

#[test]
fn json_is_written_as_python_writes_it() {
    let source = "{{ messages[1].content | tojson }} {{ [1, 'ü<>&'] | tojson }} {{ {'a': [1]} | tojson(indent=2) }}";
    assert_eq!(
        template(source).render(&TURNS).unwrap(),
        "\"Mars {{ x }}\" [1, \"ü<>&\"] {\n  \"a\": [\n    1\n  ]\n}"
    );
}

#[test]
fn a_template_can_refuse_and_says_why() {
    let source = "{% if messages[0].role == 'system' %}{{ raise_exception('no system turn, please') }}{% endif %}";
    let error = template(source).render(&[("system", "Be brief.")]).unwrap_err();
    let ChatTemplateError::Render { source } = &error else { panic!("{error}") };
    assert!(source.to_string().contains("no system turn, please"), "{source}");
}

#[test]
fn a_system_turn_that_the_template_refuses_moves_to_the_user() {
    let source = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}\
        [{{ m.role }}]{{ m.content }}{% endfor %}{% if add_generation_prompt %}[model]{% endif %}";
    let turns = [("system", "Be brief."), ("user", "Hi!"), ("assistant", "Hello.")];
    let template = template(source);
    assert_eq!(template.render(&turns).unwrap(), "[user]Be brief.\n\nHi![assistant]Hello.");
    assert_eq!(template.render_prompt(&turns[..2]).unwrap(), "[user]Be brief.\n\nHi![model]");
    assert_eq!(template.render(&turns[1..2]).unwrap(), "[user]Hi!");
    for turns in [&turns[..1], &[("system", "Be brief."), ("assistant", "Hello.")]] {
        let error = template.render(turns).unwrap_err();
        assert!(textgrad_core::describe(&error).contains("no system turn"), "{error}");
    }
}

#[test]
fn the_date_is_known() {
    let year: i32 = template("{{ strftime_now('%Y') }}").render(&TURNS).unwrap().parse().unwrap();
    assert!(year >= 2024);
}

#[test]
fn a_template_that_does_not_end_is_stopped() {
    let source = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
    let error = template(source).render(&TURNS).unwrap_err();
    assert!(matches!(error, ChatTemplateError::Render { .. }), "{error}");
}

/// Each would overflow the stack of a thread, of the parser or of what follows it.
///
/// Kind: Limits | a chat template of more than 256 KiB, 1,000 tokens in one tag or 256 branches | an error
/// before it is parsed
/// Kind: Limits | a chat template with 5,000 nested blocks or brackets | an error of its parser
#[test]
fn a_template_with_too_many_operators_or_branches_is_refused() {
    let many = |piece: &str| piece.repeat(50_000);
    for source in [
        format!("{{{{ {}1 }}}}", many("-")),
        format!("{{{{ {}1 }}}}", many("not ")),
        format!("{{{{ a{} }}}}", many(".b")),
        format!("{{{{ a{} }}}}", many("[0]")),
        format!("{{{{ a{} }}}}", many("()")),
        format!("{{{{ a{} }}}}", many("|string")),
        format!("{{{{ 'a'{} }}}}", many("~'}}'")),
        format!("{{% set x = {{'a': {{}}}}{} %}}", many("+1")),
        format!("{{{{ a{} }}}}", many(" is defined")),
        format!("{{%- if a{} %}}{{% endif %}}", many(" and a")),
        format!("{{% for {}a in a %}}{{% endfor %}}", many("(")),
        format!("{{% if a %}}{}{{% endif %}}", "{%- elif a %}".repeat(5_000)),
        many("{{ 'text' }}"),
    ] {
        let error = ChatTemplate::from_source(&source, None).unwrap_err();
        assert!(matches!(error, ChatTemplateError::TooLarge { .. }), "{error}");
    }
    for source in ["{% if a %}", "{% for a in a %}", "{% macro a() %}", "{{ a[", "{{ (", "{{ a("] {
        let source = source.repeat(5_000);
        assert!(ChatTemplate::from_source(&source, None).is_err(), "{source}");
    }
}

#[test]
fn long_texts_and_many_tags_are_no_reason_to_refuse() {
    let long = format!("{{{{ '{}' }}}}{{# {} #}}", "- ".repeat(20_000), "{{ - ".repeat(20_000));
    assert_eq!(template(&long).render(&TURNS).unwrap().len(), 40_000);
    let many = "{% if a is defined %}x{% elif b %}y{% endif %}".repeat(200);
    assert_eq!(template(&many).render(&TURNS).unwrap(), "");
    let turns: Vec<(&str, &str)> = [TURNS, TURNS].into_iter().cycle().take(500).flatten().collect();
    assert!(template(HEADERS).render(&turns).is_ok());
    let text = "word ".repeat(100_000);
    assert!(template(HEADERS).render(&[("user", &text), ("assistant", &text)]).is_ok());
}

/// Each would make texts of gigabytes, or values that are too deep to be dropped.
///
/// Kind: Limits | a chat template that doubles, repeats, joins or replaces texts | an error at 19 MB of data
/// Kind: Limits | a chat template that nests its values, its macros or its lists | an error within its fuel
#[test]
fn a_template_that_multiplies_is_stopped() {
    let grow = |step: &str| {
        let start = "{% set ns = namespace(x='ab', y=[1]) %}{% for i in range(40) %}";
        format!("{start}{step}{{% endfor %}}{{{{ ns.y }}}}")
    };
    let huge = |expression: &str| format!("{{% set a = 'ab' * 400000 %}}{{{{ {expression} }}}}");
    for source in [
        grow("{% set ns.x = ns.x ~ ns.x %}"),
        grow("{% set ns.x = ns.x + ns.x %}"),
        grow("{% set ns.x = ns.x * 9 %}"),
        grow("{% set ns.x = ns.x.replace('a', ns.x) %}"),
        grow("{% set ns.x = ns.x | replace('b', ns.x) %}"),
        grow("{% set ns.x = ns.x.join(range(100)) %}"),
        grow("{% set ns.x = range(100) | join(ns.x) %}"),
        grow("{% set ns.x %}{{ ns.x }}{{ ns.x }}{% endset %}"),
        grow("{% set ns.y = [ns.y, ns.y] %}"),
        grow("{% set ns.y = [ns.y, ns.y] %}").replace("{{ ns.y }}", "{{ ns.y | string }}"),
        grow("{% set ns.y = {'a': ns.y, 'b': ns.y} %}").replace("{{ ns.y }}", "{{ ns.y|tojson }}"),
        grow("{% set ns.y = ns.y + ns.y %}"),
        grow("{% set ns.y = [0] + ns.y + ns.y %}").replace("{{ ns.y }}", "{{ ns.y | length }}"),
        "{% macro d(x, n) %}{{ d(x + x, n - 1) if n else x | list | length }}{% endmacro %}{{ d([1], 40) }}".to_owned(),
        huge("a.replace('a', a)"),
        huge("a.split('')"),
        huge("[a] * 100000"),
        huge("([a] * 100000) | tojson"),
        huge("a.upper() ~ a.lower() ~ a.title() ~ a.strip('b') ~ a[1:] ~ (a | reverse) ~ a * 20"),
        "{{ '{:>2000000000}'.format('a') }}".to_owned(),
        "{{ '{:>{}}'.format('a', 2000000000) }}".to_owned(),
        "{{ '%2000000000d' | format(1) }}".to_owned(),
        "{{ 'a' | indent(2000000000, true) }}".to_owned(),
        "{% macro m(x) %}{{ m(x) }}{% endmacro %}{{ m(1) }}".to_owned(),
        format!(
            "{{% set ns = namespace(x=[]) %}}{{% for i in range(9000) %}}{{% set ns.x = {}ns.x{} %}}{{% endfor %}}",
            "[".repeat(40),
            "]".repeat(40)
        ),
    ] {
        let began = std::time::Instant::now();
        let error = template(&source).render(&TURNS).unwrap_err();
        assert!(matches!(error, ChatTemplateError::Render { .. }), "{source}: {error}");
        assert!(began.elapsed().as_secs() < 10, "{source} took {:?}", began.elapsed());
    }
}

/// The templates of the test above, in a process that may take 1 GB of addresses.
#[cfg(target_os = "linux")]
#[test]
fn a_template_that_multiplies_takes_little_memory() {
    let name = "chat_template::tests::a_template_that_multiplies_is_stopped";
    let limited = "ulimit -v 1000000 && exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited]).arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", name, "--test-threads", "1"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn values_are_added_as_in_python() {
    for (expression, expected) in [
        ("1 + 2", "3"),
        ("0.5 + 1", "1.5"),
        ("'a' + 'b' + 'c'", "abc"),
        ("([1] + [2, 3]) | tojson", "[1, 2, 3]"),
        ("((messages + [{'role': 'x'}])[1:] | map(attribute='role') | join(','))", "assistant,x"),
        ("([] + []) | length", "0"),
        ("(1, 2) + (3,)", "(1, 2, 3)"),
    ] {
        let text = template(&format!("{{{{ {expression} }}}}")).render(&TURNS).unwrap();
        assert_eq!(text, expected, "{expression}");
    }
    for expression in ["1 + 'a'", "[1] + 'a'", "{'a': 1} + {}"] {
        let error = template(&format!("{{{{ {expression} }}}}")).render(&TURNS).unwrap_err();
        assert!(matches!(error, ChatTemplateError::Render { .. }), "{expression}: {error}");
    }
}

#[test]
fn generation_blocks_print_their_content() {
    let source = "{% for m in messages %}{%- generation -%} {{ m.role }} {%- endgeneration %}{% endfor %}{% set generations = 1 %}";
    assert_eq!(template(source).render(&TURNS).unwrap(), "userassistant");
}

#[test]
fn the_first_token_stands_there_once_or_not_at_all() {
    let twice = template("{{ bos_token }}{{ bos_token }}x{{ bos_token }}");
    let text = twice.render(&[]).unwrap();
    assert_eq!(twice.without_bos(&text), "x<bos>");
    assert_eq!(twice.with_one_bos(&text), "<bos>x<bos>");
    let none = template("x");
    assert_eq!(none.with_one_bos("x"), "x", "the template puts none there");
    let no_token = ChatTemplate::from_source("{{ bos_token }}x", None).unwrap();
    assert_eq!(no_token.without_bos(&no_token.render(&[]).unwrap()), "x");
}

#[test]
fn settings_are_read_in_all_their_shapes() {
    let render =
        |json: &str| ChatTemplate::from_tokenizer_config(json).unwrap().render(&[]).unwrap();
    assert_eq!(render(r#"{"bos_token": null, "chat_template": "{{ bos_token }}a"}"#), "a");
    assert_eq!(
        render(r#"{"bos_token": {"content": "<s>"}, "chat_template": "{{ bos_token }}a"}"#),
        "<s>a"
    );
    assert_eq!(
        render(
            r#"{"eos_token": "</s>", "chat_template": [
                {"name": "tool_use", "template": "t"}, {"name": "default", "template": "d{{ eos_token }}"}]}"#
        ),
        "d</s>"
    );
    for (json, word) in [("[]", "JSON object"), ("{", "JSON object"), ("{}", "chat_template")] {
        let error = ChatTemplate::from_tokenizer_config(json).unwrap_err();
        assert!(error.to_string().contains(word), "{json}: {error}");
    }
    let error = ChatTemplate::from_source("{% for %}", None).unwrap_err();
    assert!(matches!(error, ChatTemplateError::Parse { .. }), "{error}");
}

#[test]
fn files_are_found_beside_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tokenizer_config.json");
    let jinja = folder.path().join("chat_template.jinja");
    let of = |path: &Path| ChatTemplate::from_file(path);
    assert!(matches!(of(folder.path()), Err(ChatTemplateError::Read { .. })));

    fs::write(&jinja, "{{ bos_token }}new").unwrap();
    assert_eq!(of(&jinja).unwrap().render(&[]).unwrap(), "new");
    assert!(matches!(of(&config), Err(ChatTemplateError::Read { .. })));

    fs::write(&config, r#"{"bos_token": "<s>", "chat_template": "old"}"#).unwrap();
    for path in [&jinja, &config, folder.path()] {
        assert_eq!(of(path).unwrap().render(&[]).unwrap(), "<s>new", "{}", path.display());
    }
    fs::remove_file(&jinja).unwrap();
    assert_eq!(of(&config).unwrap().render(&[]).unwrap(), "old");
    fs::write(&config, "{}").unwrap();
    assert!(matches!(of(&config), Err(ChatTemplateError::Missing { .. })));
}
