//! The commands of LaTeX that answers need.

/// Commands that stand for a sign, with it.
const SIGNS: &str = "\
    pi=π infty=∞ cup=∪ cdot=· times=× alpha=α beta=β gamma=γ delta=δ epsilon=ϵ zeta=ζ eta=η theta=θ iota=ι kappa=κ \
    lambda=λ mu=μ nu=ν xi=ξ rho=ρ sigma=σ tau=τ phi=ϕ varphi=φ chi=χ psi=ψ omega=ω Gamma=Γ Delta=Δ Theta=Θ \
    Lambda=Λ Sigma=Σ Phi=Φ Psi=Ψ Omega=Ω le=≤ leq=≤ ge=≥ geq=≥ neq=≠ pm=± mp=∓ in=∈ notin=∉ to=→ rightarrow=→ \
    ldots=… dots=… cdots=⋯ circ=∘ angle=∠ emptyset=∅ mid=| div=÷ approx=≈ cap=∩ setminus=∖ subset=⊂ equiv=≡ perp=⊥ \
    parallel=∥ lfloor=⌊ rfloor=⌋ lceil=⌈ rceil=⌉ lbrace={ rbrace=} varnothing=∅ ell=ℓ star=⋆ ast=∗ bullet=∙ \
    Rightarrow=⇒ Leftrightarrow=⇔ Longrightarrow=⟹ longrightarrow=⟶ mapsto=↦ leftarrow=← lvert=| rvert=| vert=| \
    lVert=‖ rVert=‖ Vert=‖ langle=⟨ rangle=⟩ leqslant=⩽ geqslant=⩾ square=□ prime=' sim=∼ cong=≅ simeq=≃ propto=∝ \
    because=∵ therefore=∴ forall=∀ exists=∃ subseteq=⊆ supset=⊃ supseteq=⊇ nmid=∤ textdollar=$ textdegree=° \
    dotsc=… dotsb=… vdots=⋮ ddots=⋱ partial=∂ nabla=∇ int=∫ sum=∑ prod=∏ upsilon=υ varepsilon=ε vartheta=ϑ \
    varsigma=ς varrho=ϱ Upsilon=Υ Xi=Ξ Pi=Π oplus=⊕ otimes=⊗ wedge=∧ vee=∨ lnot=¬";

/// Commands that stand for their own name.
const NAMED: &str =
    "sin cos tan log ln cosh sinh tanh arctan arcsin arccos exp max min lim sup inf";

/// Commands of which nothing is written.
const SILENT: &str = "! left right big Big bigl bigr displaystyle textstyle rm limits";

/// The text that a command stands for.
pub(super) fn symbol(name: &str) -> Option<&str> {
    match name {
        "," | ";" | ":" | " " => Some(" "),
        "quad" => Some("  "),
        "qquad" => Some("    "),
        "{" | "}" | "$" | "%" | "#" | "&" | "_" => Some(name),
        name if is_listed(NAMED, name) => Some(name),
        name if is_listed(SILENT, name) => Some(""),
        name => {
            let mut signs = SIGNS.split(' ').filter_map(|pair| pair.split_once('='));
            signs.find(|(known, _)| *known == name).map(|(_, sign)| sign)
        }
    }
}

fn is_listed(words: &str, name: &str) -> bool {
    words.split(' ').any(|word| word == name)
}

/// Commands that the rules' converter does not know, or that do nothing there: what they hold stays. (That of
/// pylatexenc 2.10.)
const LOST: &str = "ne lt gt cot sec csc text textbf textit textrm textsc textsl textnormal emph mathrm mathop mathbin \
    mathrel operatorname overline underline widehat widetilde overrightarrow underbrace overset underset \
    stackrel boxed fbox hbox phantom smash bm boldsymbol bf it sf binom dbinom tbinom choose cfrac coth \
    sech csch arcsec lg gcd lcm det deg dim arg ker Pr Re Im mod pmod bmod cdotp iff implies lbrack \
    rbrack triangle degree hline newline space enspace thinspace medspace negthinspace Bigl Bigr bigg \
    Bigg biggl biggr Biggl Biggr middle scriptstyle mathstrut cancel tag colon lor land neg bot percent \
    textpercent cent | / < >";

pub(super) fn is_lost(name: &str) -> bool {
    is_listed(LOST, name)
}

/// Tables that are written in brackets.
pub(super) const TABLES: &[&str] =
    &["array", "pmatrix", "bmatrix", "smallmatrix", "psmallmatrix", "bsmallmatrix"];

/// Environments of which only the content is written.
pub(super) const CONTENTS: &[&str] =
    &["matrix", "vmatrix", "Vmatrix", "Bmatrix", "cases", "aligned", "gathered"];

/// Capital letters with two strokes that are older than the row of the others.
const STRUCK: [(char, char); 7] =
    [('C', 'ℂ'), ('H', 'ℍ'), ('N', 'ℕ'), ('P', 'ℙ'), ('Q', 'ℚ'), ('R', 'ℝ'), ('Z', 'ℤ')];

/// Letters in the style of `\mathbf` or `\mathbb`; all else stays.
pub(super) fn styled(text: &str, struck: bool) -> String {
    let (capital, small) = if struck { ('𝔸', '𝕒') } else { ('𝐀', '𝐚') };
    let letter = |letter: char| {
        let (first, row) = match letter {
            'A'..='Z' => ('A', capital),
            'a'..='z' => ('a', small),
            _ => return letter,
        };
        let older = STRUCK.iter().find(|(plain, _)| struck && *plain == letter);
        let place = u32::from(letter) - u32::from(first) + u32::from(row);
        older.map(|(_, older)| *older).or_else(|| char::from_u32(place)).unwrap_or(letter)
    };
    text.chars().map(letter).collect()
}
