use super::*;

#[test]
fn the_last_box_counts_with_matched_braces() {
    for (solution, held) in [
        (r"\boxed{5}", Some("5")),
        (r"a \boxed{1} b \boxed {x^{2}} c}", Some("x^{2}")),
        (r"\boxed{\{1, 2\}}", Some(r"\{1, 2\}")),
        (r"\boxed{}", Some("")),
        (r"\boxed 5", None),
        (r"\boxed{5", None),
        ("boxed{5}", None),
        ("", None),
        (r"\boxed{ß}", Some("ß")),
    ] {
        assert_eq!(last_boxed(solution), held, "{solution}");
    }
}

#[test]
fn answers_that_are_written_otherwise_become_the_same() {
    for (answer, form) in [
        (r"\dfrac{1}{2}", r"\frac{1}{2}"),
        (r"\tfrac12", r"\frac{1}{2}"),
        (r"\frac1{72}", r"\frac{1}{72}"),
        ("0.5", r"\frac{1}{2}"),
        (".5", r"\frac{1}{2}"),
        ("1/2", r"\frac{1}{2}"),
        ("-3/4", r"\frac{-3}{4}"),
        ("01/2", "01/2"),
        ("a/b", "a/b"),
        ("x = 5", "5"),
        ("abc=5", "abc=5"),
        (r"\sqrt3", r"\sqrt{3}"),
        (r"\text{ (A) }", "(A)"),
        (r"5\text{ cm}", "5"),
        (r"90^\circ", "90"),
        (r"\left(1, 2\right)", "(1,2)"),
        (r"50\%", "50"),
        (r"\$18", "18"),
        ("  ", ""),
        (r"1\\2", r"1\2"),
    ] {
        assert_eq!(first_normal_form(answer), form, "{answer}");
    }
}

#[test]
fn what_the_rules_stumble_over_stays() {
    for answer in [r"1\text{ a}\text{ b}", r"x \sqrt", r"x \frac"] {
        assert_eq!(first_normal_form(answer), answer);
    }
    assert_eq!(first_normal_form(r"x \frac1"), r"x\frac1");
}

#[test]
fn answers_become_expressions() {
    for (answer, form) in [
        (r"\frac{1}{2}", "1/2"),
        // Without parentheses, as the rules have it.
        (r"\frac{x+1}{2}", "x+1/2"),
        (r"3\frac{1}{2}", "3+1/2"),
        (r"7 3/4", "7+3/4"),
        (r"-3 \frac12", "-3+1/2"),
        (r"2\sqrt{3}", "2sqrt(3)"),
        (r"\sqrt[3]{2}", "sqrt(2)"),
        (r"4\pi", "4pi"),
        (r"\text{Yes}", "yes"),
        (r"5\text{ meters}", "5"),
        ("10 cm^2", "10"),
        ("12 inches", "12"),
        ("3 or 4", "3,4"),
        (r"90^\circ", "90"),
        (r"90^{\circ}", "90^∘"),
        ("2 million", "2*10^6"),
        (r"1,\!000", "1000"),
        ("1,234.0", "1234"),
        ("{5}", "5"),
        ("52_8", "528"),
        ("4.99999999", "5"),
        (r"4.99999999\!", "4"),
        ("- 5", "-5"),
        ("$5$", "5"),
        (r"[1,\infty)", "[1,inf)"),
        (r"(-\infty,0]\cup[1,2)", "(-inf,0]u[1,2)"),
        ("", ""),
    ] {
        assert_eq!(second_normal_form(answer).as_deref(), Ok(form), "{answer}");
    }
    assert_eq!(PATTERNS.units.len(), UNITS.split(' ').count());
}

#[test]
fn unknown_latex_has_no_normal_form() {
    assert!(second_normal_form(r"\mathfrak{x}").unwrap_err().contains("\\mathfrak"));
}

#[test]
fn numbers_are_read_as_python_reads_them() {
    for (text, number) in [
        ("5", Some(5.0)),
        (" -.5 ", Some(-0.5)),
        ("1e3", Some(1000.0)),
        ("52_8", Some(528.0)),
        ("5_", None),
        ("_5", None),
        ("5__2", None),
        ("5,0", None),
        ("", None),
        ("0x1", None),
        ("inf", Some(f64::INFINITY)),
    ] {
        assert_eq!(float(text), number, "{text}");
    }
    assert!(is_integer("1,000") && is_integer("12,345,678") && is_integer("4.00000001"));
    assert!(!is_integer("1,00") && !is_integer("inf") && !is_integer("4.5"));
    assert_eq!((digits(-0.0), digits(1e21)), ("0".to_owned(), "1000000000000000000000".to_owned()));
}

#[test]
fn commas_of_lists_stay() {
    assert_eq!(without_commas("1,234,567"), "1234567");
    assert_eq!(without_commas("(1,234)"), "(1234)");
    assert_eq!(without_commas("1,2,3"), "1,2,3");
    assert_eq!(without_commas("1,2345"), "1,2345");
}

#[test]
fn fractions_may_have_one_odd_letter() {
    for text in ["1/2", "-10/04", "1x/2", "1/2a"] {
        assert!(is_fraction(text), "{text}");
    }
    for text in ["1/0", "x/2", "1/2/3", "1.5/22.5", "--1/2"] {
        assert!(!is_fraction(text), "{text}");
    }
}
