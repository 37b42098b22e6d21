//! `tpo report`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use textgrad_core::Seed;
use tpo::Error;
use tpo::report::{Bootstrap, Cost, Report, ReportConfig};
use tpo::run::RecordedRun;
use tpo::study::{StudyFolder, is_study_file};

/// Report figures over runs as an HTML page, SVG and CSV.
#[derive(Debug, clap::Args)]
pub(crate) struct ReportArgs {
    /// Directories of runs or studies.
    ///
    /// Baselines are runs too: best-of-N and revision are drawn dashed.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// Directory of the page, SVG and CSV files, or an .html file for the page alone.
    ///
    /// Default: the directory `report` in that of the first run.
    #[arg(short, long, value_name = "DIR|FILE")]
    out: Option<PathBuf>,

    #[command(flatten)]
    figures: FigureArgs,

    /// Maximum size of the texts of single queries in the page, in megabytes.
    #[arg(long, value_name = "MB", default_value_t = 9.0, value_parser = positive)]
    max_mb: f64,
}

/// Parameters of figures.
#[derive(Debug, clap::Args)]
pub(crate) struct FigureArgs {
    /// Parameters of the policy, for PFLOPs.
    #[arg(long, value_name = "COUNT", default_value = "70e9", value_parser = positive)]
    policy_params: f64,

    /// Parameters of the reward model, for PFLOPs.
    #[arg(long, value_name = "COUNT", default_value = "8e9", value_parser = positive)]
    reward_params: f64,

    /// Bootstrap resamples of an interval.
    #[arg(long, value_name = "TIMES", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    resamples: u32,

    /// Confidence level of intervals, above 0 and below 1.
    #[arg(long, value_name = "SHARE", default_value = "0.95", value_parser = share)]
    level: f64,

    /// Seed of the bootstrap.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

impl FigureArgs {
    pub(crate) fn bootstrap(&self) -> Bootstrap {
        let (resamples, level) = (self.resamples, self.level);
        Bootstrap { resamples, level, seed: Seed::new(self.seed) }
    }

    pub(crate) fn cost(&self) -> Cost {
        Cost { policy_params: self.policy_params, reward_params: self.reward_params }
    }
}

fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "expected a number above 0, such as 70e9".to_owned())
}

fn share(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| *number > 0.0 && *number < 1.0);
    number.ok_or_else(|| "expected a number above 0 and below 1".to_owned())
}

/// The folders of runs: those of its cells for a study, and not the files of a study beside them.
fn folders(named: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut folders = Vec::new();
    for path in named.iter().filter(|path| !(is_study_file(path) && path.is_file())) {
        match StudyFolder::open(path)? {
            Some(study) => folders.extend(study.cells().iter().map(|cell| study.run(cell))),
            None => folders.push(path.clone()),
        }
    }
    Ok(folders)
}

pub(crate) fn run(args: &ReportArgs) -> Result<ExitCode, Error> {
    let runs: Result<Vec<RecordedRun>, Error> =
        folders(&args.runs)?.into_iter().map(RecordedRun::open).collect();
    let config = ReportConfig {
        bootstrap: args.figures.bootstrap(),
        cost: args.figures.cost(),
        max_bytes: (args.max_mb * 1e6) as usize,
    };
    let report = Report::read(&runs?, &config)?;
    let first = args.runs.first().map_or(Path::new("."), PathBuf::as_path);
    let out = args.out.clone().unwrap_or_else(|| first.join("report"));
    let page = if out.extension().is_some_and(|extension| extension == "html") {
        report.write_html(&out)?;
        out
    } else {
        report.write(&out)?;
        out.join("report.html")
    };
    if report.is_simulation() {
        eprintln!("SIMULATION: the figures say nothing about real models");
    }
    for warning in report.warnings() {
        eprintln!("warning: {warning}");
    }
    crate::output::line(format_args!("report: {}", page.display()))?;
    Ok(ExitCode::SUCCESS)
}
