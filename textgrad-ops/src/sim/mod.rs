//! The embedded default engine: a *simulation* of a language model and of a reward model.
//!
//! With it, a machine that has no key and no GPU runs the real loop of test-time preference optimization:
//! sample answers, score them, ask why the best is preferred to the worst, turn the critique into
//! instructions, rewrite the best, repeat. It exists to test, to teach and to study the algorithm. It knows
//! nothing about the world, and its figures are figures about itself: anything that shows them must say so
//! ([`Engine::is_simulation`]).
//!
//! # What it simulates
//! Answers have aspects: strengths that a query calls for (a direct answer, a reason, an example, steps, a
//! caveat, ...) and flaws (padding, hedging, digressions, flattery, too many words). One table holds, for
//! each, the query words that call for it, sentences that have it, the phrases by which it is found, and
//! what critiques and instructions call it. All parts meet in text only:
//! * the **policy** writes sentences for the aspects that it happens to cover, and commits some flaws;
//! * the **critic** names what one of two texts has and the other lacks. A difference is noticed with
//!   probability *skill*; what is the same in both, or is in a single text, far less often;
//! * the **gradient** turns what it reads in the critique into instructions, each with probability *skill*,
//!   and now and then makes one up;
//! * the **updater** follows each instruction that it reads with probability *skill*, and the less skill it
//!   has, the more it damages what it was not asked to touch;
//! * the **reward model** ([`reward`]) finds the aspects in any text by the words in it.
//!
//! With much skill (0.8 to 0.9) the mean reward of the candidates rises over the iterations and levels off;
//! with little (0.2) it falls well below that of the first samples and stays there, since each rewrite
//! starts from the best of the pool and spoils it. Neither is written anywhere: it is what these parts do
//! together.
//!
//! The engine reads the messages it is sent and nothing else (not the purpose of the request), and the same
//! messages with the same seed give the same text on every machine. Choice `i` uses seed + `i`; without a
//! seed the messages alone decide. So a caller that asks the same again and wants another answer has to give
//! another seed. At temperature 0 all choices are alike and the seed is not read.
//! A [format](textgrad_core::Request::format) is refused.
//! Other temperatures, `top_p`, penalties and extras change nothing. Images are only told apart, not seen: a
//! question with an image is answered by saying so.
//! A text has four tokens for every three words.
//!
//! # Tasks with a right answer
//! Beside open queries, the simulation works out [counting] and [sorting] questions, so that the
//! optimization of a prompt can be run, tested and shown offline. It reads the question, works it out in
//! writing, and makes mistakes: it takes a number word for another, forgets a thing, counts one of another
//! category, adds up wrongly, or puts the answer where nobody looks for it. What the prompt asks for (system
//! message, and what else stands beside the question) changes that. Each of these wishes, in any of several
//! phrasings, lowers one kind of mistake: to go step by step (all a little), to list every item, to ignore
//! other categories, to watch number words and plurals, to compare letter by letter, to check the sum again,
//! to put the answer on the last line. A wish to answer at once, or for a guess, does harm, and so does a
//! prompt of more than 110 words. A plain prompt gets about six questions of ten right, the best about 95 of
//! a hundred.
//!
//! * The **critic** compares a worked answer with its question where the answer was judged wrong (it looks for
//!   itself where nobody judged), and asks for what would help against the mistakes that it sees: each with
//!   probability *skill*, else for something else. Right answers make it say that the prompt can stay.
//! * **Merging** keeps each point once, what most pieces of feedback ask for first.
//! * The **updater** takes up two points at a time, each with probability *skill*. It keeps to limits such as
//!   `at most 80 words` among the constraints. The less skill it has, the more often it loses a sentence of
//!   the prompt or puts in one that does harm: validation has something to catch.
//!
//! A few other tasks, as far as they can be simulated honestly: worked solutions of *linear equations* in x,
//! one equation a line, which are checked and mended line by line; *code* whose tests failed, in which three
//! defects are known by their look (a loop that stops one short, a recursion without end, a largest value
//! sought from 0); *judgements* that a program reads (a score on a scale such as 1 to 10, a verdict `A` or
//! `B`, yes or no), from a system message that asks for one and a user message that has the parts to judge in
//! sections or behind labels such as `Question:`. They follow the reference or the right answer where there
//! is one, else [`reward`], with noise where skill is missing. It solves no equation by itself, writes no
//! code, and runs none.
//!
//! # The contract for prompt packs
//! What is asked is told by *sections*. A section is `<NAME>` at the start of a line, up to the next
//! `</NAME>`; its text may stand on the same lines as the tags. Text that itself contains `</NAME>` is put
//! in a fenced section, `<NAME-2>` to `</NAME-2>` (or 3, 4, ...). Content is data, and may hold anything else.
//! A tag that is never closed, or that stands in the middle of a line, is no section.
//!
//! The names are `QUERY`, `RESPONSE`, `CHOSEN_RESPONSE`, `REJECTED_RESPONSE`, `LM_SYSTEM_PROMPT`, `LM_INPUT`,
//! `LM_OUTPUT`, `CONVERSATION`, `CONTEXT`, `VARIABLE`, `ROLE`, `FEEDBACK`, `CONSTRAINTS`, `EXAMPLES`,
//! `EXAMPLE_INPUT`, `EXAMPLE_OUTPUT`, `FEEDBACK_EXAMPLE`, `OBJECTIVE_FUNCTION`, `FUNCTION_PURPOSE` and
//! `FUNCTION_INPUT`; and `PAST_FEEDBACK`, `PAST_VARIABLE`, `PAST_RESPONSE`, `REJECTED_VARIABLE`, `BROKEN_RULE`,
//! `VIOLATION`, `LM_EARLIER_INPUT` and `LM_EARLIER_OUTPUT`, of which no notice is taken. Sections are looked for inside `CONVERSATION`, `CONTEXT` and
//! `LM_SYSTEM_PROMPT`, and
//! inside no other.
//!
//! | request | the messages |
//! |---|---|
//! | loss | no assistant turn; the system message has a `QUERY` section and, to contrast, a `REJECTED_RESPONSE` (it may also be in the user message) or `RESPONSE` sections from best to worst, the last of which is what it is held against, and mentions neither `<VARIABLE>`, `<FEEDBACK>`, `<LM_OUTPUT>` nor output tags outside of sections. The text judged is the `CHOSEN_RESPONSE` section of either message, else the whole user message |
//! | gradient | the last user message has a `VARIABLE` section, and no output tags are named. The critique is the `LM_OUTPUT` section, else the last assistant turn; `FEEDBACK` sections are used like it |
//! | update | output tags are named, and the last user message has a `VARIABLE` section and one or more `FEEDBACK` sections. After an assistant turn, that turn may stand in for the feedback, and an earlier `VARIABLE`, `CHOSEN_RESPONSE` or (under a system message with a `QUERY`) the first user message for the variable. A `QUERY` section anywhere gives the topic. A `ROLE` that speaks of a system prompt or of instructions has the instructions themselves added to the text |
//! | reduce | the last user message has two or more `FEEDBACK` sections and no `VARIABLE` |
//! | plain | anything without these markers: the last user message is the query |
//!
//! *Output tags* are named by mentioning both `<X>` and `</X>`, in the system message or else in the last
//! user message, outside of sections; X is the last such name that is not the name of a section. An update
//! is answered inside them, each tag on a line of its own.
//!
//! A query may itself contain such tags. So a request is only looked at as one of the framework's if its
//! system message mentions `<VARIABLE>`, `<FEEDBACK>`, `<LM_OUTPUT>` or output tags or has a `QUERY` section,
//! or if there is an assistant turn. Such a request that has markers but fits none of the rows above is an
//! error of kind [`ErrorKind::Unsupported`] that lists what was seen and what is missing.

