//! What people see, word for word.

use super::{app, node, plan, rollout};
use jiff::Timestamp;
use relupd_proto::api::v1;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn at(seconds_ago: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 1_800_000_000 - seconds_ago, nanos: 0 })
}

fn step(order: u32, method: v1::Method, because: &str, way_back: &[v1::Rung]) -> v1::PlanStep {
    v1::PlanStep {
        order,
        node_name: format!("beam{order}"),
        from: "0.1.0".to_owned(),
        to: "0.2.0".to_owned(),
        method: method.into(),
        because: because.to_owned(),
        way_back: way_back.iter().map(|rung| (*rung).into()).collect(),
        canary: order == 1,
        ..Default::default()
    }
}

#[test]
fn a_plan_shows_order_method_reason_and_way_back() {
    let plan = v1::Plan {
        id: "p3".to_owned(),
        app: "shop".to_owned(),
        version: "0.2.0".to_owned(),
        steps: vec![
            step(1, v1::Method::Hot, "relup both ways", &[v1::Rung::RelupDown, v1::Rung::Restart]),
            step(2, v1::Method::Restart, "no relup from 0.1.0", &[v1::Rung::Restart]),
        ],
        ..Default::default()
    };
    insta::assert_snapshot!(plan::plan_text(&plan));
}

fn checks() -> Vec<v1::Check> {
    let passed = |name: &str| v1::Check {
        name: name.to_owned(),
        result: v1::CheckResult::Passed.into(),
        ..Default::default()
    };
    let stale = v1::Check {
        name: "P4 relup covers every changed module".to_owned(),
        result: v1::CheckResult::NotHot.into(),
        reason: "on the way there the relup leaves out shop_routes: stale code".to_owned(),
        remedy: "add the modules to the appup and make the relup again".to_owned(),
    };
    vec![passed("P1"), passed("P2"), stale]
}

#[test]
fn what_preflight_found_is_shown_with_the_plan_of_the_same_way() {
    let first = v1::PlanStep { checks: checks(), ..step(1, v1::Method::Hot, "relup both ways", &[]) };
    let plan = v1::Plan {
        id: "p4".to_owned(),
        app: "shop".to_owned(),
        version: "0.2.0".to_owned(),
        steps: vec![first, step(2, v1::Method::Hot, "relup both ways", &[])],
        ..Default::default()
    };
    insta::assert_snapshot!(plan::plan_text(&plan));
}

#[test]
fn what_the_nodes_say_to_a_plan_is_shown_with_it() {
    let unknown = |name: &str| v1::Check {
        name: name.to_owned(),
        result: v1::CheckResult::Unknown.into(),
        reason: "not known until prepared".to_owned(),
        ..Default::default()
    };
    let writable = v1::Check {
        name: "P8 owner, permissions and space".to_owned(),
        result: v1::CheckResult::Failed.into(),
        reason: "/opt/shop/lib can be written by others than its owner".to_owned(),
        remedy: "take the permission away: `chmod go-w`".to_owned(),
    };
    let told =
        vec![unknown("P1 release is placed"), writable, unknown("P4 covered"), unknown("P4 protocols")];
    let silent = "did not answer: 10.0.0.8:7400 was silent for 2s".to_owned();
    let says = |checks, no_answer| Some(v1::Preflight { checks, no_answer });
    let asked =
        |order, preflight| v1::PlanStep { preflight, ..step(order, v1::Method::Hot, "relup both ways", &[]) };
    let third = v1::PlanStep { checks: checks(), ..asked(3, says(vec![], silent)) };
    let plan = v1::Plan {
        id: "p5".to_owned(),
        app: "shop".to_owned(),
        version: "0.2.0".to_owned(),
        steps: vec![asked(1, says(checks(), String::new())), asked(2, says(told, String::new())), third],
        ..Default::default()
    };
    insta::assert_snapshot!(plan::plan_text(&plan));
}

