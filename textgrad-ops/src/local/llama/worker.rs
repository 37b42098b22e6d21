//! The thread of a model: calls in, answers out, all answers under way decoded together.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::time::Instant;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use textgrad_core::EngineError;
use tokio::sync::oneshot;

use super::answer::{Answer, AnswerSettings, Written};
use super::context::{self, CHUNK, ContextSize};
use super::given::GivenText;
use super::rates::Rates;
use super::slots::Slots;

/// The work of a call.
#[derive(Debug)]
pub(super) enum Work {
    /// Answers to the prompt, one for each seed.
    Answers { settings: AnswerSettings, seeds: Vec<u64> },
    /// The logprobs of the tokens of the prompt from this one on.
    Logprobs { from: usize },
}

/// A call.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) prompt: Vec<LlamaToken>,
    pub(super) work: Work,
    pub(super) reply: oneshot::Sender<Result<Finished, EngineError>>,
}

impl Job {
    /// How many texts are written or read.
    fn count(&self) -> usize {
        match &self.work {
            Work::Answers { seeds, .. } => seeds.len(),
            Work::Logprobs { .. } => 1,
        }
    }

    /// So many tokens of the prompt may be taken from a computed sequence. The logits behind the next one are needed.
    fn max_kept(&self) -> usize {
        match self.work {
            Work::Answers { .. } => self.prompt.len().saturating_sub(1),
            Work::Logprobs { from } => from.saturating_sub(1),
        }
    }
}

/// The answers to a call, in order.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pub(super) answers: Vec<Written>,
    /// So many tokens of the prompt were computed for an earlier call.
    pub(super) cached: usize,
}

/// A call with the answers that are written so far.
struct Call {
    job: Job,
    begun: usize,
    answers: Vec<Option<Written>>,
    cached: usize,
    error: Option<EngineError>,
}

impl Call {
    fn is_over(&self) -> bool {
        self.error.is_some()
            || self.job.reply.is_closed()
            || self.answers.iter().all(Option::is_some)
    }
}

/// A text that is written, or read.
enum Text {
    Answer(Box<Answer>),
    Given(GivenText),
}

impl Text {
    fn new(model: &LlamaModel, work: &Work, index: usize) -> Result<Self, EngineError> {
        Ok(match work {
            Work::Answers { settings, seeds } => {
                let seed = seeds.get(index).copied().unwrap_or_default();
                Self::Answer(Answer::new(model, settings, seed)?.into())
            }
            Work::Logprobs { from } => Self::Given(GivenText::new(*from)),
        })
    }
}

/// A text under way.
struct Active {
    call: u64,
    index: usize,
    slot: usize,
    /// Prompt and answer.
    tokens: Vec<LlamaToken>,
    text: Text,
}

impl Active {
    fn is_over(&self) -> bool {
        match &self.text {
            Text::Answer(answer) => answer.is_over(),
            Text::Given(given) => given.is_over(self.tokens.len()),
        }
    }

    fn finish(self) -> Written {
        match self.text {
            Text::Answer(answer) => answer.finish(),
            Text::Given(given) => given.finish(),
        }
    }
}

/// The model with its calls.
pub(super) struct Worker<'a> {
    model: &'a LlamaModel,
    context: LlamaContext<'a>,
    batch: LlamaBatch<'static>,
    slots: Slots,
    calls: VecDeque<(u64, Call)>,
    active: Vec<Active>,
    next_call: u64,
    size: ContextSize,
    /// Whether answers are decoded together, or each by itself.
    is_batched: bool,
    rates: &'a Rates,
}

impl<'a> Worker<'a> {
    pub(super) fn new(
        model: &'a LlamaModel,
        context: LlamaContext<'a>,
        size: ContextSize,
        is_batched: bool,
        rates: &'a Rates,
    ) -> Self {
        Self {
            model,
            context,
            batch: LlamaBatch::new(CHUNK.max(size.sequences), 1),
            slots: Slots::new(size.sequences, (!is_batched).then_some(CHUNK)),
            calls: VecDeque::new(),
            active: Vec::new(),
            next_call: 0,
            size,
            is_batched,
            rates,
        }
    }

    /// Works until nobody can send a call any more, and all calls are answered.
    pub(super) fn run(mut self, jobs: &mpsc::Receiver<Job>) {
        loop {
            if self.calls.is_empty() {
                match jobs.recv() {
                    Ok(job) => self.add(job),
                    Err(_) => return,
                }
            }
            while let Ok(job) = jobs.try_recv() {
                self.add(job);
            }
            self.end_calls();
            self.begin_texts();
            if let Err(error) = self.prefill().and_then(|()| self.decode()) {
                self.fail(&error);
            }
        }
    }

    fn add(&mut self, job: Job) {
        let answers = std::iter::repeat_with(|| None).take(job.count()).collect();
        let call = Call { job, begun: 0, answers, cached: 0, error: None };
        self.calls.push_back((self.next_call, call));
        self.next_call += 1;
    }