pub mod counting;
mod criteria;
mod critic;
mod detect;
mod gradient;
mod judge;
mod policy;
mod request;
mod reward;
mod rng;
mod sections;
#[cfg(test)]
mod tests;
mod text;
mod topic;
mod updater;

use std::str::FromStr;
use std::time::Duration;

use async_trait::async_trait;
use textgrad_core::{Engine, EngineError, EngineInfo, ErrorKind, Message, Request, Response, Usage, truncate};

use self::counting::PromptTask;
use self::judge::Judge;
use self::request::{Conversation, Task, recognise};
use self::rng::Rng;

#[doc(inline)]
pub use self::reward::reward;

/// How well instructions are followed unless said otherwise.
const SKILL: f64 = 0.8;
/// The most choices that one request draws; whoever wants more asks again.
const MAX_CHOICES: u32 = 1024;

/// The simulated language model; see the [module](self).
///
/// # Examples
/// ```
/// use textgrad_core::{Engine, Message, Purpose, Request, Sampling};
/// use textgrad_ops::sim::{self, Sim};
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let sim = Sim::default();
/// let query = "How do I take care of a wooden table?";
/// let request = Request::new(Purpose::Sample, [Message::user(query)])
///     .with_sampling(Sampling::default().with_n(5).with_seed(7));
/// let response = sim.complete(&request).await?;
/// assert_eq!(response.choices.len(), 5);
/// assert_eq!(response.model, "sim (simulation)");
/// assert_eq!(sim.complete(&request).await?, response);
/// for choice in &response.choices {
///     println!("{:+.1} {}", sim::reward(query, &choice.text), choice.text);
/// }
/// # Ok::<(), textgrad_core::EngineError>(()) }).unwrap();
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Sim {
    info: EngineInfo,
    skill: f64,
    latency: Duration,
}

