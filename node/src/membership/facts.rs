//! What a node tells the others about itself, and how that is written into gossip's keys and values.
//! What arrives from others is read leniently: a value that does not parse is left out, because one
//! odd daemon must not blind the rest.

use crate::ids::{AppName, ReleaseVersion};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const DAEMON_VERSION: &str = "daemon.version";
const APP_PREFIX: &str = "app.";

/// What a node says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The version of its daemon; `None` where it said none.
    pub daemon_version: Option<String>,
    /// What it observes of its apps.
    pub apps: BTreeMap<AppName, AppGossip>,
}

/// What a node says about one of its apps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppGossip {
    /// The version that runs; `None` where nothing runs, or it is not known.
    pub version: Option<ReleaseVersion>,
    /// What its health checks say; `None` is unknown.
    pub healthy: Option<bool>,
}

impl Facts {
    pub(super) fn to_key_values(&self) -> BTreeMap<String, String> {
        let version = self.daemon_version.iter().map(|version| (DAEMON_VERSION.to_owned(), version.clone()));
        let apps = self.apps.iter().map(|(name, app)| {
            let text = serde_json::to_string(app).expect("two optional plain values are always JSON");
            (format!("{APP_PREFIX}{name}"), text)
        });
        version.chain(apps).collect()
    }

    pub(super) fn from_key_values<'a>(key_values: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut facts = Self::default();
        for (key, value) in key_values {
            if key == DAEMON_VERSION {
                facts.daemon_version = Some(value.to_owned());
            } else if let Some(name) = key.strip_prefix(APP_PREFIX)
                && let Ok(name) = name.parse()
                && let Ok(app) = serde_json::from_str(value)
            {
                facts.apps.insert(name, app);
            }
        }
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        let app = AppGossip { version: Some("0.2.0".parse().unwrap()), healthy: None };
        Facts {
            daemon_version: Some("0.1.0".to_owned()),
            apps: BTreeMap::from([("shop".parse().unwrap(), app)]),
        }
    }

    #[test]
    fn what_is_told_is_what_is_heard() {
        let told = facts().to_key_values();
        let heard = Facts::from_key_values(told.iter().map(|(key, value)| (key.as_str(), value.as_str())));
        assert_eq!(heard, facts());
    }

    #[test]
    fn values_that_do_not_parse_are_left_out() {
        let told = [
            ("app.shop", "{"),
            ("app.NOT A NAME", "{}"),
            ("of a later version", "1"),
            ("daemon.version", "9"),
        ];
        let heard = Facts::from_key_values(told.into_iter());
        assert_eq!(heard, Facts { daemon_version: Some("9".to_owned()), apps: BTreeMap::new() });
    }
}
