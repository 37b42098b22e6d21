//! Runs of the simulation by a queue with 1, 2 and 4 workers, beside one process.
//!
//! `cargo build --release -p tpo --features queue && cargo bench -p textgrad-tests --bench queue`, with `-- 10000` for
//! so many queries (default: 1000). `TPO` names another program; `nats-server` is on the path or in `NATS_SERVER`.
//!
//! The engines are simulated, and are half of the CPU time of one process: what a queue adds to a query is the figure
//! to look at. All processes and the server share the machine. CPU time is that of the coordinator and the workers,
//! without the server.

#[path = "common/machine.rs"]
mod machine;

use std::error::Error;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use textgrad_tests::nats::NatsServer;

const WORKERS: [usize; 3] = [1, 2, 4];

struct Bench {
    program: PathBuf,
    folder: tempfile::TempDir,
    queries: usize,
}

/// Seconds of wall time, and of CPU time of the processes that were waited for.
struct Figures {
    wall: f64,
    cpu: f64,
}

/// The CPU time of the children of this process that have ended, in seconds.
fn children() -> f64 {
    // Fields 16 and 17, behind a name in brackets: clock ticks, of which Linux has 100 a second.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields.split_whitespace().skip(13).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn wait(mut child: Child) -> Result<(), Box<dyn Error>> {
    let mut error = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut error)?;
    }
    match child.wait()? {
        status if status.success() => Ok(()),
        status => Err(format!("{status}: {error}").into()),
    }
}

impl Bench {
    fn command(&self, arguments: &[&str]) -> std::io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.current_dir(self.folder.path()).args(arguments).stdout(Stdio::null());
        command.stderr(Stdio::piped()).env_remove("TPO_LOG").spawn()
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn measure(
        &self,
        run: impl FnOnce() -> Result<(), Box<dyn Error>>,
    ) -> Result<Figures, Box<dyn Error>> {
        let (begun, before) = (Instant::now(), children());
        run()?;
        Ok(Figures { wall: begun.elapsed().as_secs_f64(), cpu: children() - before })
    }

    /// One process.
    fn alone(&self) -> Result<Figures, Box<dyn Error>> {
        let arguments = ["run", "--data", "queries.txt", "--out", "alone"];
        self.measure(|| wait(self.command(&arguments)?))
    }

    /// A coordinator and workers.
    fn queue(&self, server: &NatsServer, workers: usize) -> Result<Figures, Box<dyn Error>> {
        let (name, url) = (format!("queue-{workers}"), server.url(&format!("bench-{workers}")));
        let arguments = ["run", "--data", "queries.txt", "--out", &name, "--queue", &url];
        let figures = self.measure(|| {
            let run = self.command(&arguments)?;
            let worker = ["worker", "--queue", &url];
            let workers: Result<Vec<Child>, _> =
                (0..workers).map(|_| self.command(&worker)).collect();
            wait(run)?;
            workers?.into_iter().try_for_each(wait)
        })?;
        let results = |name: &str| std::fs::read(self.out(name).join("results.jsonl"));
        match results(&name)? == results("alone")? {
            true => Ok(figures),
            false => Err("the results of the queue are not those of one process".into()),
        }
    }

    fn row(&self, what: &str, figures: &Figures, alone: &Figures) {
        let Figures { wall, cpu } = figures;
        let extra = (cpu - alone.cpu) * 1e3 / self.queries as f64;
        println!(
            "{what:<22} {wall:>7.1} s wall ({:>5.2} x) {:>7.0} queries/s  {cpu:>7.1} s CPU ({:>5.2} x), {extra:>6.2} ms more a query",
            wall / alone.wall,
            self.queries as f64 / wall,
            cpu / alone.cpu,
        );
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let beside = std::env::current_exe()?;
    let beside = beside.parent().and_then(Path::parent).map(|folder| folder.join("tpo"));
    let program = std::env::var_os("TPO").map(PathBuf::from).or(beside).unwrap_or_default();
    if !program.is_file() {
        return Err(format!("no {}: cargo build --release -p tpo", program.display()).into());
    }
    let queries = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(1000);
    let bench = Bench { program, folder: tempfile::tempdir()?, queries };
    let text: String = (0..queries).map(|i| format!("Why does wood number {i} float?\n")).collect();
    std::fs::write(bench.out("queries.txt"), text)?;
    machine::title(&format!("{queries} queries of the simulation, by a queue and in one process"));
    let Some(server) = NatsServer::start(bench.folder.path(), "", "") else { return Ok(()) };
    let alone = bench.alone()?;
    bench.row("one process", &alone, &alone);
    for workers in WORKERS {
        let figures = bench.queue(&server, workers)?;
        bench.row(&format!("{workers} worker(s)"), &figures, &alone);
    }
    Ok(())
}