/// Sets up a [`Sim`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use textgrad_ops::sim::Sim;
///
/// let weak = Sim::builder().skill(0.2).latency(Duration::from_millis(50)).build()?;
/// assert_eq!(weak.skill(), 0.2);
/// assert_eq!(textgrad_core::Engine::name(&weak), "sim:skill-0.2");
/// assert!(Sim::builder().skill(1.5).build().is_err());
/// # Ok::<(), textgrad_core::EngineError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SimBuilder {
    sim: Sim,
}

impl Sim {
    /// Sets up a simulation.
    #[must_use]
    pub fn builder() -> SimBuilder {
        SimBuilder { sim: Self::default() }
    }

    /// How well instructions are followed, in [0, 1].
    #[must_use]
    pub fn skill(&self) -> f64 {
        self.skill
    }
}

impl Default for Sim {
    /// A simulation of skill 0.8 that answers at once.
    fn default() -> Self {
        Self {
            info: EngineInfo::from_static("sim").with_simulation(true),
            skill: SKILL,
            latency: Duration::ZERO,
        }
    }
}

impl SimBuilder {
    /// How well instructions are followed, from 0 (not at all, and with much damage) to 1 (always). 0.8
    /// unless set; around 0.8 to 0.9 the loop improves its answers, at 0.2 it spoils them.
    #[must_use]
    pub fn skill(mut self, skill: f64) -> Self {
        // Another skill gives other answers: caches and journals tell engines apart by their names.
        self.sim.info = EngineInfo::new(if skill == SKILL {
            "sim".to_owned()
        } else {
            format!("sim:skill-{skill}")
        })
        .with_simulation(true);
        self.sim.skill = skill;
        self
    }

    /// How long each request takes; nothing unless set.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.sim.latency = latency;
        self
    }

    /// The simulation.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the skill is not a number from 0 to 1.
    pub fn build(self) -> Result<Sim, EngineError> {
        if (0.0..=1.0).contains(&self.sim.skill) {
            Ok(self.sim)
        } else {
            Err(EngineError::new(
                ErrorKind::InvalidRequest,
                format!("expected a skill from 0 to 1, got {}; 0.8 is the default", self.sim.skill),
            ))
        }
    }
}

impl FromStr for SimBuilder {
    type Err = EngineError;

