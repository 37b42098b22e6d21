//! Criteria: what speaks for an answer, and what against it.
//!
//! One row serves every part: the policy and the updater write its `wordings`, the reward model and the critic
//! find its `cues`, the critic and the gradient name it by its `names`, and readers of a critique or an
//! instruction recognize it by its `mentions`. A new criterion is one new row.

/// Whether a criterion speaks for an answer or against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Wanted by any query, or only by one with a trigger.
    Strength {
        /// Whether queries without a trigger call for it too.
        always: bool,
    },
    /// Never wanted.
    Flaw,
    /// A flaw of the text as a whole: too many words.
    Length,
}

/// A row of the table. Each text lists its entries with `|` between them. Cues, triggers and mentions are
/// phrases of lower-case words; `#` is any number.
#[derive(Debug)]
pub(crate) struct Criterion {
    /// Its name in tests.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests find rows by it"))]
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Its share in the reward.
    pub(crate) weight: f64,
    /// Its position in an answer, from 0 (first) to 9 (last).
    pub(crate) position: u8,
    /// Phrases in a query that call for it.
    pub(crate) triggers: &'static str,
    /// Sentences that have it; `{topic}` stands for the topic of the query.
    pub(crate) wordings: &'static str,
    /// Phrases in a sentence that show it.
    pub(crate) cues: &'static str,
    /// What it is called in a critique.
    pub(crate) names: &'static str,
    /// Instructions to add it or, if it is a flaw, to remove it.
    pub(crate) instructions: &'static str,
    /// Phrases by which a critique or an instruction mentions it.
    pub(crate) mentions: &'static str,
}

impl Criterion {
    pub(crate) fn is_strength(&self) -> bool {
        matches!(self.kind, Kind::Strength { .. })
    }
}

/// The rows of the table with their indices. At most 32: sets of them are bits.
pub(crate) fn criteria() -> impl Iterator<Item = (usize, &'static Criterion)> {
    CRITERIA.iter().enumerate()
}

const fn row(name: &'static str, kind: Kind, weight: f64, position: u8) -> Criterion {
    let (triggers, wordings, cues, names, instructions, mentions) = ("", "", "", "", "", "");
    Criterion {
        name,
        kind,
        weight,
        position,
        triggers,
        wordings,
        cues,
        names,
        instructions,
        mentions,
    }
}

const fn always(name: &'static str, weight: f64, position: u8) -> Criterion {
    row(name, Kind::Strength { always: true }, weight, position)
}

const fn on_request(name: &'static str, weight: f64, position: u8) -> Criterion {
    row(name, Kind::Strength { always: false }, weight, position)
}

const fn flaw(name: &'static str, weight: f64, position: u8) -> Criterion {
    row(name, Kind::Flaw, weight, position)
}