    /// Replies to calls that are over, and ends the answers of those that nobody waits for.
    fn end_calls(&mut self) {
        let (over, going): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.calls).into_iter().partition(|(_, call)| call.is_over());
        self.calls = going.into();
        for (id, call) in over {
            for active in self.active.extract_if(.., |active| active.call == id) {
                self.slots.release(active.slot);
            }
            let answers: Vec<Written> = call.answers.into_iter().flatten().collect();
            let _ = call.job.reply.send(match call.error {
                Some(error) => Err(error),
                None => Ok(Finished { answers, cached: call.cached }),
            });
        }
    }

    /// Begins texts of the oldest calls, as many as there are sequences for.
    fn begin_texts(&mut self) {
        for (id, call) in &mut self.calls {
            while call.begun < call.answers.len() {
                let (job, index) = (&call.job, call.begun);
                let Some(place) = self.slots.place(&job.prompt, job.max_kept()) else { break };
                let prepared = context::prepare(&mut self.context, place);
                match prepared.and_then(|()| Text::new(self.model, &job.work, index)) {
                    Ok(text) => {
                        if index == 0 {
                            call.cached = place.kept;
                        }
                        let (slot, tokens) = (place.slot, job.prompt.clone());
                        self.active.push(Active { call: *id, index, slot, tokens, text });
                        call.begun += 1;
                    }
                    Err(error) => {
                        self.slots.forget(place.slot);
                        call.error = Some(error);
                        break;
                    }
                }
            }
        }
    }

    /// Computes more of the oldest prompt that is not read yet.
    fn prefill(&mut self) -> Result<(), EngineError> {
        let unread =
            |active: &&mut Active| self.slots.computed(active.slot) + 1 < active.tokens.len();
        let Some(active) = self.active.iter_mut().find(unread) else { return Ok(()) };
        let from = self.slots.computed(active.slot);
        // The last token is for `decode`, which samples behind it.
        let to = (active.tokens.len() - 1).min(from / CHUNK * CHUNK + CHUNK);
        let new = active.tokens.get(from..to).unwrap_or_default();
        self.batch.clear();
        for (position, token) in (from..).zip(new) {
            let has_logits = match &active.text {
                Text::Answer(_) => false,
                Text::Given(given) => given.needs_logits(position),
            };
            context::add(&mut self.batch, *token, position, active.slot, has_logits)?;
        }
        let began = Instant::now();
        context::compute(&mut self.context, &mut self.batch)?;
        self.context.synchronize();
        self.rates.prefilled(new.len(), began.elapsed());
        self.slots.extend(active.slot, new);
        if let Text::Given(given) = &mut active.text {
            given.read(self.model, &self.context, &active.tokens, from..to);
        }
        Ok(())
    }

    /// Computes the last token of each answer whose prompt is read, and draws the next one.
    fn decode(&mut self) -> Result<(), EngineError> {
        let is_read = |(_, active): &(usize, &Active)| {
            matches!(active.text, Text::Answer(_))
                && self.slots.computed(active.slot) + 1 == active.tokens.len()
        };
        let mut rows: Vec<usize> =
            self.active.iter().enumerate().filter(is_read).map(|(index, _)| index).collect();
        // llama.cpp computes sequences together that follow each other.
        rows.sort_by_key(|index| self.active.get(*index).map(|active| active.slot));
        let most = if self.is_batched { rows.len().max(1) } else { 1 };
        for rows in rows.chunks(most) {
            self.step(rows)?;
        }
        for active in self.active.extract_if(.., |active| active.is_over()) {
            self.slots.release(active.slot);
            let of_call = self.calls.iter_mut().find(|(id, _)| *id == active.call);
            if let Some(place) = of_call.and_then(|(_, call)| call.answers.get_mut(active.index)) {
                *place = Some(active.finish());
            }
        }
        Ok(())
    }

    /// Computes the last tokens of some answers together.
    fn step(&mut self, rows: &[usize]) -> Result<(), EngineError> {
        self.batch.clear();
        for active in rows.iter().filter_map(|index| self.active.get(*index)) {
            if let Some((token, before)) = active.tokens.split_last() {
                context::add(&mut self.batch, *token, before.len(), active.slot, true)?;
            }
        }
        let began = Instant::now();
        context::compute(&mut self.context, &mut self.batch)?;
        self.context.synchronize();
        self.rates.decoded(rows.len(), began.elapsed());
        for (row, index) in (0..).zip(rows) {
            let Some(active) = self.active.get_mut(*index) else { continue };
            self.slots
                .extend(active.slot, active.tokens.last_chunk::<1>().map_or(&[], |last| last));
            let Text::Answer(answer) = &mut active.text else { continue };
            let prompt = active.tokens.len() - answer.tokens();
            let logits = self.context.get_logits_ith(row);
            if let Some(next) = answer.next(self.model, logits, &active.tokens, prompt) {
                active.tokens.push(next);
                if active.tokens.len() >= self.size.context {
                    answer.cut_off();
                }
            }
        }
        Ok(())
    }

    /// Ends all calls under way by an error, and forgets what was computed.
    fn fail(&mut self, error: &EngineError) {
        for active in self.active.drain(..) {
            self.slots.release(active.slot);
            if let Some((_, call)) = self.calls.iter_mut().find(|(id, _)| *id == active.call) {
                call.error = Some(error.clone());
            }
        }
        self.slots.clear();
        self.context.clear_kv_cache();
    }
}
