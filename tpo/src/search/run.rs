//! The search loop.

use std::sync::Arc;
use std::time::Instant;

use foldhash::HashMap;
use textgrad_core::{
    Engine, Inputs, Layout, Message, Output, Purpose, Seed, Variable, apply_one, catch_panic_async,
    op_fn,
};
use textgrad_ops::LlmCall;

use super::method::{Iteration, IterationCx, Step};
use super::outcome::{AlignError, Alignment, Trajectory, record};
use super::pairs::Comparison;
use super::pool::{Candidate, Pool};
use super::shuffled::{BorrowedSteps, DonorQuery};
use super::{TpoParts, guard};
use crate::config::{Mode, Progress, Spent, StopReason};
use crate::error::Error;
use crate::prompts::SampleContext;
use crate::query::Query;
use crate::reward::EngineScope;
use crate::session::{BoundReward, Session};
use crate::util::dedup;

/// The search for one query, while it runs.
pub(super) struct Search<'a> {
    pub(super) tpo: &'a TpoParts,
    pub(super) policy: Arc<dyn Engine>,
    pub(super) critic: Arc<dyn Engine>,
    pub(super) optimizer: Arc<dyn Engine>,
    /// The query as a variable of the graph.
    pub(super) query: Variable,
    pub(super) asked: Query,
    pub(super) pool: Pool,
    pub(super) steps: Vec<Step>,
    /// The critique of another query.
    pub(super) borrowed: Option<BorrowedSteps>,
    /// Whether only critiques are needed: the last iteration then rewrites nothing.
    pub(super) critiques_only: bool,
    /// The index of the query.
    index: usize,
    conversation: Option<Conversation>,
    ends: Vec<(u32, Variable)>,
    session: Session,
    reward: BoundReward,
    seed: Seed,
    begun: Instant,
    /// What another query's search took that is not part of this one's budget.
    aside: Spent,
    /// What was spent by the last look at the rules, and the most that an iteration took.
    spent: Spent,
    next: Spent,
    tokens_by: Vec<u64>,
    /// The best score by each iteration.
    best: Vec<f64>,
    /// How far the newest answers reached below it.
    margins: Vec<Option<f64>>,
    stopped: Option<StopReason>,
    selected: Option<usize>,
}

/// The policy's conversation up to its answer, as messages and as variables.
struct Conversation {
    dialogue: Vec<Message>,
    system: Variable,
    /// The turns before the last.
    history: Vec<Message>,
    /// The last turn.
    prompt: Variable,
}

impl<'a> Search<'a> {
    pub(super) fn new(tpo: &'a TpoParts, index: usize, query: Query, session: Session) -> Self {
        let session = match tpo.config.early_stop.bounding_prices() {
            Some(prices) => session.bounded(prices),
            None => session,
        };
        Self {
            policy: session.engine(&tpo.policy),
            critic: session.engine(&tpo.critic),
            optimizer: session.engine(&tpo.optimizer),
            reward: session.bind(&tpo.reward),
            session,
            tpo,
            query: Variable::constant(query.text(), "query of a user"),
            asked: query,
            seed: Seed::new(tpo.config.seed).child("query", index as u64),
            pool: Pool::default(),
            steps: Vec::new(),
            borrowed: None,
            critiques_only: false,
            index,
            conversation: None,
            ends: Vec::new(),
            begun: Instant::now(),
            aside: Spent::default(),
            spent: Spent::default(),
            next: Spent::default(),
            tokens_by: Vec::new(),
            best: Vec::new(),
            margins: Vec::new(),
            stopped: None,
            selected: None,
        }
    }

