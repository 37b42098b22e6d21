//! Simulated language model and reward model.
//!
//! A machine without a key and without a GPU runs the real loop of test-time preference optimization with it:
//! sample answers, score them, critique the best against the worst, turn the critique into instructions,
//! rewrite the best, repeat. It exists to test, to teach and to study the algorithm. It knows nothing about the
//! world, and its figures are figures about itself: whatever shows them must say so.
//!
//! # Parts
//! Answers are measured by criteria: strengths that a query calls for (a direct answer, a reason, an example,
//! steps, a caveat, ...) and flaws (padding, hedging, digressions, flattery, too many words). One table holds,
//! for each, the query words that call for it, sentences that have it, the phrases by which it is found, and
//! its names in critiques and instructions. The parts exchange text only:
//! * the **policy** writes sentences for the criteria that it happens to cover, and commits some flaws;
//! * the **critic** names what one of two texts has and the other lacks. It notices a difference with
//!   probability *skill*; what is the same in both, or is in a single text, far less often;
//! * the **gradient** turns the critique into instructions, each with probability *skill*, and now and then
//!   invents one;
//! * the **updater** follows each instruction with probability *skill*, and the less skill it has, the more it
//!   damages the rest of the text. Sentences of the system message that instruct (*Add a concrete example.*) are
//!   followed like the feedback, so the wording of an update can be learned;
//! * the **reward model** ([`reward`]) finds the criteria in any text by the words in it;
//! * what **fuses** answers starts from one of them, takes over what others have and the query calls for, and drops
//!   flaws that most of them do not have;
//! * the **judge** answers requests for a score on a scale, a verdict `A` or `B`, or yes or no, by the reward
//!   model, with noise where skill is missing.
//!
//! With much skill (0.8 to 0.9) the mean reward of the candidates rises over the iterations and levels off.
//! With little (0.2) it falls well below that of the first samples and stays there, since each rewrite starts
//! from the best of the pool and damages it. Neither is written anywhere: it emerges from the parts.
//!
//! The engine reads the messages of a request and nothing else (not its purpose). The same messages with the
//! same seed give the same text on every machine. Choice `i` uses seed + `i`; without a seed the messages alone
//! decide. At temperature 0 all choices are alike and the seed is not read. Other sampling parameters change
//! nothing, except that `max_tokens` and stop sequences end a text. A text has four tokens for every three
//! words. Images and a [format](textgrad_core::Request::format) are refused.
//!
//! # The counting task
//! The simulation also answers [counting] questions, on which prompt optimization can be run, tested and shown
//! offline. It works a question out in writing and makes mistakes: it misreads a number word, forgets a thing,
//! counts one of another category, adds up wrongly, or puts the answer in the wrong place. The prompt changes
//! that. Each technique that it asks for, in any of several phrasings, lowers the rate of one kind of mistake:
//! list every item, ignore other categories, watch number words and plurals, check the sum, put the answer on
//! the last line. Asking for an immediate answer or a guess does harm. A plain prompt gets about six questions
//! of ten right, the best about 95 of a hundred. Techniques are rows of the table of criteria, so feedback on
//! prompts is read, merged and followed as all feedback is:
//!
//! * The **critic** compares a worked answer with its question where the answer was judged wrong, and asks for
//!   the techniques against the mistakes that it sees: each with probability *skill*, else for another one.
//! * **Merging** keeps each point once, the most frequent first.
//! * The **updater** takes up two points of a prompt at a time, each with probability *skill*. The less skill it
//!   has, the more often it loses a sentence of the prompt or adds a harmful one: validation has something to
//!   catch.
//!
//! # The contract for prompt packs
//! A request is recognised by its *sections*. A section is `<NAME>` at the start of a line, up to the next
//! `</NAME>`; its text may stand on the same lines as the tags. Text that itself contains `</NAME>` is put
//! in a fenced section, `<NAME-2>` to `</NAME-2>` (or 3, 4, ...). Content is data, and may hold anything else.
//! A tag that is never closed, or that stands in the middle of a line, is no section.
//!
//! The names are `QUERY`, `RESPONSE`, `CHOSEN_RESPONSE`, `REJECTED_RESPONSE`, `LM_SYSTEM_PROMPT`, `LM_INPUT`,
//! `LM_OUTPUT`, `CONVERSATION`, `CONTEXT`, `VARIABLE`, `ROLE`, `FEEDBACK`, `CONSTRAINTS`, `EXAMPLES`,
//! `CANDIDATE`, `DRAFT`, `NOTES`, `EDIT`, `EXAMPLE_INPUT`, `EXAMPLE_OUTPUT`, `FEEDBACK_EXAMPLE`,
//! `OBJECTIVE_FUNCTION`, `FUNCTION_PURPOSE` and `FUNCTION_INPUT`; and `PAST_FEEDBACK`, `PAST_VARIABLE`,
//! `PAST_RESPONSE`, `REJECTED_VARIABLE`, `REJECTED_CHANGE`, `BROKEN_RULE`, `VIOLATION`, `LM_EARLIER_INPUT` and
//! `LM_EARLIER_OUTPUT`, which are ignored. Sections are looked for inside `CONVERSATION`, `CONTEXT` and
//! `LM_SYSTEM_PROMPT`, and inside no other.
//!
//! * **Loss**: no assistant turn. The system message has a `QUERY` section and, to contrast, a
//!   `REJECTED_RESPONSE` (it may also be in the user message) or `RESPONSE` sections from best to worst, the last
//!   of which is the contrast. Outside of sections it mentions neither `<VARIABLE>`, `<FEEDBACK>`, `<LM_OUTPUT>`
//!   nor output tags. The judged text is the `CHOSEN_RESPONSE` section of either message, else the user message.
//! * **Gradient**: the last user message has a `VARIABLE` section, and no output tags are named. The critique is
//!   the `LM_OUTPUT` section, else the last assistant turn; `FEEDBACK` sections are used like it.
//! * **Update**: output tags are named, and the last user message has a `VARIABLE` section and one or more
//!   `FEEDBACK` sections. After an assistant turn, that turn may replace the feedback, and an earlier `VARIABLE`,
//!   `CHOSEN_RESPONSE` or (under a system message with a `QUERY`) the first user message may replace the
//!   variable. A `QUERY` section anywhere gives the topic. If the `ROLE` names a prompt or instructions,
//!   the instructions themselves are added to the text. With an `EDIT` section in the last user message, which shows
//!   the form, the answer is made of edits by sentences; with probability 0.3 (1 - *skill*) the first is misquoted.
//! * **Fuse**: the last user message has a `QUERY` and `CANDIDATE` sections, of which one answer is made, by `NOTES` if
//!   there are any; or `NOTES` alone; or `DRAFT` sections, for which notes are written.
//! * **Reduce**: the last user message has two or more `FEEDBACK` sections and no `VARIABLE`.
//! * **Plain**: anything without these markers. The last user message is the query.
//!
//! *Output tags* are named by mentioning both `<X>` and `</X>`, in the system message or else in the last
//! user message, outside of sections; X is the last such name that is not the name of a section. An update
//! is answered inside them, each tag on a line of its own.
//!
//! A query may itself contain such tags. So a request is only looked at as one of the framework's if its
//! system message mentions `<VARIABLE>`, `<FEEDBACK>`, `<LM_OUTPUT>` or output tags or has a `QUERY` section,
//! or if there is an assistant turn. Such a request that has markers but fits none of the kinds above is an
//! error of kind [`ErrorKind::Unsupported`] that lists what was seen and what is needed.

