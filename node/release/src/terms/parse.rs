//! The reader: a recursive-descent parser over `erl_tokenize`. Recursion is bounded, so is the input.

use super::error::{MAX_DEPTH, Problem, TermError};
use super::{Term, source};
use erl_tokenize::{Keyword, Position, Symbol, Token, TokenKind, TokenValue, scan_token};
use std::collections::HashMap;

/// Every term of a file, as `file:consult/1`.
///
/// # Errors
/// If the bytes are anything else than terms, each ended by a full stop.
pub fn consult(bytes: &[u8]) -> Result<Vec<Term>, TermError> {
    let text = source::decode(bytes)?;
    let mut parser = Parser::new(&text)?;
    let mut terms = Vec::new();
    while parser.next.is_some() {
        terms.push(parser.term(0)?);
        parser.full_stop()?;
    }
    Ok(terms)
}

/// The only term of a file.
///
/// # Errors
/// As [`consult`], and if the file holds none or several.
pub fn consult_one(bytes: &[u8]) -> Result<Term, TermError> {
    let terms = consult(bytes)?;
    let found = terms.len();
    <[Term; 1]>::try_from(terms)
        .map(|[term]| term)
        .map_err(|_| TermError::at_start(Problem::NotOneTerm { found }))
}

/// One token of look-ahead over the visible tokens of `source`.
struct Parser<'a> {
    source: &'a str,
    next: Option<Token>,
    /// Where `next` ends, or the end of the source.
    position: Position,
}

impl<'a> Parser<'a> {
    fn new(source: &'a str) -> Result<Self, TermError> {
        let mut parser = Self { source, next: None, position: Position::new() };
        parser.advance()?;
        Ok(parser)
    }

    fn advance(&mut self) -> Result<(), TermError> {
        loop {
            let token = scan_token(self.source, self.position)
                .map_err(|error| TermError::at(error.position, Problem::Token(error.kind)))?;
            self.position = token.map_or(self.position, Token::end);
            if token.is_none_or(|token| token.kind().is_lexical()) {
                self.next = token;
                return Ok(());
            }
        }
    }

    fn unexpected<T>(&self, expected: &'static str) -> Result<T, TermError> {
        let (position, found) = match self.next {
            Some(token) => (token.start(), abbreviated(token.text(self.source))),
            None => (self.position, "the end of the file".to_owned()),
        };
        Err(TermError::at(position, Problem::Unexpected { expected, found }))
    }

    fn problem<T>(&self, problem: Problem) -> Result<T, TermError> {
        Err(TermError::at(self.next.map_or(self.position, Token::start), problem))
    }

    fn at(&self, symbol: Symbol) -> bool {
        self.next.is_some_and(|token| token.kind() == TokenKind::Symbol(symbol))
    }

