//! The table of what an answer may have: virtues that a query calls for, and flaws.
//!
//! One row serves everybody: the policy and the updater write its `wordings`, the reward and the critic find
//! its `cues`, the critic and the gradient speak of it by its `names`, and whoever reads a critique or an
//! instruction knows it by its `mentions`. A new aspect is one new row.

/// Whether an aspect speaks for an answer or against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Wanted by any query, or only by one with a trigger.
    Virtue {
        /// Whether queries without a trigger call for it too.
        always: bool,
    },
    /// Never wanted.
    Flaw,
    /// A flaw of the text as a whole: too many words.
    Length,
}

/// A row of the table. Cues, triggers and mentions are phrases of lower-case words; `#` is any number.
#[derive(Debug)]
pub(super) struct Aspect {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Its share in the reward.
    pub(super) weight: f64,
    /// Where in an answer it stands, from 0 (first) to 9 (last).
    pub(super) place: u8,
    /// Phrases in a query that call for it.
    pub(super) triggers: &'static [&'static str],
    /// Sentences that have it; `{topic}` stands for the topic of the query.
    pub(super) wordings: &'static [&'static str],
    /// Phrases in a sentence that show it.
    pub(super) cues: &'static [&'static str],
    /// What it is called in a critique.
    pub(super) names: &'static [&'static str],
    /// Instructions to add it or, if it is a flaw, to remove it.
    pub(super) instructions: &'static [&'static str],
    /// Phrases by which a critique or an instruction speaks of it.
    pub(super) mentions: &'static [&'static str],
}

impl Aspect {
    pub(super) fn is_virtue(&self) -> bool {
        matches!(self.kind, Kind::Virtue { .. })
    }
}

const BASE: Kind = Kind::Virtue { always: true };
const ASKED: Kind = Kind::Virtue { always: false };

