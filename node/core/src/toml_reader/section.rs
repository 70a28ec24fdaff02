//! One table of the text. A key is asked for by its type; a key that is there but wrong becomes a
//! problem, and its default is used so that reading goes on and finds the other mistakes.

use super::nearest::nearest;
use super::problem::Problems;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;
use toml::de::{DeArray, DeTable, DeValue};

/// A table whose keys are being taken out.
#[derive(Debug)]
pub struct Section<'t, 'p> {
    path: String,
    span: Option<Range<usize>>,
    rest: BTreeMap<String, Entry<'t>>,
    spans: BTreeMap<String, Range<usize>>,
    asked: Vec<&'static str>,
    problems: &'p Problems<'t>,
}

#[derive(Debug)]
struct Entry<'t> {
    key: Range<usize>,
    value: DeValue<'t>,
}

impl<'t, 'p> Section<'t, 'p> {
    pub(super) fn new(
        path: &str,
        span: Option<Range<usize>>,
        table: DeTable<'t>,
        problems: &'p Problems<'t>,
    ) -> Self {
        let rest: BTreeMap<_, _> = table
            .into_iter()
            .map(|(key, value)| {
                (key.get_ref().to_string(), Entry { key: key.span(), value: value.into_inner() })
            })
            .collect();
        let spans = rest.iter().map(|(name, entry)| (name.clone(), entry.key.clone())).collect();
        Self { path: path.to_owned(), span, rest, spans, asked: Vec::new(), problems }
    }

    /// Says that something is wrong with a key of this section.
    pub fn reject(&self, key: &str, message: impl Display) {
        let span = self.spans.get(key).cloned().or_else(|| self.span.clone());
        self.problems.add(span, &self.path_of(key), message.to_string());
    }

