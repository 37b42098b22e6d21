//! Presentation attributes of chart files.
//!
//! Programs that place figures in papers and slides draw an element black where its colour is a CSS variable, and some
//! read no style sheet at all. So each element of a file carries its own literal attributes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{LIGHT, STYLE};

/// The declarations of a style sheet that a class names.
type Declarations<'a> = Vec<(&'a str, String)>;

/// Adds to each element with classes the declarations of those classes, as attributes. The classes stay.
pub(super) fn with_attributes(svg: &str) -> String {
    const CLASS: &str = " class=\"";
    let rules = rules();
    let mut parts = svg.split(CLASS);
    let mut written = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (classes, rest) = part.split_once('"').unwrap_or((part, ""));
        let own = classes.split(' ').filter_map(|class| rules.get(class)).flatten();
        // An attribute stands once, the later one as in a style sheet.
        let own: BTreeMap<&str, &String> = own.map(|(name, value)| (*name, value)).collect();
        let _ = write!(written, "{CLASS}{classes}\"");
        for (name, value) in own {
            let _ = write!(written, r#" {name}="{value}""#);
        }
        written.push_str(rest);
    }
    written
}

/// The declarations of each class, with colours of the light page. Those of texts are the root's, which they inherit.
fn rules() -> BTreeMap<&'static str, Declarations<'static>> {
    let colours: Vec<(&str, &str)> = declarations(LIGHT).collect();
    let literal = |value: &str| {
        let name = value.strip_prefix("var(").and_then(|rest| rest.strip_suffix(')'));
        let colour = colours.iter().find(|(colour, _)| Some(*colour) == name);
        colour.map_or(value, |(_, colour)| *colour).replace('"', "'")
    };
    let mut rules: BTreeMap<&str, Declarations<'_>> = BTreeMap::new();
    for rule in STYLE.split('}') {
        let Some((selector, body)) = rule.split_once('{') else { continue };
        let class = match selector.trim() {
            ".chart" | ".chart text" => "chart",
            selector => selector.trim_start_matches(".chart ."),
        };
        let own = declarations(body).map(|(name, value)| (name, literal(value)));
        rules.entry(class).or_default().extend(own);
    }
    rules
}

fn declarations(body: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts = body.split(';').filter_map(|declaration| declaration.split_once(':'));
    parts.map(|(name, value)| (name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_of_the_style_has_literal_attributes() {
        let rules = rules();
        let names: Vec<&str> = rules.keys().copied().collect();
        assert!(names.iter().all(|name| !name.contains([' ', '.'])), "{names:?}");
        assert_eq!(rules["k0"], [("stroke", "#0072b2".to_owned())]);
        assert_eq!(rules["soft"], [("fill", "#556274".to_owned())]);
        for (class, own) in &rules {
            assert!(!own.is_empty(), "{class}");
            for (name, value) in own {
                assert!(
                    !name.starts_with("--") && !value.contains("var("),
                    "{class}: {name}: {value}"
                );
            }
        }
    }

    #[test]
    fn an_element_has_the_attributes_of_its_classes_once() {
        let svg = r#"<svg class="chart"><path class="line k1 dotted" d="M0 0"/><text x="1">class=</text></svg>"#;
        let written = with_attributes(svg);
        let path = written.split("<path ").nth(1).unwrap().split("/>").next().unwrap();
        let expected = r##"class="line k1 dotted" fill="none" stroke="#d55e00" stroke-dasharray="1.5 4.5" stroke-linecap="round" stroke-linejoin="round" stroke-width="2" d="M0 0""##;
        assert_eq!(path, expected);
        assert!(
            written.starts_with("<svg class=\"chart\" fill=\"#0f172a\" font-family=\"system-ui"),
            "{written}"
        );
        assert!(written.ends_with("<text x=\"1\">class=</text></svg>"), "{written}");
        let twice = with_attributes(r#"<path class="k1 k2"/>"#);
        assert_eq!(twice, r##"<path class="k1 k2" stroke="#009e73"/>"##);
    }
}