    pub(super) async fn run(mut self, donor: Option<DonorQuery>) -> Result<Alignment, AlignError> {
        // A panic of a user's engine or reward model is an error of this query, and keeps what was found.
        let session = self.session.clone();
        let outcome = session.until_aborted(catch_panic_async(self.search_with(donor))).await;
        let outcome = outcome.unwrap_or(Ok(Err(Error::Stopped)));
        let outcome = outcome.unwrap_or_else(|message| Err(Error::Panic { message }));
        // An interruption may have been taken for a failure that a search can go on without.
        let outcome = self.session.take_interruption().map_or(outcome, Err);
        self.session.close();
        let spent = self.spent();
        let trajectory = Trajectory {
            candidates: self
                .pool
                .candidates()
                .iter()
                .map(|one| record(one, &self.session))
                .collect(),
            iterations: self.steps.into_iter().map(|step| step.record).collect(),
            tokens_by: self.tokens_by,
            stopped: self.stopped,
            selected: self.selected,
            budget_left: self.tpo.config.early_stop.budget.left(&spent),
            usage: self.session.usage(),
        };
        let best = self.selected.or_else(|| self.pool.best());
        match outcome.and_then(|()| best.ok_or(Error::NoAnswer)) {
            Ok(best) => {
                let model_time = self.session.model_time();
                let (query, pool, ends) = (self.asked, self.pool, self.ends);
                Ok(Alignment { query, best, pool, trajectory, ends, model_time })
            }
            Err(error) => Err(AlignError { error, trajectory }),
        }
    }

    async fn search_with(&mut self, donor: Option<DonorQuery>) -> Result<(), Error> {
        // First, so that a failure there ends this search before it has gone on after anything else.
        if self.tpo.method.needs_donor() && self.tpo.config.depth() > 0 {
            let mut borrowed = BorrowedSteps::search(self.tpo, donor, &self.session).await?;
            self.ends.append(&mut borrowed.ends);
            // The borrowed critique is part of this search; the donor's answers are not.
            let answers = [Purpose::Sample, Purpose::Update];
            self.aside = self.session.cost(|purpose| answers.contains(&purpose));
            self.spent = self.session.cost(|_| true).minus(&self.aside);
            self.borrowed = Some(borrowed);
        }
        self.search().await?;
        self.select().await?;
        let best = self.selected.or_else(|| self.pool.best());
        guard::warn(self.tpo, self.asked.text(), &self.pool, best);
        Ok(self.session.commit_failures().await?)
    }

    /// All steps of this search up to its last critique, and the ends of its graph.
    pub(super) async fn critiques(mut self) -> Result<(Vec<Step>, Vec<(u32, Variable)>), Error> {
        self.critiques_only = true;
        self.search().await?;
        Ok((self.steps, self.ends))
    }

    async fn search(&mut self) -> Result<(), Error> {
        self.conversation = Some(self.begin().await?);
        let answers = self.sample(0, self.tpo.config.samples).await?;
        self.admit(answers, 0).await?;
        self.count(0);
        for iteration in 1..=self.tpo.config.depth() {
            self.stopped = self.reason_to_stop(iteration - 1);
            if self.stopped.is_some() {
                break;
            }
            if !self.iterate(iteration).await? {
                self.stopped = Some(StopReason::NoPair);
                break;
            }
            self.count(iteration);
        }
        Ok(())
    }

