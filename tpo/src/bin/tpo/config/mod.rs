//! Settings of a run, and `tpo config`.

mod file;
mod options;
mod secret;
mod settings;
mod show;
mod table;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Subcommand;
use tpo::Error;

pub(crate) use self::settings::{Settings, StudySettings, option_of};
use self::show::Form;
use crate::output::print;
use crate::spec;

/// Show the settings of a run, or the JSON schema of their file.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print the effective settings of a run with these flags, and where each comes from.
    ///
    /// Nothing is run. --json prints them as JSON.
    Show(Box<ShowArgs>),
    /// Print the JSON schema of the file of --config, for editors and validators.
    Schema,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Print a file for --config with these settings.
    #[arg(long)]
    toml: bool,

    #[command(flatten)]
    settings: Settings,
}

impl ConfigArgs {
    pub(crate) fn settings(&mut self) -> Option<&mut Settings> {
        match &mut self.command {
            ConfigCommand::Show(show) => Some(&mut show.settings),
            ConfigCommand::Schema => None,
        }
    }
}

/// `tpo config`.
pub(crate) async fn config(args: ConfigArgs) -> Result<ExitCode, Error> {
    let ConfigCommand::Show(show) = args.command else {
        print(&format!("{:#}\n", options::schema()))?;
        return Ok(ExitCode::SUCCESS);
    };
    let ShowArgs { toml, mut settings } = *show;
    // To this command, the flag is the format of its own output.
    let form = match (toml, settings.take_flag("json")) {
        (true, true) => {
            let (expected, got) = ("one of --toml and --json", "both".to_owned());
            return Err(Error::Config { setting: "toml", expected, got });
        }
        (true, false) => Form::Toml,
        (false, true) => Form::Json,
        (false, false) => Form::Table,
    };
    print(&settings.show(&form)?)?;
    // Settings that cannot be run are shown too.
    spec::search(&settings).await?.validate()?;
    Ok(ExitCode::SUCCESS)
}