const CRITERIA: &[Criterion] = &[
    Criterion {
        wordings: "The short answer is that {topic} comes down to getting a few basic things right.|\
             Put directly, {topic} is mostly a matter of knowing what you want before you start.|\
             In a nutshell, the main point about {topic} is simpler than it looks.",
        cues: "the short answer|put directly|in a nutshell|the answer is",
        names: "a direct answer|a direct answer to the question",
        instructions: "Open with a direct answer.|Give a direct answer before anything else.",
        mentions: "direct answer|straight answer|answer directly|answer the question",
        ..always("answer", 1.4, 1)
    },
    Criterion {
        triggers: "what is|what are|whats|define|explain|meaning|mean|concept|term",
        wordings: "To define the terms, {topic} is meant here in its everyday sense.|\
             The phrase refers to {topic} as most people meet it, not to a special case.|\
             By definition, {topic} covers the common case and leaves out the rare ones.",
        cues: "to define|is defined as|refers to|by definition|in other words",
        names: "a definition of the terms|a clear definition",
        instructions: "Define the terms that you use.|Add a clear definition.",
        mentions: "definition|define|defines|terms",
        ..on_request("definition", 0.9, 2)
    },
    Criterion {
        triggers: "why|because|cause",
        wordings: "This matters because the parts of {topic} build on one another.|\
             The reason is that {topic} depends on several things at once, and the weakest one decides.|\
             That is why experience with {topic} counts for more than talent.",
        cues: "because|the reason is|that is why|this is why|due to|since",
        names: "the reason behind the claim|an explanation of why",
        instructions: "Explain why it is so.|State the reason behind the claim.",
        mentions: "reason|reasons|reasoning|explanation|explain why|explains why",
        ..always("reason", 1.2, 3)
    },
    Criterion {
        triggers: "vs|versus|compare|difference|differences|better|best|or|than|which|relation",
        wordings: "Compared with the usual alternative, {topic} asks for more at the start and less later.|\
             In contrast to what one hears, {topic} differs from its neighbours mainly in degree.|\
             On the other hand, there are close relatives of {topic} that suit some people more.",
        cues: "compared with|compared to|in contrast|on the other hand|whereas|unlike",
        names: "a comparison|a comparison with something close to it",
        instructions: "Add a comparison.|Compare it with something close to it.",
        mentions: "comparison|comparisons|compare|compares",
        ..on_request("comparison", 0.9, 4)
    },
    Criterion {
        triggers: "suggest|recommend|ideas|some|list|options|ways|names|advice",
        wordings: "One option is the plain form of {topic}, another option is to mix it with something familiar.|\
             Among the options, the cheap and simple ones for {topic} deserve a look before the others.|\
             There are several ways to go about {topic}, from quick and rough to slow and careful.",
        cues: "one option|another option|among the options|several ways|alternatively",
        names: "several options|a choice of options",
        instructions: "Offer several options.|Give the reader a choice of options.",
        mentions: "option|options",
        ..on_request("options", 0.9, 4)
    },
    Criterion {
        triggers: "how do|how to|how can|how should|recipe|plan|guide|instructions|agenda|build|make|cook|\
             bake|learn|learning",
        wordings: "Step by step: list what {topic} needs, do the easiest part, check it, and only then go on.|\
             First, gather what you have; next, work on {topic} in small parts; lastly, check the result.|\
             Begin with a small part of {topic}, and once that holds, move on to the next step.",
        cues: "step by step|first|next step|lastly|step #|secondly",
        names: "ordered steps|steps in a clear order",
        instructions: "Lay out ordered steps.|Give the steps in a clear order.",
        mentions: "step|steps|step by step",
        ..on_request("steps", 1.2, 5)
    },
    Criterion {
        triggers: "example|examples",
        wordings: "For example, somebody new to {topic} could try the smallest version and see what changes.|\
             For instance, two people who approach {topic} with equal care may still end up far apart.|\
             To take a concrete case, think of a friend who meets {topic} on an ordinary Monday.",
        cues: "for example|for instance|a concrete case|such as",
        names: "a concrete example|an example that makes it concrete",
        instructions: "Add a concrete example.|Illustrate the point with an example.",
        mentions: "example|examples|illustration|illustrate",
        ..always("example", 1.1, 6)
    },
    Criterion {
        triggers: "how many|how much|how long|how far|how old|when|year|cost|price|number|time|duration",
        wordings: "As a rough figure, plan about 30 minutes for one try at {topic}.|\
             In numbers, some 80 percent of the effort around {topic} goes into 20 percent of the cases.|\
             Expect something like 2 to 3 attempts before {topic} feels familiar.",
        cues: "#",
        names: "a figure|numbers to go by",
        instructions: "Give a figure.|Back it with numbers.",
        mentions: "figure|figures|number|numbers",
        ..on_request("figure", 0.9, 6)
    },
    Criterion {
        triggers: "true|evidence|prove|proof|science|history|who|fact|facts|research",
        wordings: "You can verify this by reading about {topic} in any two independent books.|\
             The evidence for {topic} is public, and a good library has it.|\
             According to the people who study {topic}, this has held for a long time.",
        cues: "you can verify|the evidence|according to|studies show",
        names: "evidence for the claim|a source that can be checked",
        instructions: "Point to evidence.|Name a source that can be checked.",
        mentions: "evidence|source|sources",
        ..on_request("evidence", 0.8, 6)
    },
    Criterion {
        triggers: "safe|risk|should i|danger",
        wordings: "One caveat: what works for {topic} in one place can fail in another.|\
             Keep in mind that {topic} has exceptions, and that yours may be one of them.|\
             Be careful, though, not to rush {topic} when something looks odd.",
        cues: "caveat|keep in mind|be careful|however|exceptions",
        names: "a caveat|a word on the limits",
        instructions: "Add a caveat.|Say where the limits are.",
        mentions: "caveat|caveats|limits|limitations",
        ..always("caveat", 0.9, 7)
    },
    Criterion {
        triggers: "i am|im|my|feel|help|please|email|letter|sorry|advice|friend",
        wordings: "You are not alone in finding {topic} hard, so be patient with yourself.|\
             Take heart: with a little practice {topic} becomes a pleasure.|\
             Good luck with {topic}, and enjoy the part that you already do well.",
        cues: "you are not alone|be patient with yourself|take heart|good luck|well done",
        names: "a warm tone|encouragement for the reader",
        instructions: "Use a warm tone.|Add a line of encouragement.",
        mentions: "tone|warm|warmth|encouragement",
        ..on_request("tone", 0.7, 8)
    },
    Criterion {
        triggers: "summarize|summarise|summary|conclude",
        wordings: "In short, treat {topic} with a plan and with some patience.|\
             To sum up, {topic} rewards those who keep it simple.|\
             All in all, a calm start with {topic} is worth more than a perfect one.",
        cues: "in short|to sum up|all in all|in conclusion|in summary",
        names: "a closing summary|a summary at the end",
        instructions: "Close with a summary.|Add a summary at the end.",
        mentions: "summary|summaries|conclusion|summarize|summarise",
        ..always("summary", 0.6, 9)
    },
    Criterion {
        wordings: "Great question, and one that shows real insight!|\
             What a wonderful thing to ask about {topic}!|\
             I love this question, and you are clearly very thoughtful.",
        cues: "great question|good question|excellent question|what a wonderful|i love this question",
        names: "flattery|flattering remarks to the reader",
        instructions: "Drop the flattery.|Remove flattering remarks to the reader.",
        mentions: "flattery|flattering|compliments",
        ..flaw("flattery", 0.7, 0)
    },
    Criterion {
        wordings: "It goes without saying that {topic} has been discussed by many people in many places.|\
             It is worth noting that there is much to be said about {topic}, and much has been said.|\
             Needless to say, {topic} is a subject with many sides to it.",
        cues: "it goes without saying|it is worth noting|needless to say|as we all know",
        names: "padding|filler that says nothing",
        instructions: "Cut the padding.|Remove filler that says nothing.",
        mentions: "padding|filler|padded|wordy",
        ..flaw("padding", 0.6, 4)
    },
    Criterion {
        wordings: "It might perhaps be that {topic} is different, but it is hard to say.|\
             I am not sure, and it may or may not be so with {topic}.|\
             Perhaps things could possibly turn out otherwise with {topic}.",
        cues: "might perhaps|hard to say|i am not sure|may or may not|could possibly",
        names: "hedging|hedging that commits to nothing",
        instructions: "Stop hedging.|Take a stand and leave out the hedging.",
        mentions: "hedging|hedge|hedges|vague",
        ..flaw("hedging", 0.7, 5)
    },
    Criterion {
        wordings: "By the way, the weather has been remarkable lately.|\
             On an unrelated note, gardens are at their finest in early summer.|\
             That reminds me of an old story about a ferry and a lost umbrella.",
        cues: "by the way|unrelated note|that reminds me|speaking of which",
        names: "a digression|remarks that are off-topic",
        instructions: "Remove the digression.|Remove remarks that are off-topic.",
        mentions: "digression|digressions|off topic|irrelevant",
        ..flaw("drift", 0.9, 7)
    },
    Criterion {
        triggers: "brief|briefly|short|concise|in one sentence|one sentence|tldr",
        names: "too much length|more length than the query asks for",
        instructions: "Shorten the text.|Make it more concise.",
        mentions: "length|too long|shorten|concise|brief|brevity|shorter",
        kind: Kind::Length,
        ..flaw("length", 0.6, 9)
    },
];
