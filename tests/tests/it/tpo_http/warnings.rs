//! Reward models whose scores look wrong say so once, in the log; others say nothing.

use std::sync::Arc;

use textgrad_core::{Choice, EngineError, FinishReason, Request, Response, engine_fn};
use textgrad_ops::command::Runner;
use textgrad_ops::score::Unreadable;
use textgrad_tests::fake_server::FakeServer;
use textgrad_tests::log::Log;
use tpo::{
    Batch, ChatTemplate, Combine, DpoReward, Ensemble, HttpReward, JudgeReward, JudgeRewardBuilder,
    Likelihood, Member, Mode, PpoReward, RewardApi, RewardModel, ScorerReward, Tpo, reward_fn,
};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::{PATIENCE, quick};

/// As many as are needed to say something of queries in a row.
const QUERIES: usize = 20;

/// The warnings of a reward model that scores three answers to each of many queries, one after the other.
async fn warnings(reward: &dyn RewardModel) -> Vec<String> {
    let log = Log::default();
    let (written, level) = (log.clone(), tracing_subscriber::filter::LevelFilter::WARN);
    let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false);
    let guard = subscriber.with_writer(move || written.clone()).finish().set_default();
    for place in 0..QUERIES + 5 {
        let query = format!("Why is {place} a number?").into();
        for answers in [&["So.", "It is."][..], &["Because it counts."]] {
            // Whether it can be scored is not the question.
            let _ = reward.score(&query, answers).await;
        }
    }
    drop(guard);
    let text = log.text();
    text.lines().map(str::to_owned).collect()
}

async fn warns_of(reward: &dyn RewardModel, words: &str) {
    let warnings = warnings(reward).await;
    let is_it = |line: &String| line.contains(words) && line.contains(reward.name());
    assert!(warnings.len() == 1 && warnings.iter().all(is_it), "{words}: {warnings:#?}");
}

async fn is_silent(reward: &dyn RewardModel) {
    assert_eq!(warnings(reward).await, [""; 0], "{}", reward.name());
}

/// What tells answers apart.
fn length(answer: &str) -> f64 {
    answer.len() as f64
}

/// A judge that makes this of each request.
fn judge(reply: impl Fn(&str) -> String + Send + Sync + 'static) -> JudgeRewardBuilder {
    let engine = engine_fn("says", move |request: Request| {
        let reply = reply(&request.messages[1].text());
        async move {
            let choice = Choice::new(reply, FinishReason::Stop);
            Ok::<_, EngineError>(Response::new(vec![choice]))
        }
    });
    JudgeReward::builder(Arc::new(engine)).parse_retries(0)
}

fn verdict(of: impl std::fmt::Display) -> String {
    format!("<VERDICT>{of}</VERDICT>")
}

/// A grade of each answer: the one that is asked for with these words, or another.
fn graded(prompt: &str, long: u32, other: u32) -> String {
    verdict(if prompt.contains("Because it counts.") { long } else { other })
}

#[tokio::test]
async fn judges_whose_grades_tell_nothing() {
    is_silent(&judge(|prompt| graded(prompt, 9, 4)).build().unwrap()).await;
    // Many high grades are no trouble while some are not.
    is_silent(&judge(|prompt| graded(prompt, 10, 8)).build().unwrap()).await;
    let highest = "all scores so far lie from 10 to 10, at one end of the scale";
    warns_of(&judge(|_| verdict(10)).build().unwrap(), highest).await;
    let lowest = judge(|_| verdict(-3)).grades(-3.0, 3.0);
    warns_of(&lowest.build().unwrap(), "from -3 to -3, at one end").await;
    let same = "in each of the last 20 queries all answers have the same score";
    warns_of(&judge(|_| verdict(6)).build().unwrap(), same).await;
}

#[tokio::test]
async fn judges_whose_comparisons_tell_nothing() {
    let alike = "in each of the last 20 queries all answers have the same score";
    for says in ["A", "B", "tie"] {
        let pairwise = judge(move |_| verdict(says)).pairwise().build().unwrap();
        warns_of(&pairwise, alike).await;
    }
    let by_length = |prompt: &str| {
        let place = |text: &str| prompt.find(text);
        let (so, long) = (place("So."), place("It is."));
        verdict(if so < long { "A" } else { "B" })
    };
    is_silent(&judge(by_length).pairwise().build().unwrap()).await;
}

#[tokio::test]
async fn judges_whose_replies_cannot_be_read() {
    let unreadable = |prompt: &str| match prompt.contains("It is.") {
        true => "I would rather not say.".to_owned(),
        false => graded(prompt, 8, 3),
    };
    for policy in [Unreadable::Fail, Unreadable::Worst, Unreadable::Skip] {
        let judge = judge(unreadable).unreadable(policy).build().unwrap();
        warns_of(&judge, "of the replies so far cannot be read").await;
    }
    // What is read the second time counts too, but one reply in six is no trouble.
    let again = |prompt: &str| match prompt.contains("could not be used") {
        false if prompt.contains("It is.") || prompt.contains("So.") => "Hm.".to_owned(),
        _ => graded(prompt, 8, 3),
    };
    warns_of(&judge(again).parse_retries(1).build().unwrap(), "40 % of the replies").await;
    let seldom = |prompt: &str| match prompt.contains("So.") && prompt.contains("Why is 1") {
        true => "Hm.".to_owned(),
        false => graded(prompt, 8, 3),
    };
    is_silent(&judge(seldom).build().unwrap()).await;
}

