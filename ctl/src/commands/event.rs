//! `relupctl events`.

use crate::error::ServerError;
use crate::exit::Exit;
use crate::human;
use crate::session::{Session, answer, present};
use clap::Args;
use relupd_proto::api::v1;

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on with new ones until interrupted
    #[arg(long, short)]
    follow: bool,
    /// So many old ones; 0 means all that the cluster keeps
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    last: u32,
}

pub(crate) async fn run(args: EventsArgs, session: &Session) -> anyhow::Result<Exit> {
    let printing = print_all(args, session);
    match session.timeout {
        None => printing.await?,
        // To stop following is what was asked for.
        Some(limit) => tokio::time::timeout(limit, printing).await.unwrap_or(Ok(()))?,
    }
    Ok(Exit::Done)
}

async fn print_all(args: EventsArgs, session: &Session) -> anyhow::Result<()> {
    let request = v1::ListEventsRequest { follow: args.follow, last: args.last };
    let mut events = answer(session.events().list_events(request).await)?;
    while let Some(next) = events.message().await.map_err(ServerError::from)? {
        session.format.print_next(&present(next.event)?, event_line)?;
    }
    Ok(())
}

fn event_line(event: &v1::Event) -> String {
    let about: Vec<&str> = [&event.app, &event.rollout, &event.node_name]
        .into_iter()
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .collect();
    let about = if about.is_empty() { String::new() } else { format!("[{}] ", about.join(" ")) };
    format!("{}  {about}{} ({})", human::clock_time(event.at.as_ref()), event.text, event.actor)
}
