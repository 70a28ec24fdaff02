//! What is told of a way that is planned and not prepared.

use crate::erlang_support::{Host, transition};
use relupd::driver::{CheckResult, Foreseen, Method, Outlook, ReleaseDriver};
use relupd::ids::Digest;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_placed_yet_is_foreseen_as_far_as_it_can_be_told() {
    let host = Host::running("0.1.0").await;
    let up = transition("0.1.0", "0.2.0", Method::Hot);
    let (manifest, other) = (Digest::of(b"0.2.0"), Digest::of(b"another"));
    let unknown = |foreseen: &[Foreseen]| -> Vec<String> {
        let keys = foreseen.iter().filter(|found| matches!(found.outlook, Outlook::Unknown { .. }));
        keys.map(|found| found.name.split(' ').next().unwrap().to_owned()).collect()
    };
    let nothing_here = ["P1", "P5", "P7", "P14", "P2", "P3", "P3b", "P4", "P10", "P11", "P12"];
    let before = host.driver.foresee(&up, &manifest).await.unwrap();
    assert_eq!(unknown(&before), nothing_here);
    assert!(before.iter().all(|found| !matches!(found.outlook, Outlook::Known(CheckResult::Failed { .. }))));
    host.place("0.2.0").await;
    assert_eq!(unknown(&host.driver.foresee(&up, &manifest).await.unwrap()), Vec::<String>::new());
    // The same version with other content is not what lies here.
    assert_eq!(unknown(&host.driver.foresee(&up, &other).await.unwrap()), nothing_here);

    host.driver.stop().await.unwrap();
    let down = host.driver.foresee(&up, &other).await.unwrap();
    let handler = down.iter().find(|found| found.name.starts_with("P9")).unwrap();
    assert!(matches!(handler.outlook, Outlook::Known(CheckResult::NotHot { .. })), "{down:#?}");
}