pub mod counting;
mod criteria;
mod critic;
mod fuse;
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
use derive_setters::Setters;
use textgrad_core::{
    Engine, EngineError, EngineInfo, ErrorKind, Message, Request, Response, Usage, truncate,
};

use self::request::{Conversation, Task, recognise};
use self::rng::Rng;

pub use self::reward::reward;

/// The default skill.
const SKILL: f64 = 0.8;
/// The most choices of one request.
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
#[must_use]
#[derive(Debug, Clone, Setters)]
pub struct SimBuilder {
    /// How well instructions are followed, from 0 (not at all, and with much damage) to 1 (always). Default:
    /// 0.8; around 0.8 to 0.9 the loop improves its answers, at 0.2 it spoils them.
    skill: f64,
    /// How long each request takes. Default: no time.
    latency: Duration,
}

impl Sim {
    /// Sets up a simulation.
    pub fn builder() -> SimBuilder {
        SimBuilder { skill: SKILL, latency: Duration::ZERO }
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
    /// The simulation.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] if the skill is not a number from 0 to 1.
    pub fn build(self) -> Result<Sim, EngineError> {
        let Self { skill, latency } = self;
        if !(0.0..=1.0).contains(&skill) {
            return Err(EngineError::new(
                ErrorKind::InvalidRequest,
                format!("expected a skill from 0 to 1, got {skill}; 0.8 is the default"),
            ));
        }
        let mut sim = Sim { skill, latency, ..Sim::default() };
        // Another skill gives other answers: caches and journals tell engines apart by their names.
        if skill != SKILL {
            sim.info = EngineInfo::new(format!("sim:skill-{skill}")).with_simulation(true);
        }
        Ok(sim)
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

impl Task<'_> {
    fn write(&self, skill: f64, rng: &mut Rng) -> String {
        match self {
            Self::Judge(judge) => judge.write(skill, rng),
            Self::Plain { system, query } => policy::answer(system, query, skill, rng),
            Self::Solve { prompt, question } => {
                question.answer(&counting::followed(prompt, skill, rng), rng)
            }
            Self::Loss { query, chosen, rejected } => {
                critic::critique(query, chosen, *rejected, skill, rng)
            }
            Self::Gradient { critique } => gradient::instructions(critique, skill, rng),
            Self::Work(work) => work.write(skill, rng),
            Self::Fuse(fuse) => fuse.write(skill, rng),
            Self::Update { tag, edits, query, wording, role, variable, feedback } => {
                let task = updater::Rewrite { query: *query, wording, role, variable, feedback };
                let text = updater::rewrite(task, skill, rng);
                let edits = edits.then(|| updater::edits(variable, &text, skill, rng)).flatten();
                edits.unwrap_or_else(|| {
                    format!("The text, rewritten by the feedback:\n{}", tagged(tag, &text))
                })
            }
            Self::Reduce { tag, feedback } => {
                let text = gradient::reduce(feedback, rng);
                tag.map_or_else(|| text.clone(), |tag| tagged(tag, &text))
            }
        }
    }
}

/// The error of a request that the simulation cannot answer.
fn unsupported(message: impl Into<String>) -> EngineError {
    EngineError::new(ErrorKind::Unsupported, message)
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
            return Err(unsupported(
                "the simulation cannot see images; use an engine with a vision model",
            ));
        }
        if request.format.is_some() {
            return Err(unsupported(
                "the simulation writes plain text only, but a format was asked for; leave it out or use \
                 another engine",
            ));
        }
        let conversation = Conversation::new(&request.messages);
        let task = recognise(&conversation)?;
        let key = rng::key(&request.messages);
        let greedy = sampling.temperature.is_some_and(|t| t <= 0.0);
        let seed = sampling.seed.filter(|_| !greedy).unwrap_or_default();
        let choices: Vec<_> = (0..sampling.n.min(MAX_CHOICES))
            .map(|index| {
                let step = if greedy { 0 } else { u64::from(index) };
                let mut rng = Rng::new(key, seed.wrapping_add(step));
                text::finish(task.write(self.skill, &mut rng), sampling)
            })
            .collect();
        let usage = Usage {
            prompt_tokens: request
                .messages
                .iter()
                .map(|message| text::tokens(&message.text()))
                .sum(),
            completion_tokens: choices.iter().map(|choice| text::tokens(&choice.text)).sum(),
            ..Usage::default()
        };
        Ok(Response::new(choices).with_usage(usage).with_model("sim (simulation)"))
    }
}