    /// Reads settings such as `skill=0.3,latency_ms=5`; each may be left out.
    fn from_str(settings: &str) -> Result<Self, EngineError> {
        let wrong = |expected: &str, setting: &str| {
            let got = truncate(setting, 80);
            EngineError::new(ErrorKind::InvalidRequest, format!("expected {expected} `{got}`"))
        };
        let mut builder = Sim::builder();
        for setting in settings.split(',').map(str::trim).filter(|setting| !setting.is_empty()) {
            let number =
                |text: &str| text.trim().parse::<f64>().map_err(|_| wrong("a number in", setting));
            builder = match setting.split_once('=') {
                Some(("skill", skill)) => builder.skill(number(skill)?),
                Some(("latency_ms", milliseconds)) => builder.latency(
                    Duration::try_from_secs_f64(number(milliseconds)? / 1e3)
                        .map_err(|_| wrong("a time of 0 or more in", setting))?,
                ),
                _ => {
                    let expected = "`skill=0.8` or `latency_ms=5` behind `sim:`, got";
                    return Err(wrong(expected, setting));
                }
            };
        }
        Ok(builder)
    }
}

/// What answers a request.
enum Writer<'a> {
    Judge(Judge<'a>),
    Prompt(PromptTask<'a>),
    Open(Task<'a>),
}

impl<'a> Writer<'a> {
    fn of(conversation: &'a Conversation) -> Result<Self, EngineError> {
        if let Some(judge) = Judge::recognise(conversation) {
            return Ok(Self::Judge(judge));
        }
        let task = recognise(conversation)?;
        Ok(match PromptTask::recognise(conversation, &task) {
            Some(task) => Self::Prompt(task),
            None => Self::Open(task),
        })
    }

    fn write(&self, skill: f64, rng: &mut Rng) -> String {
        let task = match self {
            Self::Judge(judge) => return judge.write(skill, rng),
            Self::Prompt(task) => return task.write(skill, rng),
            Self::Open(task) => task,
        };
        match task {
            Task::Plain { system, query } => policy::answer(system, query, skill, rng),
            Task::Loss { query, chosen, rejected } => {
                critic::critique(query, chosen, *rejected, skill, rng)
            }
            Task::Gradient { critique } => gradient::instructions(critique, skill, rng),
            Task::Update { tag, query, role, variable, feedback } => {
                let task = updater::Rewrite { query: *query, role, variable, feedback };
                rewritten(tag, &updater::rewrite(task, skill, rng))
            }
            Task::Reduce { tag, feedback } => {
                let text = gradient::reduce(feedback, rng);
                tag.map_or_else(|| text.clone(), |tag| tagged(tag, &text))
            }
        }
    }
}

fn rewritten(tag: &str, text: &str) -> String {
    format!("The text, rewritten by the feedback:\n{}", tagged(tag, text))
}

fn tagged(tag: &str, text: &str) -> String {
    format!("<{tag}>\n{text}\n</{tag}>")
}

#[async_trait]
impl Engine for Sim {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn complete(&self, request: &Request) -> Result<Response, EngineError> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let sampling = &request.sampling;
        if sampling.n == 0 {
            return Err(EngineError::new(
                ErrorKind::InvalidRequest,
                "expected n of at least 1, got 0; ask for one answer or more",
            ));
        }
        if request.messages.iter().any(Message::has_image) {
            return Err(EngineError::new(
                ErrorKind::Unsupported,
                "the simulation cannot see images; use an engine with a vision model",
            ));
        }
        if request.format.is_some() {
            return Err(EngineError::new(
                ErrorKind::Unsupported,
                "the simulation writes plain text only, but a format was asked for; leave it out or use \
                 another engine",
            ));
        }
        let conversation = Conversation::new(&request.messages);
        let writer = Writer::of(&conversation)?;
        let key = rng::key(&request.messages);
        let greedy = sampling.temperature.is_some_and(|t| t <= 0.0);
        let seed = sampling.seed.filter(|_| !greedy).unwrap_or_default();
        let choices: Vec<_> = (0..sampling.n.min(MAX_CHOICES))
            .map(|index| {
                let step = if greedy { 0 } else { u64::from(index) };
                let mut rng = Rng::new(key, seed.wrapping_add(step));
                text::finish(writer.write(self.skill, &mut rng), sampling)
            })
            .collect();
        let usage = Usage {
            prompt_tokens: request
                .messages
                .iter()
                .map(|message| text::tokens(&message.text()))
                .sum(),
            completion_tokens: choices.iter().map(|choice| text::tokens(&choice.text)).sum(),
            cached_tokens: 0,
        };
        Ok(Response::new(choices).with_usage(usage).with_model("sim (simulation)"))
    }
}
