//! Commands and the blocks that they stand in.

use super::Unreadable;
use super::lex::{Redirect, Token, tokens};

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Simple(Simple),
    /// `a | b`; every command runs in a subshell.
    Pipe(Vec<Node>),
    /// `! a`.
    Not(Box<Node>),
    /// `a && b || c`: `true` is `&&`.
    Chain(Box<Node>, Vec<(bool, Node)>),
    /// Conditions with their commands; an `else` has no condition.
    If(Vec<(Vec<Node>, Vec<Node>)>),
    /// `for NAME in WORDS`, `while`, `until`: a loop.
    Loop {
        line: u32,
        each: Option<(String, Vec<String>)>,
        condition: Vec<Node>,
        body: Vec<Node>,
    },
    Case {
        line: u32,
        /// What is compared, and the patterns.
        words: Vec<String>,
        arms: Vec<Vec<Node>>,
    },
    Group(Vec<Node>),
    Subshell(Vec<Node>),
    Function {
        name: String,
        body: Vec<Node>,
    },
    /// A block with redirections.
    Redirected {
        line: u32,
        block: Box<Node>,
        redirects: Vec<Redirect>,
    },
}

/// Words and redirections.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Simple {
    pub(super) line: u32,
    pub(super) words: Vec<String>,
    pub(super) redirects: Vec<Redirect>,
}

/// Blocks in one another.
const DEEPEST: u32 = 48;

/// The commands of a script whose first line has this number.
///
/// # Errors
/// What is not closed, with its line.
pub(super) fn parse(script: &str, first: u32) -> Result<Vec<Node>, Unreadable> {
    let mut parser = Parser { tokens: tokens(script, first)?, at: 0, depth: 0 };
    let nodes = parser.list(&[])?;
    match parser.tokens.get(parser.at) {
        None => Ok(nodes),
        Some((Token::Word(word), line)) => Err(unreadable(*line, &format!("has `{word}` where no block can end"))),
        Some((Token::Operator(operator), line)) => {
            Err(unreadable(*line, &format!("has `{}` where no command starts", operator.escape_default())))
        }
        Some((Token::Redirect(_), line)) => Err(unreadable(*line, "has a redirection where no command starts")),
    }
}

fn unreadable(line: u32, what: &str) -> Unreadable {
    Unreadable { line, what: what.to_owned() }
}

/// Words that end a list of commands.
const ENDS: &[&str] = &["then", "elif", "else", "fi", "do", "done", "esac", "}"];

struct Parser {
    tokens: Vec<(Token, u32)>,
    at: usize,
    depth: u32,
}

impl Parser {
    fn line(&self) -> u32 {
        self.tokens.get(self.at).or(self.tokens.last()).map_or(1, |(_, line)| *line)
    }

    fn word(&self) -> Option<&str> {
        match self.tokens.get(self.at) {
            Some((Token::Word(word), _)) => Some(word),
            _ => None,
        }
    }

