//! Errors in one line.

use std::error::Error;

/// The error and its sources, outermost first, for a place that can carry only one text.
#[must_use]
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let sources = std::iter::successors(error.source(), |source| (*source).source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::DriverError;

    #[test]
    fn an_error_and_its_sources_stand_in_one_line() {
        let source = std::io::Error::other("the disk is full");
        let error = DriverError::Io { what: "placing", path: "/opt/shop".into(), source };
        assert_eq!(chain(&error), "placing: /opt/shop: the disk is full");
        assert_eq!(chain(&DriverError::VmGone { what: "placing" }), "the VM went away during placing");
    }
}
