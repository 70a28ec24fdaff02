//! The reader against `file:consult/1`, and against bytes that nobody meant.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod erlang;

use proptest::prelude::*;
use relupd_release::terms::{Term, TermError, consult, to_file};

fn one(text: &str) -> Term {
    let mut terms = consult(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(terms.len(), 1, "{text}");
    terms.remove(0)
}

fn error(text: &str) -> TermError {
    consult(text.as_bytes()).expect_err(text)
}

#[test]
fn reads_every_kind_of_term() {
    let atom = Term::atom;
    let integers = |values: &[i128]| Term::List(values.iter().map(|&value| Term::Integer(value)).collect());
    assert_eq!(one("'Elixir.Shop'."), atom("Elixir.Shop"));
    assert_eq!(one("maybe."), atom("maybe"));
    assert_eq!(one("[1, -2, 16#ff, $a, $\\n, 1_000]."), integers(&[1, -2, 255, 97, 10, 1000]));
    assert_eq!(one("-1.5e3."), Term::Float(-1500.0));
    assert_eq!(one("\"a\\x{e9}\" \"b\"."), Term::string("a\u{e9}b"));
    assert_eq!(one("\"\"."), Term::List(vec![]));
    assert_eq!(one("<<\"\u{e9}\"/utf8, 1, 257>>."), Term::Binary(vec![0xc3, 0xa9, 1, 1]));
    assert_eq!(one("<<\"\u{e9}\">>."), Term::Binary(vec![0xe9]));
    assert_eq!(one("[a|[b|[c]]]."), Term::List(vec![atom("a"), atom("b"), atom("c")]));
    assert_eq!(one("[a|b]."), Term::ImproperList(vec![atom("a")], Box::new(atom("b"))));
    assert_eq!(one("#{a => 1, a => 2}."), Term::Map(vec![(atom("a"), Term::Integer(2))]));
    assert_eq!(one("fun lists:map/2."), Term::Fun { module: "lists".into(), name: "map".into(), arity: 2 });
    assert_eq!(one("170141183460469231731687303715884105727."), Term::Integer(i128::MAX));
    assert_eq!(one("({a})."), Term::Tuple(vec![atom("a")]));
}

#[test]
fn reads_several_terms_between_comments() {
    let text = "%% coding: utf-8\n{a, \"\u{fc}\"}. % first\n\n{b}.\n%% end";
    assert_eq!(consult(text.as_bytes()).unwrap().len(), 2);
}

#[test]
fn reads_latin1_where_the_file_says_so() {
    let terms = consult(b"%% -*- coding: latin-1 -*-\n\"\xfc\".").unwrap();
    assert_eq!(terms, [Term::string("\u{fc}")]);
}

#[test]
fn errors_name_line_and_column() {
    assert_eq!(error("{a,\n b c}.").to_string(), "line 2, column 4: expected ',' or '}', found c");
    assert_eq!(error("{a}").to_string(), "line 1, column 4: expected a full stop, found the end of the file");
    assert_eq!((error("a.\n \"open").line, error("a.\n \"open").column), (2, 2));
    let not_utf8 = consult(b"a.\n  \xff.").unwrap_err();
    assert_eq!((not_utf8.line, not_utf8.column), (2, 3));
}

#[test]
fn refuses_what_is_not_a_term() {
    for text in
        ["A.", "a.b.", "foo().", "#r{}.", "[a|].", "[|a].", "- a.", "- - 1.", "<<1:16>>.", "1 + 2.", "{a."]
    {
        error(text);
    }
}

#[test]
fn hostile_nesting_is_an_error_and_not_a_stack_overflow() {
    for open in ["[", "{", "(", "#{", "[a|", "#{a=>", "<<", "-", "~\"", "fun "] {
        error(&open.repeat(200_000));
    }
    let bomb = vec![b'['; 64 << 20];
    assert!(consult(&bomb).is_err());
    error(&format!("\"{}\".", "\\x{41}".repeat(300_000)));
}

#[test]
fn agrees_with_otp_on_its_own_files() {
    let Some(files) = erlang::term_files("/usr/lib/erlang") else { return };
    let verdicts = erlang::consult_verdicts(&files);
    for (file, otp_reads_it) in files.iter().zip(verdicts) {
        let ours = consult(&std::fs::read(file).unwrap());
        assert_eq!(ours.is_ok(), otp_reads_it, "{}: {ours:?}", file.display());
    }
}

#[test]
fn otp_reads_back_what_is_written() {
    let terms = [
        Term::Atom(String::new()),
        Term::atom("with 'quote' and \\ and \n"),
        Term::atom("maybe"),
        Term::atom("end"),
        Term::string("\"quoted\" \\ \u{0} \u{7f} \u{e4} \u{1F600} \u{fffe}"),
        Term::Float(1e300),
        Term::Float(5e-324),
        Term::Float(-0.5),
        Term::Integer(i128::MIN + 1),
        Term::Binary(vec![0, 1, 255]),
        Term::Binary(b"plain".to_vec()),
        Term::ImproperList(vec![Term::atom("a")], Box::new(Term::Integer(-1))),
        Term::Map(vec![(Term::Integer(1), Term::List(vec![])), (Term::Binary(vec![]), Term::Tuple(vec![]))]),
        Term::Fun { module: "a b".into(), name: "c".into(), arity: 3 },
    ];
    let Some(printed) = erlang::reprint(&to_file(&terms)) else { return };
    let again = consult(printed.as_bytes()).unwrap();
    assert_eq!(again.len(), terms.len());
    for (again, term) in again.iter().zip(&terms) {
        match (again.as_text(), term.as_text()) {
            (Some(again), Some(term)) => assert_eq!(again, term),
            _ => assert_eq!(again, term),
        }
    }
}

fn any_term() -> impl Strategy<Value = Term> {
    let character = prop_oneof![4 => any::<char>(), 1 => proptest::char::range('\0', '\u{7f}')];
    let text = proptest::collection::vec(character, 0..12).prop_map(|chars| {
        chars.into_iter().filter(|c| !matches!(c, '\u{fffe}' | '\u{ffff}')).collect::<String>()
    });
    let leaf = prop_oneof![
        text.clone().prop_map(Term::Atom),
        "[a-z][a-z_@0-9]{0,8}".prop_map(Term::Atom),
        any::<i64>().prop_map(|value| Term::Integer(i128::from(value))),
        (-i128::MAX..=i128::MAX).prop_map(Term::Integer),
        any::<f64>().prop_filter("finite", |value| value.is_finite()).prop_map(Term::Float),
        text.clone().prop_map(|text| Term::string(&text)),
        proptest::collection::vec(any::<u8>(), 0..12).prop_map(Term::Binary),
        (text.clone(), text, any::<u8>()).prop_map(|(module, name, arity)| Term::Fun { module, name, arity }),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        let items = proptest::collection::vec(inner.clone(), 0..6);
        prop_oneof![
            items.clone().prop_map(Term::Tuple),
            items.prop_map(Term::List),
            (proptest::collection::vec(inner.clone(), 1..4), "[a-z]{1,4}")
                .prop_map(|(items, tail)| Term::ImproperList(items, Box::new(Term::Atom(tail)))),
            proptest::collection::btree_map("[a-z]{1,4}", inner, 0..4)
                .prop_map(|pairs| Term::Map(pairs.into_iter().map(|(k, v)| (Term::Atom(k), v)).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(terms in proptest::collection::vec(any_term(), 0..4)) {
        prop_assert_eq!(consult(to_file(&terms).as_bytes()).unwrap(), terms);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = consult(&bytes);
    }

    #[test]
    fn arbitrary_token_soup_never_panics(text in r#"([a-z]{1,2}|[0-9]|[{}\[\]|,.#%"'$\\<>/:~=()+-]|=>|<<|>>|fun |"a"|\n| ){0,60}"#) {
        let _ = consult(text.as_bytes());
    }
}