    /// Whether the key is there, and not taken yet.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.rest.contains_key(key)
    }

    /// Makes the key a known one without taking it.
    pub fn knows(&mut self, key: &'static str) {
        self.asked.push(key);
    }

    /// A text.
    pub fn string(&mut self, key: &'static str) -> Option<String> {
        match self.take(key)? {
            DeValue::String(text) => Some(text.into_owned()),
            other => self.wrong_type(key, "a text in quotes", &other),
        }
    }

    /// A text that must be there.
    pub fn required(&mut self, key: &'static str, example: &str) -> Option<String> {
        if !self.has(key) {
            self.knows(key);
            self.reject(key, format_args!("missing; write e.g. `{key} = {example}`"));
            return None;
        }
        self.string(key)
    }

    /// A text that is parsed into a type of its own, whose error says what is expected.
    pub fn parsed<T>(&mut self, key: &'static str) -> Option<T>
    where
        T: FromStr<Err: Display>,
    {
        let text = self.string(key)?;
        text.parse().map_err(|error| self.reject(key, error)).ok()
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, key: &'static str, words: &[(&'static str, T)], default: T) -> T {
        let Some(text) = self.string(key) else { return default };
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => *value,
            None => {
                let allowed: Vec<_> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
                self.reject(key, format_args!("{text:?} is not one of {}", allowed.join(", ")));
                default
            }
        }
    }

    /// A duration such as "1m 30s".
    pub fn duration(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<Duration>,
        default: Duration,
    ) -> Duration {
        let text = match self.take(key) {
            None => return default,
            Some(DeValue::String(text)) => text,
            Some(other) => {
                let expected = "a duration in quotes, e.g. \"500ms\", \"30s\" or \"1m 30s\"";
                return self.wrong_type(key, expected, &other).unwrap_or(default);
            }
        };
        match humantime::parse_duration(&text) {
            Ok(duration) if allowed.contains(&duration) => return duration,
            Ok(_) => self.reject(
                key,
                format_args!(
                    "{text:?} is out of range: it must be from {} to {}",
                    humantime::format_duration(*allowed.start()),
                    humantime::format_duration(*allowed.end())
                ),
            ),
            Err(_) => self.reject(
                key,
                format_args!("{text:?} is not a duration; write e.g. \"500ms\", \"30s\" or \"1m 30s\""),
            ),
        }
        default
    }

    /// A whole number within bounds.
    pub fn integer<T>(&mut self, key: &'static str, allowed: RangeInclusive<T>, default: T) -> T
    where
        T: TryFrom<i64> + PartialOrd + Display,
    {
        let number = match self.take(key) {
            None => return default,
            Some(DeValue::Integer(number)) => number,
            Some(other) => return self.wrong_type(key, "a whole number", &other).unwrap_or(default),
        };
        i64::from_str_radix(number.as_str(), number.radix())
            .ok()
            .and_then(|number| T::try_from(number).ok())
            .filter(|number| allowed.contains(number))
            .unwrap_or_else(|| {
                let (low, high) = (allowed.start(), allowed.end());
                self.reject(key, format_args!("{number} is out of range: it must be from {low} to {high}"));
                default
            })
    }

    /// A list of texts; `None` where the key is not there.
    pub fn strings(&mut self, key: &'static str) -> Option<Vec<String>> {
        let expected = "a list of texts, e.g. [\"a\", \"b\"]";
        let array = match self.take(key)? {
            DeValue::Array(array) => array,
            other => return self.wrong_type(key, expected, &other),
        };
        let mut texts = Vec::with_capacity(array.len());
        for item in array {
            match item.into_inner() {
                DeValue::String(text) => texts.push(text.into_owned()),
                other => return self.wrong_type(key, expected, &other),
            }
        }
        Some(texts)
    }

    /// A table of texts with keys of the writer's choice; empty where it is not there.
    pub fn string_map(&mut self, key: &'static str) -> BTreeMap<String, String> {
        let table = match self.take(key) {
            None => return BTreeMap::new(),
            Some(DeValue::Table(table)) => table,
            Some(other) => {
                return self.wrong_type(key, "a table of texts", &other).unwrap_or_default();
            }
        };
        let mut texts = BTreeMap::new();
        for (name, value) in table {
            let (name, span) = (name.get_ref().to_string(), name.span());
            match value.into_inner() {
                DeValue::String(text) => {
                    texts.insert(name, text.into_owned());
                }
                other => self.problems.add(
                    Some(span),
                    &format!("{}.{name}", self.path_of(key)),
                    format!("expected a text in quotes, found {}", describe(&other)),
                ),
            }
        }
        texts
    }

    /// A table; an empty one where it is not there.
    pub fn section(&mut self, key: &'static str) -> Section<'t, 'p> {
        let table = match self.take(key) {
            None => DeTable::new(),
            Some(DeValue::Table(table)) => table,
            Some(other) => self.wrong_type(key, "a table", &other).unwrap_or_default(),
        };
        Section::new(&self.path_of(key), self.spans.get(key).cloned(), table, self.problems)
    }

    /// An array of tables, `[[key]]`; none where it is not there.
    pub fn sections(&mut self, key: &'static str) -> Vec<Section<'t, 'p>> {
        let array = match self.take(key) {
            None => DeArray::new(),
            Some(DeValue::Array(array)) => array,
            Some(other) => {
                return self.wrong_type(key, "an array of tables", &other).unwrap_or_default();
            }
        };
        let mut sections = Vec::with_capacity(array.len());
        for (index, item) in array.into_iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(key));
            let span = item.span();
            match item.into_inner() {
                DeValue::Table(table) => {
                    sections.push(Section::new(&path, Some(span), table, self.problems));
                }
                other => self.problems.add(
                    Some(span),
                    &path,
                    format!("expected a table, found {}", describe(&other)),
                ),
            }
        }
        sections
    }

    /// Whatever is left is unknown. Every section has to be finished.
    pub fn finish(self) {
        for (key, entry) in &self.rest {
            let message = match nearest(key, &self.asked) {
                Some(known) => format!("unknown key; did you mean `{known}`?"),
                None => format!("unknown key; allowed here: {}", self.asked.join(", ")),
            };
            self.problems.add(Some(entry.key.clone()), &self.path_of(key), message);
        }
    }

    fn take(&mut self, key: &'static str) -> Option<DeValue<'t>> {
        self.asked.push(key);
        self.rest.remove(key).map(|entry| entry.value)
    }

    fn path_of(&self, key: &str) -> String {
        match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        }
    }

    fn wrong_type<T>(&self, key: &str, expected: &str, found: &DeValue<'_>) -> Option<T> {
        self.reject(key, format_args!("expected {expected}, found {}", describe(found)));
        None
    }
}

fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text {text:?}"),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(truth) => format!("{truth}"),
        DeValue::Datetime(time) => format!("the time {time}"),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
