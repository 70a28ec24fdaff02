//! `erlang/preflight.rs`: what can be known before a transition.

use super::super::release::CodeChange;
use super::Driver;
use relupd::driver::erlang::simulated;
use relupd::driver::{Check, CheckResult, DriverError, Method, Transition};

impl Driver {
    pub(super) async fn preflight(&self, transition: &Transition) -> Result<Vec<Check>, DriverError> {
        let observed = self.observation().await?;
        let placed = self.with(|world| world.disk.book.whole().is_some_and(|book| book.has(&transition.to)));
        if !placed {
            let result = CheckResult::Failed {
                reason: format!("{} is not registered in RELEASES", transition.to),
                remedy: "plan again".to_owned(),
            };
            return Ok(vec![check("P1 release is placed", result)]);
        }
        let agree = simulated::stands_on_from(&observed, transition);
        let mut checks = vec![
            check("P1 release is placed", CheckResult::Passed),
            check("P6 pointers and release handler agree", agree),
        ];
        if let (Method::Hot, Some(from)) = (transition.method, &transition.from) {
            self.pause(5, 300).await;
            let relup = self.with(|world| {
                let (host, catalog) = (world.setup.host, &world.catalog);
                let missing = |from, to| catalog.code_change(host, from, to) == CodeChange::Missing;
                if missing(from, &transition.to) || missing(&transition.to, from) {
                    not_hot("no relup leads both ways")
                } else {
                    CheckResult::Passed
                }
            });
            checks.push(check("P3 relup both ways", relup));
            let lives = self.linked_nonce().is_some();
            let handler = if lives { CheckResult::Passed } else { not_hot("the app does not run") };
            checks.push(check("P9 release handler", handler));
        }
        Ok(checks)
    }
}

fn check(name: &str, result: CheckResult) -> Check {
    Check { name: name.to_owned(), result }
}

fn not_hot(reason: &str) -> CheckResult {
    CheckResult::NotHot { reason: reason.to_owned(), remedy: String::new() }
}
