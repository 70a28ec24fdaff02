//! The writer: what it writes, `file:consult/1` reads back as the same term, in every OTP since 25.

use super::Term;
use std::fmt::{self, Write};

/// Atoms that must be quoted. `maybe` and `else` are reserved since OTP 27 only.
const RESERVED: [&str; 29] = [
    "after", "and", "andalso", "band", "begin", "bnot", "bor", "bsl", "bsr", "bxor", "case", "catch", "cond",
    "div", "else", "end", "fun", "if", "let", "maybe", "not", "of", "or", "orelse", "receive", "rem", "try",
    "when", "xor",
];

/// The content of a file that holds `terms`, one a line.
#[must_use]
pub fn to_file(terms: &[Term]) -> String {
    let mut text = String::from("%% coding: utf-8\n");
    for term in terms {
        text.push_str(&term.to_string());
        text.push_str(".\n");
    }
    text
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(name) => write_atom(f, name),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write_float(f, *value),
            Self::String(text) => write_string(f, text),
            Self::Binary(bytes) => write_binary(f, bytes),
            Self::Tuple(items) => write_items(f, '{', items, "}"),
            Self::List(items) => write_items(f, '[', items, "]"),
            Self::ImproperList(items, tail) => {
                write_items(f, '[', items, "|")?;
                write!(f, "{tail}]")
            }
            Self::Map(pairs) => {
                f.write_str("#{")?;
                for (index, (key, value)) in pairs.iter().enumerate() {
                    write!(f, "{}{key} => {value}", if index == 0 { "" } else { "," })?;
                }
                f.write_char('}')
            }
            Self::Fun { module, name, arity } => {
                f.write_str("fun ")?;
                write_atom(f, module)?;
                f.write_char(':')?;
                write_atom(f, name)?;
                write!(f, "/{arity}")
            }
        }
    }
}

fn write_items(f: &mut fmt::Formatter<'_>, open: char, items: &[Term], close: &str) -> fmt::Result {
    f.write_char(open)?;
    for (index, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if index == 0 { "" } else { "," })?;
    }
    f.write_str(close)
}

fn write_atom(f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    let bare = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'@')
        && !RESERVED.contains(&name);
    if bare { f.write_str(name) } else { write_quoted(f, '\'', name) }
}

/// Erlang calls U+FFFE and U+FFFF illegal in text, escaped or not; as numbers they are welcome.
fn write_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    if !text.is_empty() && !text.contains(['\u{fffe}', '\u{ffff}']) {
        return write_quoted(f, '"', text);
    }
    f.write_char('[')?;
    for (index, c) in text.chars().enumerate() {
        write!(f, "{}{}", if index == 0 { "" } else { "," }, u32::from(c))?;
    }
    f.write_char(']')
}

fn write_quoted(f: &mut fmt::Formatter<'_>, quote: char, text: &str) -> fmt::Result {
    f.write_char(quote)?;
    for c in text.chars() {
        if c == quote || c == '\\' {
            write!(f, "\\{c}")?;
        } else if c.is_control() {
            write!(f, "\\x{{{:x}}}", u32::from(c))?;
        } else {
            f.write_char(c)?;
        }
    }
    f.write_char(quote)
}

/// Erlang wants digits on both sides of the point, and an exponent only after them.
fn write_float(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    let text = format!("{value:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => write!(f, "{mantissa}e{exponent}"),
        Some((mantissa, exponent)) => write!(f, "{mantissa}.0e{exponent}"),
        None => f.write_str(&text),
    }
}

fn write_binary(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let printable = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'"' && *byte != b'\\';
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.is_empty() && bytes.iter().all(printable) => write!(f, "<<\"{text}\">>"),
        _ => {
            f.write_str("<<")?;
            for (index, byte) in bytes.iter().enumerate() {
                write!(f, "{}{byte}", if index == 0 { "" } else { "," })?;
            }
            f.write_str(">>")
        }
    }
}