    fn cx(&self, iteration: u32) -> IterationCx<'_> {
        let seed = self.seed.child("iteration", u64::from(iteration));
        IterationCx { search: self, iteration, seed }
    }

    /// One iteration; false if there was nothing to do.
    async fn iterate(&mut self, iteration: u32) -> Result<bool, Error> {
        let mut made = Iteration::default();
        let outcome = self.tpo.method.iterate(&self.cx(iteration), &mut made).await;
        let is_idle = made.steps.is_empty() && made.answers.is_empty();
        if made.steps.is_empty() && !is_idle {
            let chosen = Comparison::new(self.pool.best().unwrap_or_default(), []);
            made.steps.push(Step::of(iteration, chosen, made.answers.len()));
        }
        let answers = self.keep(made, iteration);
        outcome?;
        let is_blank = |answer: &Variable| answer.text().is_none_or(|text| text.trim().is_empty());
        if let Some(position) = answers.iter().position(is_blank) {
            let got = format!("none as number {position}");
            return Err(self.fault(iteration, "texts as new answers".to_owned(), got));
        }
        self.admit(answers, iteration).await?;
        self.forget_graph();
        Ok(!is_idle)
    }

    /// Lets go of the graph so far where nobody looks at it. A method of one's own may, and updates that are continued
    /// are in it.
    fn forget_graph(&mut self) {
        let config = &self.tpo.config;
        let is_needed = config.layout == Layout::Chained || config.mode == Mode::Own;
        if self.session.keeps_graph() || self.critiques_only || is_needed {
            return;
        }
        self.ends.clear();
        self.pool.detach();
        self.steps.iter_mut().for_each(Step::forget_graph);
    }

    /// The answer that the method returns, if it selects one.
    async fn select(&mut self) -> Result<(), Error> {
        let iteration = self.steps.last().map_or(0, |step| step.record.iteration) + 1;
        let mut made = Iteration::default();
        let selected = self.tpo.method.select(&self.cx(iteration), &mut made).await;
        self.keep(made, iteration);
        let selected = selected?;
        let answers = self.pool.candidates().len();
        if let Some(position) = selected.filter(|position| *position >= answers) {
            let expected = format!("a position from 0 to {}", answers.saturating_sub(1));
            return Err(self.fault(iteration, expected, format!("answer {position}")));
        }
        self.selected = selected;
        Ok(())
    }

    /// Keeps what an iteration brought, also if it failed, and returns its answers.
    fn keep(&mut self, made: Iteration, iteration: u32) -> Vec<Variable> {
        self.ends.extend(made.ends.into_iter().map(|end| (iteration, end)));
        self.steps.extend(made.steps);
        made.answers
    }

    fn fault(&self, iteration: u32, expected: String, got: String) -> Error {
        Error::Part { part: "method", name: self.tpo.method.name(), iteration, expected, got }
    }

    /// Why the search is to end after this iteration, if it is.
    fn reason_to_stop(&mut self, iteration: u32) -> Option<StopReason> {
        let best = self.pool.best().and_then(|best| self.pool.get(best))?.score;
        self.best.push(best);
        let newest = self.pool.candidates().iter().rev().take_while(|c| c.iteration == iteration);
        let newest_low = newest.map(|candidate| candidate.score).reduce(f64::min);
        self.margins.push(newest_low.map(|low| best - low));
        let next = match self.tpo.method.selects_by_requests() {
            true => self.next.plus(&self.next),
            false => self.next,
        };
        let progress = Progress {
            pool: &self.pool,
            best: &self.best,
            margins: &self.margins,
            spent: self.spent,
            next,
            seconds: self.begun.elapsed().as_secs_f64(),
        };
        let own = || {
            let rule = self.tpo.stop_rule.as_ref().filter(|rule| rule.stops(&progress))?;
            Some(StopReason::Other(rule.name()))
        };
        self.tpo.config.early_stop.reason(progress).or_else(own)
    }

    /// What the search took that is part of its budget.
    fn spent(&self) -> Spent {
        let answers = self.pool.candidates().len() as u64;
        Spent { answers, ..self.session.cost(|_| true).minus(&self.aside) }
    }

    /// Counts what was spent, and what the next iteration is expected to take.
    fn count(&mut self, iteration: u32) {
        let spent = self.spent();
        let took = spent.minus(&self.spent);
        self.next = match iteration {
            // With a borrowed critique, only the update is left to ask for.
            0 if self.borrowed.is_some() => took,
            0 => took.times(self.tpo.method.requests(&self.tpo.config)),
            1 => took,
            _ => self.next.max(&took),
        };
        self.spent = spent;
        self.tokens_by.push(spent.tokens.total());
    }

    /// The system message of the first answers.
    async fn instruction(&self) -> Result<Variable, Error> {
        let prompts = Arc::clone(&self.tpo.prompts);
        let instruction = op_fn("sample instruction", move |inputs: Inputs| {
            let prompts = Arc::clone(&prompts);
            async move {
                let context = SampleContext { query: inputs.text("query")? };
                let text = prompts.render("sample_system", &context)?;
                Ok(vec![Output::new(text, "system prompt of the policy").with_requires_grad(false)])
            }
        });
        Ok(apply_one(Arc::new(instruction), [("query", &self.query)]).await?)
    }

    /// The policy's conversation up to its answer.
    async fn begin(&self) -> Result<Conversation, Error> {
        let system = match self.asked.system() {
            Some(own) => Variable::constant(own, "system prompt of the query"),
            None => self.instruction().await?,
        };
        let mut history = self.asked.dialogue();
        let instruction = system.text().filter(|text| !text.is_empty()).map(Message::system);
        let dialogue = instruction.into_iter().chain(history.iter().cloned()).collect();
        let last = history.pop().map(|turn| turn.text()).unwrap_or_default();
        // A query of one turn is the prompt itself; of several, the prompt is only the last.
        let prompt = match self.query.text() == Some(last.as_str()) {
            true => self.query.clone(),
            false => Variable::constant(last, "last turn of a user"),
        };
        Ok(Conversation { dialogue, system, history, prompt })
    }

    /// The policy's conversation up to its answer, as messages.
    pub(super) fn dialogue(&self) -> &[Message] {
        self.conversation.as_ref().map_or(&[], |conversation| &conversation.dialogue)
    }

    /// Its system message, the turns before the last, and the last.
    pub(super) fn parts(&self) -> Result<(&Variable, &[Message], &Variable), Error> {
        let conversation = self.conversation.as_ref().ok_or(Error::NoAnswer)?;
        let Conversation { system, history, prompt, .. } = conversation;
        Ok((system, history, prompt))
    }

    /// Answers to the query itself.
    pub(super) async fn sample(
        &self,
        iteration: u32,
        samples: u32,
    ) -> Result<Vec<Variable>, Error> {
        let call = LlmCall::builder(Arc::clone(&self.policy))
            .name("sample")
            .purpose(Purpose::Sample)
            .sampling(self.tpo.config.sampling.clone().with_n(samples))
            .response_role("a response to a user query")
            .build();
        let seed = self.seed.child("sample", u64::from(iteration));
        let (system, history, prompt) = self.parts()?;
        let history = history.iter().cloned();
        Ok(call.ask(prompt).system(system).history(history).seed(seed).all().await?)
    }

    /// Scores answers and puts them into the pool. Identical texts are scored once. Where scores are relative,
    /// the whole pool is scored anew.
    async fn admit(&mut self, answers: Vec<Variable>, iteration: u32) -> Result<(), Error> {
        self.ends.extend(answers.iter().map(|answer| (iteration, answer.clone())));
        let steps = self.steps.iter_mut().filter(|step| step.record.iteration == iteration);
        let answers = guard::admitted(self.tpo, self.asked.text(), &self.pool, steps, answers);
        let texts = answers.iter().filter_map(Variable::text);
        let new = dedup(texts.filter(|text| self.pool.score_of(text).is_none()));
        // Among the same texts scores stay as they are.
        let relative = self.reward.model.is_relative() && !new.is_empty();
        let mut texts = match relative {
            true => dedup(self.pool.candidates().iter().map(Candidate::text)),
            false => Vec::new(),
        };
        texts.extend(new);
        let scores = self.session.score(&self.reward, &self.asked, &texts).await?;
        let scored = texts.into_iter().map(str::to_owned).zip(scores);
        let scored = scored.filter_map(|(text, score)| Some((text, score?)));
        let scored: Vec<(String, f64)> = scored.collect();
        if relative {
            self.pool.rescore(&scored)?;
        }
        let scored: HashMap<String, f64> = scored.into_iter().collect();
        for answer in answers {
            let text = answer.text().unwrap_or_default();
            let fresh = scored.get(text).copied();
            if let Some(score) = fresh.or_else(|| self.pool.score_of(text)) {
                self.pool.push(Candidate { answer, score, iteration })?;
                if !self.critiques_only {
                    self.session.report_newest(self.index, &self.pool);
                }
            }
        }
        Ok(())
    }
}
