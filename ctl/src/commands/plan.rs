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
    let mut parts = vec![plan_table];
    let asked = plan.steps.iter().filter(|step| step.preflight.is_some());
    let answers = asked.clone().map(|step| (step.node_name.as_str(), told(step)));
    if let Some(text) = preflight_text(answers) {
        parts.push(format!("what the nodes say to it now:\n{text}"));
    }
    // What a node says now is worth more than what it once said.
    let silent = plan.steps.iter().filter(|step| told(step).is_empty());
    let before = silent.map(|step| (step.node_name.as_str(), step.checks.as_slice()));
    if let Some(text) = preflight_text(before) {
        parts.push(format!("what preflight found when the nodes were last prepared for it:\n{text}"));
    }
    let no_answer = asked.filter_map(no_answer).collect::<Vec<_>>();
    if !no_answer.is_empty() {
        parts.push(format!("of these nothing is known now:\n{}", no_answer.join("\n")));
    }
    parts.join("\n\n")
}

/// What a node says now.
fn told(step: &v1::PlanStep) -> &[v1::Check] {
    step.preflight.as_ref().map(|said| said.checks.as_slice()).unwrap_or_default()
}

fn no_answer(step: &v1::PlanStep) -> Option<String> {
    let said = step.preflight.as_ref()?;
    let reason = match (said.no_answer.as_str(), said.checks.as_slice()) {
        ("", []) => "its driver checks nothing before a rollout",
        ("", [_, ..]) => return None,
        (reason, _) => reason,
    };
    Some(format!("- {}: {reason}", step.node_name))
}