#[test]
fn what_a_hot_upgrade_cost_is_shown_node_by_node() {
    let measured = v1::Measured {
        took_us: 23_456,
        suspended: 1,
        longest_suspend_us: 840,
        code_changes: 1,
        code_change_us: 95,
        longest_code_change_us: 95,
        longest_queue: 17,
    };
    let node = |name: &str, step: v1::NodeStep| v1::NodeProgress {
        node_name: name.to_owned(),
        from: "0.1.0".to_owned(),
        to: "0.2.0".to_owned(),
        method: v1::Method::Hot.into(),
        step: step.into(),
        ..Default::default()
    };
    let done = v1::NodeProgress {
        measured: Some(measured),
        checks: checks(),
        ..node("beam1", v1::NodeStep::ReadyToCommit)
    };
    let drains = v1::NodeProgress {
        detail: "still in old code: <0.307.0> in shop_routes".to_owned(),
        ..node("beam2", v1::NodeStep::Draining)
    };
    let rollout = v1::Rollout { nodes: vec![done, drains], ..Default::default() };
    insta::assert_snapshot!(rollout::rollout_text(&rollout, now()));
}

#[test]
fn a_reverted_rollout_says_why_and_what_became_of_each_node() {
    let node = |name: &str, step: v1::NodeStep, detail: &str| v1::NodeProgress {
        node_name: name.to_owned(),
        from: "0.1.0".to_owned(),
        to: "0.2.0".to_owned(),
        method: v1::Method::Hot.into(),
        canary: name == "beam1",
        step: step.into(),
        detail: detail.to_owned(),
        ..Default::default()
    };
    let summary = v1::RolloutSummary {
        id: "r7".to_owned(),
        app: "shop".to_owned(),
        version: "0.2.0".to_owned(),
        phase: v1::Phase::Reverted.into(),
        reason: "beam2: health check http failed: status 500".to_owned(),
        started_by: "ada".to_owned(),
        started_at: at(95),
        ended_at: at(10),
        ..Default::default()
    };
    let rollout = v1::Rollout {
        summary: Some(summary),
        plan_id: "p3".to_owned(),
        nodes: vec![
            node("beam1", v1::NodeStep::Reverted, "by relup down"),
            node("beam2", v1::NodeStep::Reverted, "by relup down"),
            node("beam3", v1::NodeStep::Planned, ""),
        ],
        remedies: vec![v1::Remedy {
            node_name: "beam4".to_owned(),
            reason: "never came back".to_owned(),
            remedy: "run `relupctl cluster remove beam4`".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    insta::assert_snapshot!(rollout::rollout_text(&rollout, now()));
}

#[test]
fn nodes_and_apps_fit_on_a_line_each() {
    let instance = |state: v1::RunState, health: v1::Health| v1::Instance {
        app: "shop".to_owned(),
        running: "0.1.0".to_owned(),
        run_state: state.into(),
        health: health.into(),
        ..Default::default()
    };
    let node = v1::Node {
        id: "01JQ0000000000000000000001".to_owned(),
        name: "beam1".to_owned(),
        address: "10.0.0.1:4600".to_owned(),
        labels: [("role".to_owned(), "web".to_owned())].into(),
        daemon_version: "0.1.0".to_owned(),
        raft_role: v1::RaftRole::Voter.into(),
        leader: true,
        liveness: v1::Liveness::Alive.into(),
        liveness_since: at(7_200),
        ..Default::default()
    };
    let app = v1::App {
        name: "shop".to_owned(),
        current: "0.1.0".to_owned(),
        running: true,
        rollout: "r7".to_owned(),
        instances: vec![
            instance(v1::RunState::Up, v1::Health::Healthy),
            instance(v1::RunState::Up, v1::Health::Failed),
            instance(v1::RunState::Unknown, v1::Health::Unknown),
        ],
        ..Default::default()
    };
    insta::assert_snapshot!(format!("{}\n\n{}", node::nodes_table(&[node], now()), app::apps_table(&[app])));
}
