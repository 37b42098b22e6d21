//! The program `tpo` as a process, against a server in a process of its own, beside a raw client in a third.
//!
//! `cargo build --release -p tpo && cargo bench -p textgrad-tests --bench program`, with `-- large` for the batch of
//! 5,000 queries and `-- resume` for resume, verification and report. `TPO` names another program to measure, such as
//! the one that is installed: `TPO=target/dist/tpo`, after `cargo build --profile dist -p tpo --features jemalloc`.
//!
//! The raw client sends bodies of the same size over `reqwest` and reads the replies with `serde_json`; it keeps
//! nothing. All three processes share the machine.

#[path = "../common/figures.rs"]
mod figures;
#[path = "../common/machine.rs"]
mod machine;
mod process;
mod raw;
mod server;
#[path = "../common/words.rs"]
mod words;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::process::{Ended, Serving, run};

/// The part of this program that a process plays.
const ROLE: &str = "PROGRAM_BENCH";
const LATENCY_MS: u64 = 50;
/// Calls of a search of two iterations, one after the other: answers, and loss, gradient and update of each.
const CALLS: usize = 7;
const PAIRS: usize = 3;

/// A batch: queries, how many of them at a time, milliseconds per call.
#[derive(Clone, Copy)]
struct Batch {
    queries: usize,
    concurrency: usize,
    latency: u64,
}

impl Batch {
    /// The longest chain of calls of one query, as often as queries take turns.
    fn critical_path(&self) -> f64 {
        let turns = self.queries.div_ceil(self.concurrency);
        (self.latency * CALLS as u64) as f64 / 1e3 * turns as f64
    }

    fn calls(&self) -> usize {
        self.queries * CALLS
    }
}

/// A part of the benchmark.
type Part = fn(&Bench) -> Result<(), Box<dyn Error>>;

struct Bench {
    program: PathBuf,
    folder: tempfile::TempDir,
    server: Serving,
}

impl Bench {
    fn start() -> Result<Self, Box<dyn Error>> {
        // Built beside the folder of this program.
        let exe = std::env::current_exe()?;
        let beside = exe.parent().and_then(Path::parent).map(|folder| folder.join("tpo"));
        let program = std::env::var_os("TPO").map(PathBuf::from).or(beside).unwrap_or_default();
        if !program.is_file() {
            return Err(format!("no {}: cargo build --release -p tpo", program.display()).into());
        }
        Ok(Self { program, folder: tempfile::tempdir()?, server: Serving::start(ROLE)? })
    }

    fn queries(&self, count: usize) -> Result<PathBuf, Box<dyn Error>> {
        let path = self.folder.path().join(format!("{count}.txt"));
        let queries =
            (0..count).map(|i| format!("How do I look after a wooden table, part {i}?\n"));
        std::fs::write(&path, queries.collect::<String>())?;
        Ok(path)
    }

    /// `tpo run`, into a run folder of this name.
    fn command(&self, batch: Batch, out: &Path) -> Result<Command, Box<dyn Error>> {
        let mut command = Command::new(&self.program);
        let url = format!("http://{}/{}/v1", self.server.address(), batch.latency);
        command.args([
            "run",
            "--engine",
            "openai",
            "--model",
            "fake",
            "--reward",
            "length:from=400,to=2000,slack=1",
            "--base-url",
            &url,
        ]);
        command
            .args(["--no-preflight", "--concurrency", &batch.concurrency.to_string()])
            .arg("--data");
        command.arg(self.queries(batch.queries)?).arg("--out").arg(out);
        command.env("OPENAI_API_KEY", "none").env_remove("TPO_LOG");
        Ok(command)
    }

    fn tpo(&self, batch: Batch) -> Result<Ended, Box<dyn Error>> {
        let out = self.folder.path().join("run");
        if out.exists() {
            std::fs::remove_dir_all(&out)?;
        }
        run(self.command(batch, &out)?)
    }

    fn raw(&self, batch: Batch) -> Result<Ended, Box<dyn Error>> {
        let mut command = Command::new(std::env::current_exe()?);
        let url = format!("http://{}/{}/v1", self.server.address(), batch.latency);
        command.env(ROLE, "raw").args([
            &url,
            &batch.calls().to_string(),
            &batch.concurrency.to_string(),
        ]);
        run(command)
    }

    /// Both, one after the other, a few times.
    fn pairs(&self, batch: Batch) -> Result<Vec<(Ended, Ended)>, Box<dyn Error>> {
        (0..PAIRS).map(|_| Ok((self.tpo(batch)?, self.raw(batch)?))).collect()
    }

