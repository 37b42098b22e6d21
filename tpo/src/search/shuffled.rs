//! Critique borrowed from another query, for [`Mode::Shuffled`].

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use textgrad_core::{
    BackwardCx, Context, Feedback, Gradient, Inputs, Message, Op, OpFailure, Output, Purpose,
    Quote, Request, Seed, Variable, apply_one,
};
use textgrad_ops::prompts::{ContrastiveContext, EvaluationContext};

use super::TpoParts;
use super::critique::Critique;
use super::method::Step;
use super::rewrite::ComparisonCx;
use super::run::Search;
use crate::config::{EarlyStop, Mode, TpoConfig};
use crate::error::Error;
use crate::query::Query;
use crate::session::Session;

/// A query whose critique another one is given, and its index, which decides its seeds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct DonorQuery {
    pub(crate) index: usize,
    pub(crate) query: Query,
}

impl DonorQuery {
    /// The donor of a query in a list: the one at a fixed distance behind it, which the seed draws for the whole
    /// list. Each query is the donor of one other, and nothing depends on the order of searches.
    /// Queries with the same text are passed over.
    pub(crate) fn of(seed: u64, index: usize, queries: &[Query]) -> Option<Self> {
        let others = queries.len().checked_sub(1).filter(|others| *others > 0)?;
        let own = queries.get(index)?.identity();
        let shift = (Seed::new(seed).child("partner", 0).value() % others as u64) as usize;
        (0..others)
            .map(|step| (index + 1 + (shift + step) % others) % queries.len())
            .filter_map(|index| Some(Self { index, query: queries.get(index)?.clone() }))
            .find(|donor| donor.query.identity() != own)
    }
}

/// The error of a list of queries that are all the same.
pub(super) fn no_donor() -> Error {
    let expected = "two or more different queries for the mode shuffled, so that each has the critique of another";
    Error::config("queries", expected, "one")
}

/// The search of a donor: its steps, and the ends of its graph.
#[derive(Debug)]
pub(super) struct BorrowedSteps {
    pub(super) index: usize,
    pub(super) steps: Vec<Step>,
    pub(super) ends: Vec<(u32, Variable)>,
}

impl BorrowedSteps {
    /// Searches the donor as [`Mode::Tpo`] would, up to its last critique. The requests are those that a run of
    /// that mode with the same seed makes.
    ///
    /// It runs in the session of the borrower: nothing depends on the order of queries, and a resumed query needs only
    /// its own journal. The cost is a second set of the donor's calls, which the shared cache of a study saves.
    pub(super) async fn search(
        tpo: &TpoParts,
        donor: Option<DonorQuery>,
        session: &Session,
    ) -> Result<Self, Error> {
        let Some(DonorQuery { index, query }) = donor else { return Err(no_donor()) };
        // The donor has the same budget, so that it comes as far as the borrower.
        let EarlyStop { budget, prices, .. } = tpo.config.early_stop.clone();
        let early_stop = EarlyStop { budget, prices, ..EarlyStop::default() };
        let config = TpoConfig { mode: Mode::Tpo, early_stop, ..tpo.config.clone() };
        let method = Mode::Tpo.method(&config, Arc::clone(&tpo.pairs));
        let inner = TpoParts { config, method, stop_rule: None, ..tpo.clone() };
        // In a box, for this search is part of a search.
        let search = Box::pin(Search::new(&inner, index, query, session.clone()).critiques());
        let (steps, ends) = search.await?;
        Ok(Self { index, steps, ends })
    }
}

/// The critique of another query: everything is as in [`PreferenceCritique`](super::PreferenceCritique), but losses
/// and gradient are those that the search of another query came to in the same iteration.
#[derive(Debug, Clone, Copy, Default)]
pub struct BorrowedCritique;

#[async_trait]
impl Critique for BorrowedCritique {
    fn name(&self) -> String {
        "borrowed".to_owned()
    }

    async fn critique(
        &self,
        cx: &ComparisonCx<'_>,
        step: &mut Step,
    ) -> Result<Vec<Feedback>, Error> {
        let Some((index, steps)) = cx.search().borrowed() else { return Ok(Vec::new()) };
        step.record.critique_of = Some(index);
        // The same comparison of the same iteration; the last, if the donor's search had fewer.
        let last = steps.last().map_or(0, |step| step.record.iteration);
        let iteration = cx.search().iteration().min(last);
        let mut steps = steps.iter().filter(|step| step.record.iteration == iteration);
        let borrowed = steps.clone().nth(cx.index()).or(steps.next_back());
        let Some(borrowed) = borrowed else { return Ok(Vec::new()) };
        step.record.losses.clone_from(&borrowed.record.losses);
        step.record.gradient = (!borrowed.feedback.is_empty()).then(|| {
            let texts: Vec<&str> = borrowed.feedback.iter().map(Feedback::text).collect();
            texts.join("\n")
        });
        swapped(cx, &borrowed.feedback).await
    }

