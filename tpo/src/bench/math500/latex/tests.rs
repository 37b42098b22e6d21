use super::*;

#[test]
fn commands_are_written_as_the_rules_converter_does() {
    // The right side is what that program gave for the left.
    for (latex, text) in [
        (r"\frac{x+1}{2}", "x+1/2"),
        (r"\frac12", "1/2"),
        (r"\frac 3 4", "3/4"),
        (r"\frac34 x", "3/4 x"),
        (r"\sqrt2", "sqrt(2)"),
        (r"\sqrt[3]{2}", "sqrt(2)"),
        (r"\sqrt{\frac{1}{2}}", "sqrt( 1/2)"),
        (r"2\pi r", "2pir"),
        (r"\left(1,\frac{1}{2}\right)", "(1, 1/2)"),
        (r"\text{a b}", "a b"),
        (r"\mbox{x}y", "y"),
        (r"1\,000", "1 000"),
        (r"\sin x", "sinx"),
        (r"\log_2 3", "log_2 3"),
        (r"\{1,2\}", "{1,2}"),
        (r"a\ b", "a b"),
        (r"5\!", "5"),
        (r"x\in[1,2)", "x∈[1,2)"),
        (r"\overline{3}", "3"),
        (r"5\ne 7", "57"),
        (r"x\cot 2", "x2"),
        (r"\binom{3}{2}", "32"),
        (r"\operatorname*{lcm}(1,2)", "*lcm(1,2)"),
        (r"1\textnormal{x y}{z}2", "1x yz2"),
        (r"a\( x \)b", "axb"),
        (r"\[\frac12\]", "1/2"),
        (r"a~b", "a\u{a0}b"),
        (r"45^{\circ}~", "45^∘"),
        ("227\\", "227"),
        (r"1 & 2", "1     2"),
        (r"x\\*[2pt] y", "x\n y"),
        (r"\mathbf{2x}+\mathbb{RZab}", "2𝐱+ℝℤ𝕒𝕓"),
        (r"\mathbf\pi", "pi"),
        (r"\begin{cases} 1 & 2 \\ 3\end{cases}", "1     2 \n 3"),
        (r"\sqrt [3]{2}", "sqrt(2)"),
        (r"\leqslant|\varepsilon|", "⩽|ε|"),
    ] {
        assert_eq!(plain(latex).as_deref(), Ok(text), "{latex}");
    }
    for (table, text) in [
        (r"\begin{pmatrix}1&2\\3&\frac12\end{pmatrix}", "[12;31/2]"),
        // A line break in the source, and the space that is asked for after a row.
        ("\\begin{bmatrix} 1\\\\\n2 \\end{bmatrix}", "[1;2]"),
        (r"\begin{pmatrix}1\\[1ex]2\\\end{pmatrix}", "[1;2;]"),
        (r"\begin{pmatrix}1\\ [1ex]2\end{pmatrix}", "[1;[1ex]2]"),
        (r"\begin{array}[t]{c|c}\hline1&2\\~3&-4\end{array}", "[12;3-4]"),
        (r"\left(\begin{smallmatrix}1\end{smallmatrix}\right)", "([1])"),
        (r"\begin{pmatrix}\begin{matrix}1&2\end{matrix}\\3\end{pmatrix}", "[12;3]"),
    ] {
        assert_eq!(plain(table).unwrap().replace(' ', ""), text, "{table}");
    }
}

#[test]
fn what_is_not_known_is_reported() {
    for latex in [
        r"\foo{x}",
        r"\frac{1}",
        r"\sqrt{",
        r"\frac\sqrt{2}3",
        r"}\pi",
        r"\begin{align}1\end{align}",
        r"\begin{cases}1",
        r"\begin{pmatrix}\\\end{pmatrix}",
        r"\( 1 \]",
        r"\sqrt[3[2]{4}",
        r"1\)",
        r"\end{cases}",
        r"\begin{pmatrix}1",
        r"\begin{pmatrix}1\end{bmatrix}",
    ] {
        assert!(plain(latex).is_err(), "{latex}");
    }
    assert!(plain(&r"\sqrt{".repeat(10_000)).is_err());
    assert!(plain(&r"\sqrt".repeat(10_000)).is_err());
    assert!(plain(&r"\(".repeat(10_000)).is_err());
    assert!(plain(&r"\begin{matrix}".repeat(10_000)).is_err());
}