    /// CPU time per call.
    fn cpu(&self) -> Result<(), Box<dyn Error>> {
        println!("\nCPU time per call, calls that take no time");
        for concurrency in [64, 448] {
            let batch = Batch { queries: 1000, concurrency, latency: 0 };
            let pairs = self.pairs(batch)?;
            let each = |seconds: f64| seconds / batch.calls() as f64 * 1e6;
            let ours = figures::median(pairs.iter().map(|(ours, _)| each(ours.cpu)).collect());
            let raw = figures::median(pairs.iter().map(|(_, raw)| each(raw.cpu)).collect());
            let ratio =
                figures::median(pairs.iter().map(|(ours, raw)| ours.cpu / raw.cpu).collect());
            println!(
                "  {concurrency:>4} searches: {ours:>6.1} us, raw {raw:>5.1} us, ratio {ratio:.2} (goal 2.5)"
            );
        }
        Ok(())
    }

    /// Wall time of batches.
    fn wall(&self) -> Result<(), Box<dyn Error>> {
        println!("\nwall time, {LATENCY_MS} ms a call");
        for (queries, concurrency) in [(16, 16), (100, 64), (1000, 448), (1000, 1000)] {
            let batch = Batch { queries, concurrency, latency: LATENCY_MS };
            let pairs = self.pairs(batch)?;
            let ours = figures::median(pairs.iter().map(|(ours, _)| ours.wall).collect());
            let raw = figures::median(pairs.iter().map(|(_, raw)| raw.wall).collect());
            let ratio =
                figures::median(pairs.iter().map(|(ours, raw)| ours.wall / raw.wall).collect());
            let path = batch.critical_path();
            println!(
                "  {queries:>4} at {concurrency:>4}: {ours:.3} s, critical path {path:.2} s, {:.2} x; raw {raw:.3} s, {ratio:.2} x",
                ours / path
            );
        }
        Ok(())
    }

    /// Memory of a long batch, per search in flight.
    fn memory(&self) -> Result<(), Box<dyn Error>> {
        println!("\nmemory");
        let batch = |queries, concurrency| Batch { queries, concurrency, latency: LATENCY_MS };
        let large = batch(5000, 1000);
        let show = |name: &str, one: Ended, all: Ended| {
            let each = (all.peak as f64 - one.peak as f64) / large.concurrency as f64;
            let peak = all.peak as f64 * 1024.0 / 1e6;
            println!(
                "  {name:<4} 5,000 at 1,000: {:.2} s, {:.1} s of CPU, {peak:.0} MB, {each:.0} KiB a search in flight",
                all.wall, all.cpu
            );
        };
        show("tpo", self.tpo(batch(1, 1))?, self.tpo(large)?);
        show("raw", self.raw(batch(1, 1))?, self.raw(large)?);
        Ok(())
    }

    /// What is done with a finished run: the simulation makes it.
    fn resume(&self) -> Result<(), Box<dyn Error>> {
        let queries = std::env::var("QUERIES").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
        println!("\na finished run of {queries} queries");
        let out = self.folder.path().join("finished");
        let data = self.queries(queries)?;
        let command = |name: &str| {
            let mut command = Command::new(&self.program);
            command.arg(name);
            command
        };
        let made = || {
            let mut command = command("run");
            command.args(["--concurrency", "64", "--data"]).arg(&data).arg("--out").arg(&out);
            command
        };
        let show = |name: &str, ended: Ended| {
            let (cpu, wall, peak) = (ended.cpu, ended.wall, ended.peak as f64 * 1024.0 / 1e6);
            println!("  {name:<8} {cpu:>6.2} s of CPU, {wall:>6.2} s, {peak:>5.0} MB");
        };
        show("run", run(made())?);
        let mut resumed = made();
        resumed.arg("--resume");
        show("resume", run(resumed)?);
        let mut verify = command("verify");
        verify.arg(&out);
        show("verify", run(verify)?);
        let mut report = command("report");
        report.arg(&out);
        show("report", run(report)?);
        Ok(())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::var(ROLE).as_deref() {
        Ok("server") => return server::serve(),
        Ok("raw") => return raw::send(),
        _ => {}
    }
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wants = |name: &str| wanted.iter().any(|wanted| wanted == name);
    machine::title("the program");
    let bench = Bench::start()?;
    let parts: [(&str, Part); 4] = [
        ("cpu", Bench::cpu),
        ("wall", Bench::wall),
        ("large", Bench::memory),
        ("resume", Bench::resume),
    ];
    for (name, part) in parts {
        let is_default = wanted.is_empty() && matches!(name, "cpu" | "wall");
        if is_default || wants(name) {
            part(&bench)?;
        }
    }
    Ok(())
}