    fn operator(&self) -> Option<&'static str> {
        match self.tokens.get(self.at) {
            Some((Token::Operator(operator), _)) => Some(operator),
            _ => None,
        }
    }

    fn take_operator(&mut self, wanted: &[&str]) -> bool {
        let found = self.operator().is_some_and(|operator| wanted.contains(&operator));
        self.at += usize::from(found);
        found
    }

    fn blank(&mut self) {
        while self.take_operator(&["\n"]) {}
    }

    /// The word that has to stand here; `opened` is the line of the block that wants it.
    fn expect(&mut self, word: &str, opened: u32) -> Result<(), Unreadable> {
        if self.word() == Some(word) {
            self.at += 1;
            return Ok(());
        }
        Err(unreadable(opened, &format!("starts a block without its `{word}`")))
    }

    /// Commands up to a word or operator that ends them.
    fn list(&mut self, operators: &[&str]) -> Result<Vec<Node>, Unreadable> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(unreadable(self.line(), "has more blocks in one another than this program follows"));
        }
        let mut nodes = Vec::new();
        loop {
            while self.take_operator(&["\n", ";", "&"]) {}
            let ended = self.word().is_some_and(|word| ENDS.contains(&word))
                || self.operator().is_some_and(|operator| operators.contains(&operator) || operator == ")");
            if ended || self.at >= self.tokens.len() {
                self.depth -= 1;
                return Ok(nodes);
            }
            nodes.push(self.chain()?);
            if !matches!(self.operator(), None | Some("\n" | ";" | "&" | ")" | ";;" | ";&" | ";;&")) {
                return Err(unreadable(self.line(), "has an operator where no command starts"));
            }
            if self.operator().is_none()
                && self.at < self.tokens.len()
                && !self.word().is_some_and(|w| ENDS.contains(&w))
            {
                return Err(unreadable(self.line(), "has a word behind the end of a block"));
            }
        }
    }

    fn chain(&mut self) -> Result<Node, Unreadable> {
        let first = self.pipe()?;
        let mut rest = Vec::new();
        while let Some(operator @ ("&&" | "||")) = self.operator() {
            self.at += 1;
            self.blank();
            rest.push((operator == "&&", self.pipe()?));
        }
        Ok(if rest.is_empty() { first } else { Node::Chain(Box::new(first), rest) })
    }

    fn pipe(&mut self) -> Result<Node, Unreadable> {
        let mut not = false;
        while let Some(word @ ("!" | "time")) = self.word() {
            not ^= word == "!";
            self.at += 1;
        }
        let mut commands = vec![self.command()?];
        while self.take_operator(&["|", "|&"]) {
            self.blank();
            commands.push(self.command()?);
        }
        let node = if commands.len() == 1 { commands.remove(0) } else { Node::Pipe(commands) };
        Ok(if not { Node::Not(Box::new(node)) } else { node })
    }

    fn command(&mut self) -> Result<Node, Unreadable> {
        let line = self.line();
        let word = self.word().map(str::to_owned);
        let block = match word.as_deref() {
            Some("if") => Some(self.branches(line)?),
            Some("while" | "until" | "for" | "select") => Some(self.repeat(line)?),
            Some("case") => Some(self.case(line)?),
            Some("{") => {
                self.at += 1;
                let body = self.list(&[])?;
                self.expect("}", line)?;
                Some(Node::Group(body))
            }
            Some("function") => {
                self.at += 1;
                let name = self.word().unwrap_or_default().to_owned();
                self.at += 1;
                if self.take_operator(&["("]) {
                    self.take_operator(&[")"]);
                }
                return self.function(name);
            }
            Some(word) if ENDS.contains(&word) => {
                return Err(unreadable(line, &format!("has `{word}` where no block can end")));
            }
            None if self.take_operator(&["("]) => {
                let body = self.list(&[])?;
                if !self.take_operator(&[")"]) {
                    return Err(unreadable(line, "opens a bracket that is never closed"));
                }
                Some(Node::Subshell(body))
            }
            _ => None,
        };
        match block {
            None => self.simple(line),
            Some(block) => {
                let redirects = self.redirects();
                Ok(match redirects.is_empty() {
                    true => block,
                    false => Node::Redirected { line, block: Box::new(block), redirects },
                })
            }
        }
    }

    fn redirects(&mut self) -> Vec<Redirect> {
        let mut redirects = Vec::new();
        while let Some((Token::Redirect(redirect), _)) = self.tokens.get(self.at) {
            redirects.push(redirect.clone());
            self.at += 1;
        }
        redirects
    }

    fn simple(&mut self, line: u32) -> Result<Node, Unreadable> {
        let mut simple = Simple { line, ..Simple::default() };
        loop {
            match self.tokens.get(self.at) {
                Some((Token::Word(word), _)) => simple.words.push(word.clone()),
                Some((Token::Redirect(redirect), _)) => simple.redirects.push(redirect.clone()),
                Some((Token::Operator("("), _)) if simple.words.len() == 1 && simple.redirects.is_empty() => {
                    self.at += 1;
                    if !self.take_operator(&[")"]) {
                        return Err(unreadable(line, "has a bracket where no function is defined"));
                    }
                    return self.function(simple.words.remove(0));
                }
                _ => break,
            }
            self.at += 1;
        }
        if simple.words.is_empty() && simple.redirects.is_empty() {
            return Err(unreadable(line, "has an operator where no command starts"));
        }
        Ok(Node::Simple(simple))
    }

    fn function(&mut self, name: String) -> Result<Node, Unreadable> {
        self.blank();
        let body = match self.command()? {
            Node::Group(body) => body,
            block => vec![block],
        };
        Ok(Node::Function { name, body })
    }

    fn branches(&mut self, line: u32) -> Result<Node, Unreadable> {
        let mut arms = Vec::new();
        self.at += 1;
        loop {
            let condition = self.list(&[])?;
            self.expect("then", line)?;
            arms.push((condition, self.list(&[])?));
            match self.word() {
                Some("elif") => self.at += 1,
                Some("else") => {
                    self.at += 1;
                    arms.push((Vec::new(), self.list(&[])?));
                    break;
                }
                _ => break,
            }
        }
        self.expect("fi", line)?;
        Ok(Node::If(arms))
    }

    fn repeat(&mut self, line: u32) -> Result<Node, Unreadable> {
        let counted = matches!(self.word(), Some("for" | "select"));
        self.at += 1;
        let (mut each, mut condition) = (None, Vec::new());
        if counted {
            let name = self.word().unwrap_or_default().to_owned();
            self.at += 1;
            self.blank();
            let mut words = Vec::new();
            let listed = self.word() == Some("in");
            if listed {
                self.at += 1;
                while let Some(word) = self.word() {
                    words.push(word.to_owned());
                    self.at += 1;
                }
            }
            if !listed {
                words.push("\"$@\"".to_owned());
            }
            while self.take_operator(&["\n", ";"]) {}
            each = Some((name, words));
        } else {
            condition = self.list(&[])?;
        }
        self.expect("do", line)?;
        let body = self.list(&[])?;
        self.expect("done", line)?;
        Ok(Node::Loop { line, each, condition, body })
    }

    fn case(&mut self, line: u32) -> Result<Node, Unreadable> {
        self.at += 1;
        let mut words: Vec<String> = self.word().map(str::to_owned).into_iter().collect();
        self.at += 1;
        self.blank();
        self.expect("in", line)?;
        let mut arms = Vec::new();
        loop {
            self.blank();
            if self.word() == Some("esac") {
                self.at += 1;
                return Ok(Node::Case { line, words, arms });
            }
            while self.at < self.tokens.len() && self.operator() != Some(")") {
                words.extend(self.word().map(str::to_owned));
                self.at += 1;
            }
            if !self.take_operator(&[")"]) {
                return Err(unreadable(line, "starts a block without its `esac`"));
            }
            arms.push(self.list(&[";;", ";&", ";;&"])?);
            if !self.take_operator(&[";;", ";&", ";;&"]) && self.word() != Some("esac") {
                return Err(unreadable(line, "starts a block without its `esac`"));
            }
        }
    }
}
