//! `relupctl operator`.

use crate::clock;
use crate::exit::Exit;
use crate::human;
use crate::operator_files;
use crate::output::table;
use crate::session::{Session, answer, present};
use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use relupd_proto::api::v1;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a directory with a key and a certificate for somebody
    Add {
        /// Their name: a letter, then a-z 0-9 . _ -
        name: String,
        /// What they may do
        #[arg(long, value_enum)]
        role: RoleArg,
        /// The directory to make [default: ./NAME]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Who has a certificate
    List,
    /// Refuse somebody's certificate from now on
    Revoke {
        /// Their name
        name: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleArg {
    /// Looks
    Viewer,
    /// Looks, pushes, plans, starts, pauses, aborts
    Operator,
    /// All of it, nodes and operators too
    Admin,
}

impl From<RoleArg> for v1::Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Admin => Self::Admin,
        }
    }
}

pub(crate) async fn run(command: Command, session: &Session) -> anyhow::Result<Exit> {
    match command {
        Command::Add { name, role, out } => add(session, name, role, out).await?,
        Command::List => {
            let list = answer(session.operators().list_operators(v1::ListOperatorsRequest {}).await)?;
            session.format.print(&list.operators, |operators| operators_table(operators, clock::now()))?;
        }
        Command::Revoke { name } => {
            let request = v1::RevokeOperatorRequest { name: name.clone() };
            let revoked = answer(session.operators().revoke_operator(request).await)?;
            session.format.print(&revoked, |_| format!("operator {name} is revoked"))?;
        }
    }
    Ok(Exit::Done)
}

async fn add(session: &Session, name: String, role: RoleArg, out: Option<PathBuf>) -> anyhow::Result<()> {
    let directory = out.unwrap_or_else(|| PathBuf::from(&name));
    operator_files::create(&directory)?;
    let written = add_into(session, name, role, &directory).await;
    if written.is_err() {
        // A directory without a certificate helps nobody; the key in it has signed nothing.
        let _ = fs::remove_dir_all(&directory);
    }
    let operator = written?;
    session.format.print(&operator, |operator| {
        format!(
            "operator {} ({}) is in {}",
            operator.name,
            human::label(operator.role()),
            directory.display()
        )
    })?;
    session.format.hint(&format!(
        "its key.pem is a secret; use it with `relupctl --identity {}`, or name it in ~/.config/relupctl/contexts.toml",
        directory.display()
    ));
    Ok(())
}

async fn add_into(
    session: &Session,
    name: String,
    role: RoleArg,
    directory: &Path,
) -> anyhow::Result<v1::Operator> {
    let (key, certificate_request) = operator_files::request()?;
    let request = v1::AddOperatorRequest { name, role: v1::Role::from(role).into(), certificate_request };
    let added = answer(session.operators().add_operator(request).await)?;
    operator_files::write(directory, &key, &added)?;
    present(added.operator)
}

fn operators_table(operators: &[v1::Operator], now: Timestamp) -> String {
    let mut table = table(&["operator", "role", "added", "expires", "serial"]);
    for operator in operators {
        table.add_row([
            operator.name.clone(),
            human::label(operator.role()),
            human::ago(operator.added_at.as_ref(), now),
            human::ago(operator.expires_at.as_ref(), now),
            operator.serial.clone(),
        ]);
    }
    table.trim_fmt()
}