    /// Beside the critique of the donor, its samples and updates.
    fn requests(&self, _: &TpoConfig) -> u64 {
        3
    }

    fn needs_donor(&self) -> bool {
        true
    }
}

/// Feedback on an answer with the context of its own comparison and the words of another.
async fn swapped(cx: &ComparisonCx<'_>, words: &[Feedback]) -> Result<Vec<Feedback>, Error> {
    let text = |variable: &Variable| variable.text().unwrap_or_default().to_owned();
    let (rejected, prompts) = (cx.rejected(), cx.search().prompts());
    let (query, own) = (text(cx.search().query_variable()), text(cx.chosen()));
    let (query, chosen) = (query.as_str(), own.as_str());
    let mut swapped = Vec::new();
    for (index, feedback) in words.iter().enumerate() {
        let against = rejected.get(index % rejected.len().max(1)).map(text);
        let system = match &against {
            Some(rejected) => {
                let context = ContrastiveContext { query, chosen, rejected };
                prompts.render("contrastive_system", &context)?
            }
            None => {
                let context = EvaluationContext { query, chosen };
                prompts.render("evaluation_system", &context)?
            }
        };
        // Feedback without a conversation came from no loss and gets no context.
        let mut contexts = Vec::new();
        for context in feedback.contexts() {
            let call = context.call();
            if matches!(call.op().quote(call.inputs()), Quote::Conversation { .. }) {
                let messages = [Message::system(system.as_str()), Message::user(chosen)];
                let request = Request::new(Purpose::Loss, messages);
                let response = context.response().clone();
                let loss = Arc::new(BorrowedLoss { request, response });
                let loss = apply_one(loss, Vec::<(&str, Variable)>::new()).await?;
                contexts.extend(Context::of(&loss).map(Arc::new));
            }
        }
        let words = Feedback::from_variable(feedback.variable().clone());
        swapped.push(words.with_contexts(contexts));
    }
    Ok(swapped)
}

/// The evaluation of an answer, with the response of another evaluation. No model is asked.
struct BorrowedLoss {
    request: Request,
    response: Output,
}

#[async_trait]
impl Op for BorrowedLoss {
    fn name(&self) -> &str {
        "borrowed loss"
    }

    async fn forward(&self, _: &Inputs) -> Result<Vec<Output>, textgrad_core::Error> {
        Ok(vec![self.response.clone()])
    }

    async fn backward(&self, cx: &BackwardCx) -> Result<Vec<Option<Gradient>>, OpFailure> {
        Ok(vec![None; cx.inputs().len()])
    }

    fn request(&self, _: &Inputs) -> Option<Request> {
        Some(self.request.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn donors(seed: u64, queries: &[Query]) -> Vec<Option<usize>> {
        let donor = |index| DonorQuery::of(seed, index, queries).map(|donor| donor.index);
        (0..queries.len()).map(donor).collect()
    }

    #[test]
    fn each_is_the_partner_of_one_other() {
        let queries: Vec<Query> = (0..7).map(|i| Query::from(format!("Why {i}?"))).collect();
        let mut all = BTreeSet::new();
        for seed in 0..50 {
            let found = donors(seed, &queries);
            let unique: BTreeSet<_> = found.iter().flatten().copied().collect();
            assert_eq!(unique.len(), 7);
            assert!(found.iter().enumerate().all(|(own, other)| *other != Some(own)));
            all.insert(found);
        }
        assert_eq!(all.len(), 6, "the seed decides");
    }

    #[test]
    fn nobody_is_given_a_query_of_the_same_text() {
        let queries: Vec<Query> = ["a", "a", "b", "a"].into_iter().map(Query::from).collect();
        for seed in 0..20 {
            let found = donors(seed, &queries);
            assert_eq!((found[0], found[1], found[3]), (Some(2), Some(2), Some(2)));
            assert_ne!(found[2], Some(2));
        }
        assert_eq!(donors(1, &queries[..2]), [None, None]);
        assert_eq!(donors(1, &queries[..1]), [None]);
    }
}
