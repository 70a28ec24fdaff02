//! The command line as a whole.

use crate::commands::{app, cluster, event, node, operator, plan, quarantine, release, rollout, upgrade};
use crate::connection::TargetArgs;
use crate::output::Format;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use std::path::PathBuf;
use std::time::Duration;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  error
  2  wrong usage
  3  the rollout, or the upgrade, was halted, held or reverted
  4  the rollout, or a host, needs an operator
  5  waited too long, or not everything is done; the rollout goes on";

/// Rolls Erlang and Elixir releases over a cluster of relupd hosts, hot.
#[derive(Debug, Parser)]
#[command(name = "relupctl", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// Form of the answer
    #[arg(long, short, global = true, value_enum, default_value_t = Format::Table)]
    pub(crate) output: Format,
    /// Give up waiting after this long, e.g. 30s or 10m [default: 30s; watching: for ever]
    #[arg(long, global = true, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Cluster, apps and rollouts at a glance
    Status,
    /// Make, join and look at the cluster
    #[command(subcommand)]
    Cluster(cluster::Command),
    /// People who may use relupctl from afar
    #[command(subcommand)]
    Operator(operator::Command),
    /// Hosts of the cluster
    #[command(subcommand)]
    Node(node::Command),
    /// Builds of apps
    #[command(subcommand)]
    Release(release::Command),
    /// Apps: where they run, how they are upgraded
    #[command(subcommand)]
    App(app::Command),
    /// Plan how an app gets to a version: who, in which order, how, the way back, and what each node's
    /// preflight says to it now. Changes nothing
    Plan(plan::PlanArgs),
    /// Carry a plan out
    #[command(subcommand)]
    Rollout(rollout::Command),
    /// Releases that failed and are refused until lifted
    #[command(subcommand)]
    Quarantine(quarantine::Command),
    /// Who may upgrade relupd itself: the keys behind `relupctl cluster upgrade`
    #[command(subcommand)]
    Upgrade(upgrade::Command),
    /// What happened, oldest first
    Events(event::EventsArgs),
    /// Completions for a shell, e.g. `relupctl completion bash > /etc/bash_completion.d/relupctl`
    Completion {
        /// The shell
        shell: Shell,
    },
    /// Write manual pages, for packages
    #[command(hide = true)]
    Manual {
        /// Where to
        directory: PathBuf,
    },
}

impl Command {
    /// How long it may take where --timeout does not say; `None` for what watches the clock itself.
    pub(crate) const fn patience(&self) -> Option<Duration> {
        match self {
            Self::Rollout(command) if command.is_watching() => None,
            // A large release over a slow line is no mistake.
            Self::Events(_)
            | Self::Release(release::Command::Push(_))
            | Self::Cluster(cluster::Command::Upgrade(_)) => None,
            // The state has to arrive, too.
            Self::Cluster(cluster::Command::Join { .. }) => Some(Duration::from_secs(120)),
            Self::Status
            | Self::Cluster(_)
            | Self::Operator(_)
            | Self::Node(_)
            | Self::Release(_)
            | Self::App(_)
            | Self::Plan(_)
            | Self::Rollout(_)
            | Self::Quarantine(_)
            | Self::Upgrade(_)
            | Self::Completion { .. }
            | Self::Manual { .. } => Some(Duration::from_secs(30)),
        }
    }

    /// Whether it keeps --timeout itself, because to stop waiting is no error there.
    pub(crate) const fn keeps_time(&self) -> bool {
        match self {
            Self::Rollout(command) => command.is_watching(),
            Self::Events(_)
            | Self::Release(release::Command::Push(_))
            | Self::Cluster(cluster::Command::Upgrade(_)) => true,
            Self::Status
            | Self::Cluster(_)
            | Self::Operator(_)
            | Self::Node(_)
            | Self::Release(_)
            | Self::App(_)
            | Self::Plan(_)
            | Self::Quarantine(_)
            | Self::Upgrade(_)
            | Self::Completion { .. }
            | Self::Manual { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_of_the_design_parses() {
        for line in [
            "relupctl cluster init",
            "relupctl cluster token --ttl 10m",
            "relupctl cluster join TOKEN",
            "relupctl cluster status",
            "relupctl cluster remove beam2 --yes",
            "relupctl cluster raise-format --yes",
            "relupctl cluster upgrade relupd_0.2.0-1_amd64.deb --dry-run",
            "relupctl upgrade key --key upgrade.pem",
            "relupctl upgrade new-key upgrade.pem",
            "relupctl upgrade trust ada.pem --name ada",
            "relupctl operator add ada --role operator --out /tmp/ada",
            "relupctl operator list",
            "relupctl operator revoke ada",
            "relupctl node list",
            "relupctl node show beam1",
            "relupctl node repair beam1 --app shop",
            "relupctl release push shop-0.1.0.tar.gz",
            "relupctl release list",
            "relupctl release show 0.1.0 --name shop",
            "relupctl app apply app.toml",
            "relupctl app list",
            "relupctl app show shop",
            "relupctl app setup shop",
            "relupctl app setup shop --unit web.service --root /srv/web",
            "relupctl app setup shop --program bin/server -- --port 80",
            "relupctl app start shop",
            "relupctl app stop shop",
            "relupctl plan shop 0.2.0",
            "relupctl rollout start p1 --watch",
            "relupctl rollout watch",
            "relupctl rollout why r1",
            "relupctl rollout pause shop",
            "relupctl rollout resume",
            "relupctl rollout promote",
            "relupctl rollout abort r1 --hold",
            "relupctl rollout list",
            "relupctl rollout show r1 --output json",
            "relupctl quarantine list",
            "relupctl quarantine lift 0a1b2c",
            "relupctl --timeout 5s status",
            "relupctl events --follow",
            "relupctl completion zsh",
        ] {
            if let Err(error) = parse(line) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn hold_and_revert_exclude_each_other() {
        assert!(parse("relupctl rollout abort --hold --revert").is_err());
    }

    #[test]
    fn a_watch_keeps_its_own_time() {
        let patience = |line| parse(line).unwrap().command.patience();
        assert_eq!(patience("relupctl rollout watch"), None);
        assert_eq!(patience("relupctl rollout start p1 --watch"), None);
        assert!(patience("relupctl rollout start p1").is_some());
    }
}