    /// Steps over `symbol` if it is next.
    fn accept(&mut self, symbol: Symbol) -> Result<bool, TermError> {
        let found = self.at(symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn expect(&mut self, symbol: Symbol, name: &'static str) -> Result<(), TermError> {
        if self.accept(symbol)? { Ok(()) } else { self.unexpected(name) }
    }

    /// A dot ends a term only before white space, a comment or the end of the file.
    fn full_stop(&mut self) -> Result<(), TermError> {
        let ends_term = self.next.is_some_and(|token| {
            let rest = &self.source[token.end().offset()..];
            token.kind() == TokenKind::Symbol(Symbol::Dot)
                && rest
                    .chars()
                    .next()
                    .is_none_or(|c| c == '%' || matches!(c, '\0'..=' ' | '\u{80}'..='\u{a0}'))
        });
        if ends_term { self.advance() } else { self.unexpected("a full stop") }
    }

    fn term(&mut self, depth: usize) -> Result<Term, TermError> {
        if depth > MAX_DEPTH {
            return self.problem(Problem::TooDeep);
        }
        let Some(token) = self.next else { return self.unexpected("a term") };
        match token.value(self.source) {
            TokenValue::Atom(name) => self.leaf(Term::Atom(name.into_owned())),
            // Reserved only since OTP 27, plain atoms before.
            TokenValue::Keyword(Keyword::Maybe) => self.leaf(Term::atom("maybe")),
            TokenValue::Keyword(Keyword::Else) => self.leaf(Term::atom("else")),
            TokenValue::Keyword(Keyword::Fun) => self.fun(),
            TokenValue::Integer(_) | TokenValue::Float(_) | TokenValue::Char(_) => self.number(),
            TokenValue::String(_) => self.string(),
            TokenValue::SigilString { prefix, content, suffix } => {
                self.sigil(prefix, content.into_owned(), suffix)
            }
            TokenValue::Symbol(symbol) => self.compound(symbol, depth),
            TokenValue::Keyword(_) | TokenValue::Variable(_) => self.unexpected("a term"),
            TokenValue::Comment(_) | TokenValue::Whitespace(_) => self.unexpected("a visible token"),
        }
    }

    fn leaf(&mut self, term: Term) -> Result<Term, TermError> {
        self.advance()?;
        Ok(term)
    }

    fn compound(&mut self, symbol: Symbol, depth: usize) -> Result<Term, TermError> {
        match symbol {
            Symbol::OpenBrace => {
                self.advance()?;
                self.sequence(Symbol::CloseBrace, "',' or '}'", |parser| parser.term(depth + 1))
                    .map(Term::Tuple)
            }
            Symbol::OpenSquare => {
                self.advance()?;
                self.list(depth)
            }
            Symbol::Sharp => {
                self.advance()?;
                self.map(depth)
            }
            Symbol::DoubleLeftAngle => {
                self.advance()?;
                let segments = self.sequence(Symbol::DoubleRightAngle, "',' or '>>'", Self::segment)?;
                Ok(Term::Binary(segments.concat()))
            }
            Symbol::OpenParen => {
                self.advance()?;
                let term = self.term(depth + 1)?;
                self.expect(Symbol::CloseParen, "')'")?;
                Ok(term)
            }
            Symbol::Hyphen | Symbol::Plus => {
                self.advance()?;
                self.signed(symbol == Symbol::Hyphen)
            }
            _ => self.unexpected("a term"),
        }
    }

    /// What comes between an opening symbol, already taken, and `close`, separated by commas.
    fn sequence<T>(
        &mut self,
        close: Symbol,
        expected: &'static str,
        mut item: impl FnMut(&mut Self) -> Result<T, TermError>,
    ) -> Result<Vec<T>, TermError> {
        let mut items = Vec::new();
        if self.accept(close)? {
            return Ok(items);
        }
        loop {
            items.push(item(self)?);
            if self.accept(close)? {
                return Ok(items);
            }
            self.expect(Symbol::Comma, expected)?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Term, TermError> {
        let mut items = Vec::new();
        if self.accept(Symbol::CloseSquare)? {
            return Ok(Term::List(items));
        }
        loop {
            items.push(self.term(depth + 1)?);
            if self.accept(Symbol::CloseSquare)? {
                return Ok(Term::List(items));
            }
            if self.accept(Symbol::VerticalBar)? {
                let tail = self.term(depth + 1)?;
                self.expect(Symbol::CloseSquare, "']'")?;
                return Ok(cons(items, tail));
            }
            self.expect(Symbol::Comma, "',', '|' or ']'")?;
        }
    }

    /// As in Erlang, the last of two equal keys wins.
    fn map(&mut self, depth: usize) -> Result<Term, TermError> {
        self.expect(Symbol::OpenBrace, "'{' (records cannot be read)")?;
        let pairs = self.sequence(Symbol::CloseBrace, "',' or '}'", |parser| {
            let key = parser.term(depth + 1)?;
            parser.expect(Symbol::DoubleRightArrow, "'=>'")?;
            Ok((key, parser.term(depth + 1)?))
        })?;
        let mut places = HashMap::new();
        let mut unique: Vec<(Term, Term)> = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            let place = *places.entry(key.to_string()).or_insert(unique.len());
            match unique.get_mut(place) {
                Some(entry) => entry.1 = value,
                None => unique.push((key, value)),
            }
        }
        Ok(Term::Map(unique))
    }

    fn segment(&mut self) -> Result<Vec<u8>, TermError> {
        let bytes = match self.next.map(Token::kind) {
            Some(TokenKind::String) => {
                let text = self.adjacent_strings()?;
                if self.accept(Symbol::Slash)? {
                    if self.next.is_none_or(|token| token.text(self.source) != "utf8") {
                        return self.problem(Problem::BinarySegment);
                    }
                    self.advance()?;
                    text.into_bytes()
                } else {
                    text.chars().map(low_byte).collect()
                }
            }
            _ => {
                let minus = self.accept(Symbol::Hyphen)?;
                match self.signed(minus)? {
                    Term::Integer(value) => vec![value.to_le_bytes()[0]],
                    _ => return self.problem(Problem::BinarySegment),
                }
            }
        };
        if self.at(Symbol::Colon) || self.at(Symbol::Slash) {
            return self.problem(Problem::BinarySegment);
        }
        Ok(bytes)
    }

    fn string(&mut self) -> Result<Term, TermError> {
        Ok(Term::string(&self.adjacent_strings()?))
    }

    /// `"a" "b"` is `"ab"`.
    fn adjacent_strings(&mut self) -> Result<String, TermError> {
        let mut text = String::new();
        while let Some(token) = self.next
            && let TokenValue::String(part) = token.value(self.source)
        {
            text.push_str(&part);
            self.advance()?;
        }
        Ok(text)
    }

    fn sigil(&mut self, prefix: &str, content: String, suffix: &str) -> Result<Term, TermError> {
        match (prefix, suffix) {
            ("" | "b" | "B", "") => self.leaf(Term::Binary(content.into_bytes())),
            ("s" | "S", "") => self.leaf(Term::string(&content)),
            _ => self.problem(Problem::UnknownSigil),
        }
    }

    fn signed(&mut self, negative: bool) -> Result<Term, TermError> {
        match self.next.map(Token::kind) {
            Some(TokenKind::Integer | TokenKind::Float | TokenKind::Char) => {}
            _ => return self.problem(Problem::NotANumber),
        }
        Ok(match self.number()? {
            Term::Integer(value) if negative => Term::Integer(-value),
            Term::Float(value) if negative => Term::Float(-value),
            number => number,
        })
    }

    /// A number without sign; integers are at most `i128::MAX`, so that a sign cannot overflow.
    fn number(&mut self) -> Result<Term, TermError> {
        let Some(token) = self.next else { return self.unexpected("a number") };
        let term = match token.value(self.source) {
            TokenValue::Char(c) => Term::Integer(i128::from(u32::from(c))),
            TokenValue::Float(value) => Term::Float(value),
            TokenValue::Integer(Some(value)) => Term::Integer(i128::from(value)),
            TokenValue::Integer(None) => match wide_integer(token.text(self.source)) {
                Some(value) => Term::Integer(value),
                None => return self.problem(Problem::IntegerTooLarge),
            },
            _ => return self.unexpected("a number"),
        };
        self.leaf(term)
    }

    /// `fun module:name/arity`, the only fun that text can hold.
    fn fun(&mut self) -> Result<Term, TermError> {
        self.advance()?;
        let module = self.atom()?;
        self.expect(Symbol::Colon, "':'")?;
        let name = self.atom()?;
        self.expect(Symbol::Slash, "'/'")?;
        match self.next.map(|token| token.value(self.source)) {
            Some(TokenValue::Integer(Some(arity))) => match u8::try_from(arity) {
                Ok(arity) => self.leaf(Term::Fun { module, name, arity }),
                Err(_) => self.unexpected("an arity"),
            },
            _ => self.unexpected("an arity"),
        }
    }

    fn atom(&mut self) -> Result<String, TermError> {
        match self.next.map(|token| token.value(self.source)) {
            Some(TokenValue::Atom(name)) => {
                self.advance()?;
                Ok(name.into_owned())
            }
            _ => self.unexpected("an atom"),
        }
    }
}

/// `[items | tail]`, flat where the tail is itself a list.
fn cons(mut items: Vec<Term>, tail: Term) -> Term {
    match tail {
        Term::List(rest) => {
            items.extend(rest);
            Term::List(items)
        }
        Term::String(text) => {
            items.extend(text.chars().map(|c| Term::Integer(i128::from(u32::from(c)))));
            Term::List(items)
        }
        Term::ImproperList(rest, end) => {
            items.extend(rest);
            Term::ImproperList(items, end)
        }
        other => Term::ImproperList(items, Box::new(other)),
    }
}

/// What a character leaves in a binary segment without a type: its lowest eight bits.
fn low_byte(c: char) -> u8 {
    u32::from(c).to_le_bytes()[0]
}

/// An integer beyond 64 bits, `radix#digits` or decimal, with `_` between digits.
fn wide_integer(text: &str) -> Option<i128> {
    let text: String = text.chars().filter(|&c| c != '_').collect();
    match text.split_once('#') {
        Some((radix, digits)) => i128::from_str_radix(digits, radix.parse().ok()?).ok(),
        None => text.parse().ok(),
    }
}

/// A token for a message: at most 40 characters of it.
fn abbreviated(text: &str) -> String {
    let mut characters = text.chars();
    let start: String = characters.by_ref().take(40).collect();
    if characters.next().is_some() { format!("{start}...") } else { start }
}