#[tokio::test]
async fn servers_that_give_no_raw_scores() {
    let scored = async |reward: fn(&str, &str) -> f64| {
        let server = FakeServer::builder().reward(reward).start().await.unwrap();
        let model = HttpReward::builder(server.url(), "rm", RewardApi::VllmClassify);
        (model.timeout(PATIENCE).retry(quick()).build().unwrap(), server)
    };
    let (reward, _server) = scored(|_, answer| -length(answer)).await;
    is_silent(&reward).await;
    let (reward, _server) = scored(|_, answer| 1.0 / length(answer)).await;
    warns_of(&reward, "all scores so far lie between 0 and 1").await;
    let (reward, _server) = scored(|_, _| 1.0).await;
    warns_of(&reward, "all scores so far are the same").await;
    // As where a template leaves the answer out.
    let of_query = |query: &str, _: &str| f64::from(query.bytes().fold(0, u8::wrapping_add)) - 9.5;
    let (reward, _server) = scored(of_query).await;
    warns_of(&reward, "all answers have the same score").await;
}

#[tokio::test]
async fn likelihoods_of_one_model_for_two() {
    let template = ChatTemplate::from_source(
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}\
         {% if add_generation_prompt %}[assistant] {% endif %}",
        Some("<s>"),
    );
    let template = template.unwrap();
    let serving = async |logprob: fn(&str) -> f64| {
        FakeServer::builder().bos("<s>").logprob(logprob).start().await.unwrap()
    };
    let base = serving(|token| -0.25 * length(token)).await;
    // Batches and kernels make a little difference.
    let noisy = serving(|token| -0.25 * length(token) - 1e-4).await;
    let tuned = serving(|token| -0.5 - 0.125 * length(token)).await;
    let dpo = |policy: &FakeServer| {
        let of = |server: &FakeServer, model: &str| {
            let likelihood = Likelihood::builder(server.base_url(), model, template.clone());
            likelihood.timeout(PATIENCE).retry(quick()).build().unwrap()
        };
        DpoReward::new(of(policy, "policy"), of(&base, "base"), 0.1).unwrap()
    };
    is_silent(&dpo(&tuned)).await;
    let same = "the policy and the reference seem to be the same model";
    warns_of(&dpo(&noisy), same).await;

    let by_length = || Arc::new(reward_fn("length", |_, answer: &str| length(answer)));
    is_silent(&PpoReward::new(by_length(), dpo(&tuned))).await;
    let warned = warnings(&PpoReward::new(by_length(), dpo(&noisy))).await;
    assert!(warned.len() == 1 && warned[0].contains(same), "the penalty is told of: {warned:?}");
    let constant = Arc::new(reward_fn("constant", |_, _: &str| 1.0));
    let warned = warnings(&PpoReward::new(constant, dpo(&base))).await;
    assert_eq!(warned.len(), 2, "the penalty and the whole: {warned:?}");
    assert!(warned.iter().any(|line| line.contains("constant - kl:policy/base")), "{warned:?}");
}

#[tokio::test]
async fn ensembles_of_which_one_hides_the_others() {
    let member = |name, score: fn(&str) -> f64| {
        Member::new(reward_fn(name, move |_, answer: &str| score(answer)))
    };
    let both = |combine| {
        let members = [member("length", length), member("floor", |_| -1.0)];
        Ensemble::new(members, combine).unwrap()
    };
    is_silent(&both(Combine::Mean)).await;
    warns_of(&both(Combine::Min), "all answers have the same score").await;
}

#[cfg(unix)]
#[tokio::test]
async fn programs_that_overlook_the_answer() {
    let program = |script: &str| {
        let runner = Runner::builder("/bin/sh").args(["-c", script]);
        ScorerReward::command(runner.build().unwrap()).unwrap().named("program")
    };
    is_silent(&program("read answer; echo ${#answer}")).await;
    warns_of(&program("read query < query.txt; echo ${#query}"), "reads the answer").await;
}

/// A search makes a judge of its own of the judge that it is given; all of them are watched as one.
#[tokio::test]
async fn the_judge_of_many_searches() {
    let log = Log::default();
    let written = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || written.clone());
    let guard = subscriber.finish().set_default();
    let policy = engine_fn("policy", |request: Request| async move {
        let answers = (0..request.sampling.n).map(|i| format!("{i}"));
        let choices = answers.map(|text| Choice::new(text, FinishReason::Stop));
        Ok::<_, EngineError>(Response::new(choices.collect()))
    });
    let judge = Arc::new(judge(|_| verdict(5)).build().unwrap());
    let tpo = Tpo::builder(Arc::new(policy), judge).mode(Mode::Bon).build().unwrap();
    let queries = (0..QUERIES).map(|place| format!("{place}?"));
    let mut batch = Batch::new(tpo, queries).concurrency(4);
    while let Some(outcome) = batch.next().await {
        outcome.result.unwrap();
    }
    drop(guard);
    let text = log.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("WARN") && text.contains("the same score"), "{text}");
}