/// All aspects. At most 32: sets of them are bits.
pub(super) const TABLE: &[Aspect] = &[
    Aspect {
        name: "flattery",
        kind: Kind::Flaw,
        weight: 0.7,
        place: 0,
        triggers: &[],
        wordings: &[
            "Great question, and one that shows real insight!",
            "What a wonderful thing to ask about {topic}!",
            "I love this question, and you are clearly very thoughtful.",
        ],
        cues: &[
            "great question",
            "good question",
            "excellent question",
            "what a wonderful",
            "i love this question",
        ],
        names: &["flattery", "flattering remarks to the reader"],
        instructions: &[
            "Drop the flattery.",
            "Remove flattering remarks to the reader.",
        ],
        mentions: &["flattery", "flattering", "compliments"],
    },
    Aspect {
        name: "answer",
        kind: BASE,
        weight: 1.4,
        place: 1,
        triggers: &[],
        wordings: &[
            "The short answer is that {topic} comes down to getting a few basic things right.",
            "Put directly, {topic} is mostly a matter of knowing what you want before you start.",
            "In a nutshell, the main point about {topic} is simpler than it looks.",
        ],
        cues: &[
            "the short answer",
            "put directly",
            "in a nutshell",
            "the answer is",
        ],
        names: &["a direct answer", "a direct answer to the question"],
        instructions: &[
            "Open with a direct answer.",
            "Give a direct answer before anything else.",
        ],
        mentions: &[
            "direct answer",
            "straight answer",
            "answer directly",
            "answer the question",
        ],
    },
    Aspect {
        name: "definition",
        kind: ASKED,
        weight: 0.9,
        place: 2,
        triggers: &[
            "what is", "what are", "whats", "define", "explain", "meaning", "mean", "concept",
            "term",
        ],
        wordings: &[
            "To define the terms, {topic} is meant here in its everyday sense.",
            "The phrase refers to {topic} as most people meet it, not to a special case.",
            "By definition, {topic} covers the common case and leaves out the rare ones.",
        ],
        cues: &[
            "to define",
            "is defined as",
            "refers to",
            "by definition",
            "in other words",
        ],
        names: &["a definition of the terms", "a clear definition"],
        instructions: &["Define the terms that you use.", "Add a clear definition."],
        mentions: &["definition", "define", "defines", "terms"],
    },
    Aspect {
        name: "reason",
        kind: BASE,
        weight: 1.2,
        place: 3,
        triggers: &["why", "because", "cause"],
        wordings: &[
            "This matters because the parts of {topic} build on one another.",
            "The reason is that {topic} depends on several things at once, and the weakest one decides.",
            "That is why experience with {topic} counts for more than talent.",
        ],
        cues: &[
            "because",
            "the reason is",
            "that is why",
            "this is why",
            "due to",
            "since",
        ],
        names: &["the reason behind the claim", "an explanation of why"],
        instructions: &[
            "Explain why it is so.",
            "State the reason behind the claim.",
        ],
        mentions: &[
            "reason",
            "reasons",
            "reasoning",
            "explanation",
            "explain why",
            "explains why",
        ],
    },
    Aspect {
        name: "comparison",
        kind: ASKED,
        weight: 0.9,
        place: 4,
        triggers: &[
            "vs",
            "versus",
            "compare",
            "difference",
            "differences",
            "better",
            "best",
            "or",
            "than",
            "which",
            "relation",
        ],
        wordings: &[
            "Compared with the usual alternative, {topic} asks for more at the start and less later.",
            "In contrast to what one hears, {topic} differs from its neighbours mainly in degree.",
            "On the other hand, there are close relatives of {topic} that suit some people more.",
        ],
        cues: &[
            "compared with",
            "compared to",
            "in contrast",
            "on the other hand",
            "whereas",
            "unlike",
        ],
        names: &["a comparison", "a comparison with something close to it"],
        instructions: &[
            "Add a comparison.",
            "Compare it with something close to it.",
        ],
        mentions: &["comparison", "comparisons", "compare", "compares"],
    },
    Aspect {
        name: "options",
        kind: ASKED,
        weight: 0.9,
        place: 4,
        triggers: &[
            "suggest",
            "recommend",
            "ideas",
            "some",
            "list",
            "options",
            "ways",
            "names",
            "advice",
        ],
        wordings: &[
            "One option is the plain form of {topic}, another option is to mix it with something familiar.",
            "Among the options, the cheap and simple ones for {topic} deserve a look before the others.",
            "There are several ways to go about {topic}, from quick and rough to slow and careful.",
        ],
        cues: &[
            "one option",
            "another option",
            "among the options",
            "several ways",
            "alternatively",
        ],
        names: &["several options", "a choice of options"],
        instructions: &[
            "Offer several options.",
            "Give the reader a choice of options.",
        ],
        mentions: &["option", "options"],
    },
    Aspect {
        name: "steps",
        kind: ASKED,
        weight: 1.2,
        place: 5,
        triggers: &[
            "how do",
            "how to",
            "how can",
            "how should",
            "recipe",
            "plan",
            "guide",
            "instructions",
            "agenda",
            "build",
            "make",
            "cook",
            "bake",
            "learn",
            "learning",
        ],
        wordings: &[
            "Step by step: list what {topic} needs, do the easiest part, check it, and only then go on.",
            "First, gather what you have; next, work on {topic} in small parts; lastly, check the result.",
            "Begin with a small part of {topic}, and once that holds, move on to the next step.",
        ],
        cues: &[
            "step by step",
            "first",
            "next step",
            "lastly",
            "step #",
            "secondly",
        ],
        names: &["ordered steps", "steps in a clear order"],
        instructions: &["Lay out ordered steps.", "Give the steps in a clear order."],
        mentions: &["step", "steps", "step by step"],
    },
    Aspect {
        name: "example",
        kind: BASE,
        weight: 1.1,
        place: 6,
        triggers: &["example", "examples"],
        wordings: &[
            "For example, somebody new to {topic} could try the smallest version and see what changes.",
            "For instance, two people who approach {topic} with equal care may still end up far apart.",
            "To take a concrete case, think of a friend who meets {topic} on an ordinary Monday.",
        ],
        cues: &["for example", "for instance", "a concrete case", "such as"],
        names: &["a concrete example", "an example that makes it concrete"],
        instructions: &[
            "Add a concrete example.",
            "Illustrate the point with an example.",
        ],
        mentions: &["example", "examples", "illustration", "illustrate"],
    },
    Aspect {
        name: "figure",
        kind: ASKED,
        weight: 0.9,
        place: 6,
        triggers: &[
            "how many", "how much", "how long", "how far", "how old", "when", "year", "cost",
            "price", "number", "time", "duration",
        ],
        wordings: &[
            "As a rough figure, plan about 30 minutes for one try at {topic}.",
            "In numbers, some 80 percent of the effort around {topic} goes into 20 percent of the cases.",
            "Expect something like 2 to 3 attempts before {topic} feels familiar.",
        ],
        cues: &["#"],
        names: &["a figure", "numbers to go by"],
        instructions: &["Give a figure.", "Back it with numbers."],
        mentions: &["figure", "figures", "number", "numbers"],
    },
    Aspect {
        name: "evidence",
        kind: ASKED,
        weight: 0.8,
        place: 6,
        triggers: &[
            "true", "evidence", "prove", "proof", "science", "history", "who", "fact", "facts",
            "research",
        ],
        wordings: &[
            "You can verify this by looking up {topic} in any two independent references.",
            "The evidence for {topic} is public, and a good library has it.",
            "According to the people who study {topic}, this has held for a long time.",
        ],
        cues: &[
            "you can verify",
            "the evidence",
            "according to",
            "studies show",
        ],
        names: &["evidence for the claim", "a source that can be checked"],
        instructions: &["Point to evidence.", "Name a source that can be checked."],
        mentions: &["evidence", "source", "sources"],
    },
    Aspect {
        name: "caveat",
        kind: BASE,
        weight: 0.9,
        place: 7,
        triggers: &["safe", "risk", "should i", "danger"],
        wordings: &[
            "One caveat: what works for {topic} in one place can fail in another.",
            "Keep in mind that {topic} has exceptions, and that yours may be one of them.",
            "Be careful, though, not to rush {topic} when something looks odd.",
        ],
        cues: &[
            "caveat",
            "keep in mind",
            "be careful",
            "however",
            "exceptions",
        ],
        names: &["a caveat", "a word on the limits"],
        instructions: &["Add a caveat.", "Say where the limits are."],
        mentions: &["caveat", "caveats", "limits", "limitations"],
    },
    Aspect {
        name: "tone",
        kind: ASKED,
        weight: 0.7,
        place: 8,
        triggers: &[
            "i am", "im", "my", "feel", "help", "please", "email", "letter", "sorry", "advice",
            "friend",
        ],
        wordings: &[
            "You are not alone in finding {topic} hard, so be patient with yourself.",
            "Take heart: with a little practice {topic} becomes a pleasure.",
            "Good luck with {topic}, and enjoy the part that you already do well.",
        ],
        cues: &[
            "you are not alone",
            "be patient with yourself",
            "take heart",
            "good luck",
            "well done",
        ],
        names: &["a warm tone", "encouragement for the reader"],
        instructions: &["Use a warm tone.", "Add a line of encouragement."],
        mentions: &["tone", "warm", "warmth", "encouragement"],
    },
    Aspect {
        name: "summary",
        kind: BASE,
        weight: 0.6,
        place: 9,
        triggers: &["summarize", "summarise", "summary", "conclude"],
        wordings: &[
            "In short, treat {topic} with a plan and with some patience.",
            "To sum up, {topic} rewards those who keep it simple.",
            "All in all, a calm start with {topic} is worth more than a perfect one.",
        ],
        cues: &[
            "in short",
            "to sum up",
            "all in all",
            "in conclusion",
            "in summary",
        ],
        names: &["a closing summary", "a summary at the end"],
        instructions: &["Close with a summary.", "Add a summary at the end."],
        mentions: &[
            "summary",
            "summaries",
            "conclusion",
            "summarize",
            "summarise",
        ],
    },
    Aspect {
        name: "padding",
        kind: Kind::Flaw,
        weight: 0.6,
        place: 4,
        triggers: &[],
        wordings: &[
            "It goes without saying that {topic} has been discussed by many people in many places.",
            "It is worth noting that there is much to be said about {topic}, and much has been said.",
            "Needless to say, {topic} is a subject with many sides to it.",
        ],
        cues: &[
            "it goes without saying",
            "it is worth noting",
            "needless to say",
            "as we all know",
        ],
        names: &["padding", "filler that says nothing"],
        instructions: &["Cut the padding.", "Remove filler that says nothing."],
        mentions: &["padding", "filler", "padded", "wordy"],
    },
    Aspect {
        name: "hedging",
        kind: Kind::Flaw,
        weight: 0.7,
        place: 5,
        triggers: &[],
        wordings: &[
            "It might perhaps be that {topic} is different, but it is hard to say.",
            "I am not sure, and it may or may not be so with {topic}.",
            "Perhaps things could possibly turn out otherwise with {topic}.",
        ],
        cues: &[
            "might perhaps",
            "hard to say",
            "i am not sure",
            "may or may not",
            "could possibly",
        ],
        names: &["hedging", "hedging that commits to nothing"],
        instructions: &["Stop hedging.", "Take a stand and leave out the hedging."],
        mentions: &["hedging", "hedge", "hedges", "vague"],
    },
    Aspect {
        name: "drift",
        kind: Kind::Flaw,
        weight: 0.9,
        place: 7,
        triggers: &[],
        wordings: &[
            "By the way, the weather has been remarkable lately.",
            "On an unrelated note, gardens are at their finest in early summer.",
            "That reminds me of an old story about a ferry and a lost umbrella.",
        ],
        cues: &[
            "by the way",
            "unrelated note",
            "that reminds me",
            "speaking of which",
        ],
        names: &["a digression", "remarks that are off-topic"],
        instructions: &[
            "Remove the digression.",
            "Remove remarks that are off-topic.",
        ],
        mentions: &["digression", "digressions", "off topic", "irrelevant"],
    },
    Aspect {
        name: "length",
        kind: Kind::Length,
        weight: 0.6,
        place: 9,
        triggers: &[
            "brief",
            "briefly",
            "short",
            "concise",
            "in one sentence",
            "one sentence",
            "tldr",
        ],
        wordings: &[],
        cues: &[],
        names: &["too much length", "more length than the query asks for"],
        instructions: &["Shorten the text.", "Make it more concise."],
        mentions: &[
            "length", "too long", "shorten", "concise", "brief", "brevity", "shorter",
        ],
    },
];
