//! What the release handler answers, for people: short, with the part first that says what to mend.

/// So many characters of a term help; what follows is a stack that stands in the app's own log.
const ENOUGH: usize = 160;

/// The answer in a sentence.
pub(super) fn explain(answer: &str) -> String {
    code_change_failed(answer).unwrap_or_else(|| shorten(answer))
}

/// `{error,{code_change_failed,Pid,Module,OldVersion,Reason}}` (release_handler(3), `install_release`).
fn code_change_failed(answer: &str) -> Option<String> {
    let rest = answer.strip_prefix("{error,{code_change_failed,")?;
    let mut parts = rest.splitn(4, ',');
    let (_pid, module, old, reason) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let reason = reason.strip_suffix("}}").unwrap_or(reason);
    Some(format!("code_change of {module} (from version {old}) failed with {}", shorten(reason)))
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(ENOUGH) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}... (the rest is in the app's log)", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_in_code_change_names_the_module() {
        let answer = "{error,{code_change_failed,<0.270.0>,shop_counter,\"2\",{'EXIT',{cannot_migrate,[]}}}}";
        assert_eq!(
            explain(answer),
            "code_change of shop_counter (from version \"2\") failed with {'EXIT',{cannot_migrate,[]}}"
        );
    }

    #[test]
    fn whatever_else_it_says_is_kept_short() {
        assert_eq!(explain("{error,enoent}"), "{error,enoent}");
        let long = format!("{{error,{}}}", "é".repeat(500));
        assert!(explain(&long).chars().count() < ENOUGH + 50);
    }
}
