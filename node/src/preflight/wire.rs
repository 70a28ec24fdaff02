//! The messages of `preflight.proto`.

use super::{Answer, Question};
use crate::driver::{CheckResult, Description, Foreseen, Method, Outlook};
use crate::ids::Digest;
use crate::state::release::ReleaseId;
use prost::Message;
use relupd_proto::peer::v1::{
    PreflightCheck, PreflightChecks, PreflightMethod, PreflightReply, PreflightRequest, PreflightResult,
    ReleaseDescription, preflight_reply::Outcome,
};
use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

/// A relup of thousands of modules is some hundred kilobytes. A longer one is not sent along.
pub const LONGEST_DESCRIPTION: usize = 1 << 20;

/// Beside it there are names and a digest.
pub(super) const LONGEST_REQUEST: usize = LONGEST_DESCRIPTION + (4 << 10);

/// Two dozen checks whose reasons are bounded.
pub(super) const LONGEST_REPLY: usize = 256 << 10;

pub(super) fn request(question: &Question) -> Vec<u8> {
    let method = match question.method {
        Method::Hot => PreflightMethod::Hot,
        Method::Restart => PreflightMethod::Restart,
        Method::First => PreflightMethod::First,
    };
    PreflightRequest {
        app: question.app.to_string(),
        release: question.to.name.to_string(),
        version: question.to.version.to_string(),
        manifest: question.to.manifest.as_bytes().to_vec(),
        from: question.from.as_ref().map(ToString::to_string).unwrap_or_default(),
        method: method.into(),
        description: question.description.as_ref().map(|described| ReleaseDescription {
            rel: described.rel.clone(),
            relup: described.relup.clone(),
        }),
    }
    .encode_to_vec()
}

pub(super) fn question(request: &[u8]) -> Result<Question, String> {
    let request = PreflightRequest::decode(request).map_err(|error| unreadable(&error))?;
    let method = match request.method() {
        PreflightMethod::Hot => Method::Hot,
        PreflightMethod::Restart => Method::Restart,
        PreflightMethod::First => Method::First,
        PreflightMethod::Unspecified => return Err(unreadable(&"no method that is known here")),
    };
    let manifest = request.manifest.as_slice().try_into();
    let manifest =
        manifest.map(Digest::from_bytes).map_err(|_| unreadable(&"a digest that is not 32 bytes"))?;
    let from = if request.from.is_empty() { None } else { Some(parse(&request.from)?) };
    let to = ReleaseId { name: parse(&request.release)?, version: parse(&request.version)?, manifest };
    let app = parse(&request.app)?;
    let description = request
        .description
        .map(|described| Arc::new(Description { rel: described.rel, relup: described.relup }));
    Ok(Question { app, to, from, method, description })
}

pub(super) fn reply(answer: Answer) -> Vec<u8> {
    let outcome = match answer {
        Ok(found) => Outcome::Checks(PreflightChecks { checks: found.into_iter().map(check).collect() }),
        Err(reason) => Outcome::Refused(reason),
    };
    PreflightReply { outcome: Some(outcome) }.encode_to_vec()
}

pub(super) fn answer(reply: &[u8]) -> Answer {
    let reply = PreflightReply::decode(reply).map_err(|error| unreadable(&error))?;
    match reply.outcome {
        Some(Outcome::Checks(found)) => found.checks.into_iter().map(foreseen).collect(),
        Some(Outcome::Refused(reason)) => Err(reason),
        None => Err(unreadable(&"it is empty")),
    }
}

fn check(foreseen: Foreseen) -> PreflightCheck {
    let (result, reason, remedy) = match foreseen.outlook {
        Outlook::Known(CheckResult::Passed) => (PreflightResult::Passed, String::new(), String::new()),
        Outlook::Known(CheckResult::NotHot { reason, remedy }) => (PreflightResult::NotHot, reason, remedy),
        Outlook::Known(CheckResult::Warning { reason }) => (PreflightResult::Warning, reason, String::new()),
        Outlook::Known(CheckResult::Failed { reason, remedy }) => (PreflightResult::Failed, reason, remedy),
        Outlook::Unknown { reason } => (PreflightResult::Unknown, reason, String::new()),
    };
    PreflightCheck { name: foreseen.name, result: result.into(), reason, remedy }
}

fn foreseen(check: PreflightCheck) -> Result<Foreseen, String> {
    let result = check.result();
    let PreflightCheck { name, reason, remedy, .. } = check;
    let outlook = match result {
        PreflightResult::Passed => Outlook::Known(CheckResult::Passed),
        PreflightResult::NotHot => Outlook::Known(CheckResult::NotHot { reason, remedy }),
        PreflightResult::Warning => Outlook::Known(CheckResult::Warning { reason }),
        PreflightResult::Failed => Outlook::Known(CheckResult::Failed { reason, remedy }),
        PreflightResult::Unknown => Outlook::Unknown { reason },
        PreflightResult::Unspecified => return Err(unreadable(&"a result that is not known here")),
    };
    Ok(Foreseen { name, outlook })
}

fn parse<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error| unreadable(&error))
}

fn unreadable(why: &impl Display) -> String {
    format!("the message cannot be read: {why}; do the daemons have the same version?")
}
