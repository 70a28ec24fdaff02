//! Which known key somebody probably meant.

/// The known key that was probably meant: at most three letters away, and not more than half of it.
pub(super) fn nearest<'k>(key: &str, known: &[&'k str]) -> Option<&'k str> {
    let key = key.replace('-', "_");
    known
        .iter()
        .map(|known| (distance(&key, known), *known))
        .filter(|(distance, known)| *distance <= known.len().div_ceil(2).min(3))
        .min()
        .map(|(_, known)| known)
}

/// Levenshtein's distance, with two swapped neighbours counted as one slip.
fn distance(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=right.len()).collect()];
    for i in 1..=left.len() {
        let mut row = vec![i];
        for j in 1..=right.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[left.len()][right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_a_letter_too_many_too_few_wrong_or_swapped_with_its_neighbour() {
        let rows = [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("canary", "canary", 0),
            ("canari", "canary", 1),
            ("canry", "canary", 1),
            ("cannary", "canary", 1),
            ("acnary", "canary", 1),
            ("canayr", "canary", 1),
            ("acnayr", "canary", 2),
            ("kitten", "sitting", 3),
            ("sunday", "saturday", 3),
            ("abcd", "dcba", 3),
            ("abc", "cab", 2),
            ("aab", "bba", 2),
            ("abc", "xyz", 3),
        ];
        for (left, right, slips) in rows {
            assert_eq!(distance(left, right), slips, "{left:?} and {right:?}");
            assert_eq!(distance(right, left), slips, "{right:?} and {left:?}");
        }
    }

    #[test]
    fn a_key_is_suggested_for_up_to_three_slips_and_half_of_its_letters() {
        let known = ["bake", "canary", "max_in_flight"];
        let rows = [
            ("bale", Some("bake")),
            ("bikr", Some("bake")),
            ("bird", None),
            ("max-in-flight", Some("max_in_flight")),
            ("max_in_fli", Some("max_in_flight")),
            ("max_in_fl", None),
            ("zebra", None),
        ];
        for (key, meant) in rows {
            assert_eq!(nearest(key, &known), meant, "{key:?}");
        }
        assert_eq!(nearest("checks", &["check", "chicken"]), Some("check"), "the nearest one");
        assert_eq!(nearest("a", &[]), None);
    }
}
