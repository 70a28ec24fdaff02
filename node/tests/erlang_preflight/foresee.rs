//! What is told of a way that is planned and not prepared.

use crate::erlang_support::{Host, transition};
use relupd::driver::{
    CheckResult, Description, Foreseen, Liveness, Method, Outlook, Prospect, ReleaseDriver,
};
use relupd::ids::Digest;
use rustix::process::Signal;
use std::fs;
use std::sync::Arc;

/// Up from 0.1.0, to the 0.2.0 of this manifest.
fn up(manifest: &str, description: Option<Description>) -> Prospect {
    let transition = transition("0.1.0", "0.2.0", Method::Hot);
    let manifest = Digest::of(manifest.as_bytes());
    Prospect { transition, manifest, description: description.map(Arc::new), size: 0 }
}

/// What is told once the VM has answered in time: a busy machine may need some tries.
async fn foreseen(host: &Host, prospect: &Prospect) -> Vec<Foreseen> {
    loop {
        let found = host.driver.foresee(prospect).await.unwrap();
        if !found.iter().any(|found| format!("{:?}", found.outlook).contains("did not answer within 5s")) {
            return found;
        }
    }
}

fn keys(foreseen: &[Foreseen], which: impl Fn(&Outlook) -> bool) -> Vec<&str> {
    let found = foreseen.iter().filter(|found| which(&found.outlook));
    found.map(|found| found.name.split(' ').next().unwrap()).collect()
}

fn unknown(foreseen: &[Foreseen]) -> Vec<&str> {
    keys(foreseen, |outlook| matches!(outlook, Outlook::Unknown { .. }))
}

fn unmet(foreseen: &[Foreseen]) -> Vec<&str> {
    keys(foreseen, |outlook| {
        !matches!(outlook, Outlook::Unknown { .. } | Outlook::Known(CheckResult::Passed))
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_placed_yet_is_foreseen_as_far_as_it_can_be_told() {
    let host = Host::running("0.1.0").await;
    let nothing_here = ["P1", "P5", "P7", "P14", "P2", "P3", "P3b", "P7b", "P4", "P10", "P11", "P12"];
    let before = foreseen(&host, &up("0.2.0", None)).await;
    assert_eq!((unknown(&before), unmet(&before)), (nothing_here.to_vec(), vec![]));
    host.place("0.2.0").await;
    let placed = foreseen(&host, &up("0.2.0", None)).await;
    assert_eq!((unknown(&placed), unmet(&placed)), (vec![], vec![]));
    // The same version with other content is not what lies here.
    assert_eq!(unknown(&foreseen(&host, &up("another", None)).await), nothing_here);

    host.driver.stop().await.unwrap();
    let down = foreseen(&host, &up("another", None)).await;
    assert!(unmet(&down).contains(&"P9"), "{down:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_its_description_a_release_that_is_not_placed_is_held_against_the_living_vm() {
    let host = Host::running("0.1.0").await;
    let release = host.stage("0.2.0").tree.join("releases/0.2.0");
    let rel = fs::read(release.join("shop.rel")).unwrap();
    let relup = fs::read_to_string(release.join("relup")).unwrap();
    let described = |relup: Option<&str>| {
        let relup = relup.map(|relup| relup.as_bytes().to_vec());
        up("0.2.0", Some(Description { rel: rel.clone(), relup }))
    };
    let of_its_code = ["P1", "P5", "P7", "P14", "P3", "P7b", "P4", "P10"];
    let sound = foreseen(&host, &described(Some(&relup))).await;
    assert_eq!((unknown(&sound), unmet(&sound)), (of_its_code.to_vec(), vec![]));

    for (edited, expected) in [
        (None, "P3"),
        (Some(relup.replace("point_of_no_return", "restart_new_emulator")), "P3"),
        (Some(crate::without_way_back(&relup)), "P3b"),
    ] {
        let found = foreseen(&host, &described(edited.as_deref())).await;
        assert_eq!(unmet(&found), [expected], "{found:#?}");
    }
    // Who is in the way is known before anything is fetched.
    host.get("/freeze").unwrap();
    assert_eq!(unmet(&foreseen(&host, &described(Some(&relup))).await), ["P11"]);
    host.get("/thaw").unwrap();
    for page in ["/linger", "/reload"] {
        host.get(page).unwrap();
    }
    let lingers = foreseen(&host, &described(Some(&relup))).await;
    assert_eq!(unmet(&lingers), ["P12"], "{lingers:#?}");
    assert!(!host.root().join("releases/0.2.0").exists());

    // A description of something else describes nothing.
    let other =
        Description { rel: b"{release, {\"shop\",\"0.9.0\"}, {erts,\"13\"}, []}.".to_vec(), relup: None };
    assert!(unknown(&foreseen(&host, &up("0.2.0", Some(other))).await).contains(&"P12"));
}

/// OTP's own check carries out what a relup has before its point of no return; this works once.
#[tokio::test(flavor = "multi_thread")]
async fn planning_carries_out_no_part_of_a_relup() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    let relup = host.root().join("releases/0.2.0/relup");
    let acts = "{apply,{ets,new,[works_once,[named_table]]}},\n    point_of_no_return";
    fs::write(&relup, fs::read_to_string(&relup).unwrap().replace("point_of_no_return", acts)).unwrap();
    let up = up("0.2.0", None);
    for _ in 0..2 {
        let found = foreseen(&host, &up).await;
        assert_eq!((unknown(&found), unmet(&found)), (vec!["P10"], vec![]));
    }
    let prepared = host.driver.preflight(&up.transition).await.unwrap();
    assert_eq!(crate::verdict(&prepared), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_hangs_costs_its_own_answers_alone() {
    let host = Host::running("0.1.0").await;
    host.place("0.2.0").await;
    host.signal(Signal::STOP).await;
    let found = host.driver.foresee(&up("0.2.0", None)).await.unwrap();
    host.signal(Signal::CONT).await;
    assert_eq!(unmet(&found), ["P9"], "{found:#?}");
    assert_eq!(unknown(&found), ["P6", "P13", "P4", "P10", "P11", "P12"], "{found:#?}");
}

/// The VM would keep every name that it is asked for, and cannot read such a long one.
#[tokio::test(flavor = "multi_thread")]
async fn the_vm_is_asked_about_its_own_modules_only() {
    let host = Host::running("0.1.0").await;
    let release = host.stage("0.2.0").tree.join("releases/0.2.0");
    let rel = fs::read(release.join("shop.rel")).unwrap();
    let relup = fs::read_to_string(release.join("relup")).unwrap();
    let long = format!("point_of_no_return,\n    {{suspend,[{}]}}", "a".repeat(300));
    let relup = Some(relup.replace("point_of_no_return", &long).into_bytes());
    let found = foreseen(&host, &up("0.2.0", Some(Description { rel, relup }))).await;
    assert_eq!(unmet(&found), Vec::<&str>::new(), "{found:#?}");
    let life = host.driver.liveness().borrow().clone();
    assert!(matches!(life, Liveness::Up { .. }), "{life:?}");
}
