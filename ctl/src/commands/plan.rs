//! `relupctl plan`.

use crate::commands::rollout::preflight_text;
use crate::exit::Exit;
use crate::human;
use crate::output::table;
use crate::session::{Session, answer, present};
use clap::Args;
use relupd_proto::api::v1;

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Its name
    app: String,
    /// Where it shall go
    #[arg(id = "to", value_name = "VERSION")]
    version: String,
}

pub(crate) async fn run(args: PlanArgs, session: &Session) -> anyhow::Result<Exit> {
    let request = v1::CreatePlanRequest { app: args.app, version: args.version };
    let plan = present(answer(session.plans().create_plan(request).await)?.plan)?;
    session.format.print(&plan, plan_text)?;
    session.format.hint(&format!(
        "nothing has changed yet; start it with `relupctl rollout start {} --watch`",
        plan.id
    ));
    Ok(Exit::Done)
}

/// A plan, step by step.
pub(super) fn plan_text(plan: &v1::Plan) -> String {
    let mut table = table(&["#", "node", "from", "to", "method", "why", "way back", "canary"]);
    for step in &plan.steps {
        let way_back: Vec<String> = step.way_back().map(human::label).collect();
        table.add_row([
            step.order.to_string(),
            step.node_name.clone(),
            human::or_dash(&step.from),
            step.to.clone(),
            human::label(step.method()),
            step.because.clone(),
            way_back.join(", else "),
            if step.canary { "canary" } else { "" }.to_owned(),
        ]);
    }
    let nodes = plan.steps.len();
    let s = if nodes == 1 { "" } else { "s" };
    let plan_table = format!(
        "plan {}: {} to {} on {nodes} node{s}\n\n{}",
        plan.id,
        plan.app,
        plan.version,
        table.trim_fmt()
    );
    let checks = plan.steps.iter().map(|step| (step.node_name.as_str(), step.checks.as_slice()));
    match preflight_text(checks) {
        Some(text) => {
            format!("{plan_table}\n\nwhat preflight found when the nodes were last prepared for it:\n{text}")
        }
        None => plan_table,
    }
}
