//! Appending to a journal: by the task that has the line, or by one writer that takes all lines that wait.
//!
//! `cargo bench -p textgrad-tests --bench append`
//!
//! Tasks work for 60 us, as a model call of `tpo run` does, append a line, and sleep for some milliseconds.

#[path = "common/figures.rs"]
mod figures;
#[path = "common/machine.rs"]
mod machine;

use std::error::Error;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use textgrad_ops::util::jsonl::Writer;
use tokio::sync::{mpsc, oneshot};

const APPENDS: usize = 14_000;
const RUNS: usize = 3;
const WORK: Duration = Duration::from_micros(60);
/// Bytes of the lines of calls and of scores.
const LENGTHS: [usize; 2] = [5_200, 700];

/// A line, and who waits until it is written.
type Waiting = (Arc<str>, oneshot::Sender<()>);

#[derive(Clone)]
enum Append {
    Inline(Writer),
    Handed(mpsc::UnboundedSender<Waiting>),
}

impl Append {
    /// A writer that is a task, or a thread.
    fn handed(writer: Writer, is_thread: bool) -> Self {
        let (sender, mut waiting) = mpsc::unbounded_channel::<Waiting>();
        let write = move |first: Waiting, waiting: &mut mpsc::UnboundedReceiver<Waiting>| {
            let mut all = vec![first];
            while let Ok(next) = waiting.try_recv() {
                all.push(next);
            }
            // The task that waits for a line that is not written gets an error of its channel.
            if writer.write_all(all.iter().map(|(line, _)| line)).is_ok() {
                for (_, done) in all {
                    let _ = done.send(());
                }
            }
        };
        if is_thread {
            std::thread::spawn(move || {
                while let Some(first) = waiting.blocking_recv() {
                    write(first, &mut waiting);
                }
            });
        } else {
            tokio::spawn(async move {
                while let Some(first) = waiting.recv().await {
                    write(first, &mut waiting);
                }
            });
        }
        Self::Handed(sender)
    }

    async fn append(&self, line: Arc<str>) -> Result<(), Box<dyn Error + Send + Sync>> {
        match self {
            Self::Inline(writer) => Ok(writer.write(&line)?),
            Self::Handed(sender) => {
                let (done, written) = oneshot::channel();
                sender.send((line, done))?;
                Ok(written.await?)
            }
        }
    }
}

/// CPU time per append, and the microseconds that each took.
async fn measure(tasks: usize, form: &str) -> Result<(f64, Vec<f64>), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let file = File::options().append(true).create(true).open(folder.path().join("a.jsonl"))?;
    let append = match form {
        "inline" => Append::Inline(Writer::new(file)),
        _ => Append::handed(Writer::new(file), form == "thread"),
    };
    let lines = LENGTHS.map(|length| Arc::<str>::from("x".repeat(length)));
    let cpu = ProcessTime::now();
    let work = (0..tasks).map(|task| {
        let (append, lines) = (append.clone(), lines.clone());
        tokio::spawn(async move {
            let mut took = Vec::new();
            for (turn, line) in (0..APPENDS / tasks).zip(lines.iter().cycle()) {
                let pause = 1 + (task * 7 + turn * 13) % 5;
                tokio::time::sleep(Duration::from_millis(pause as u64)).await;
                let begun = Instant::now();
                while begun.elapsed() < WORK {}
                let begun = Instant::now();
                append.append(Arc::clone(line)).await?;
                took.push(begun.elapsed().as_secs_f64() * 1e6);
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(took)
        })
    });
    let work: Vec<_> = work.collect();
    let mut took = Vec::new();
    for task in work {
        took.extend(task.await?.map_err(|error| error.to_string())?);
    }
    took.sort_by(f64::total_cmp);
    Ok((cpu.elapsed().as_secs_f64() * 1e6 / took.len() as f64, took))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    machine::title("appending to a journal, work of 60 us before each append, medians of 3");
    for tasks in [64, 448] {
        for form in ["inline", "task", "thread"] {
            let (mut cpu, mut quantiles) = (Vec::new(), [const { Vec::new() }; 3]);
            for _ in 0..RUNS {
                let (each, took) = measure(tasks, form).await?;
                cpu.push(each);
                for (quantile, of) in quantiles.iter_mut().zip([0.5, 0.99, 0.999]) {
                    quantile.extend(took.get((took.len() as f64 * of) as usize));
                }
            }
            let [median, slow, slowest] = quantiles.map(figures::median);
            println!(
                "{tasks:>4} tasks, {form:<6} {:>6.1} us of CPU; {median:>8.1} us, 99 % within {slow:>9.1} us, 99.9 % {slowest:>9.1} us",
                figures::median(cpu)
            );
        }
    }
    Ok(())
}
