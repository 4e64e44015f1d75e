//! Goes through the commands of a script, in the order in which they run.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::condition::Answer;
use super::flow::Flow;
use super::lex::{Redirect, substitutions};
use super::parse::{Node, Simple, parse};
use super::programs::{assigned_inside, assignment, base, name_of};
use super::variables::Variables;
use super::{Applied, is_open};

/// Commands that are followed; a script has hundreds.
const MOST: u32 = 20_000;
/// Functions that call one another, and commands in the words of one another.
const DEEPEST: usize = 16;
/// Words of a loop that is followed.
const LONGEST_LOOP: usize = 64;

/// Where a script has come to.
pub(super) struct Runner {
    pub(super) variables: Variables,
    /// Files that the script has written.
    pub(super) files: BTreeMap<String, Flow>,
    pub(super) applied: Applied,
    /// What variables had before functions that are running made them their own.
    pub(super) locals: Vec<Vec<(String, Option<String>)>>,
    /// Input of the commands that run now, if the script gives it.
    pub(super) stdin: Option<Flow>,
    pub(super) exited: Answer,
    pub(super) returned: Answer,
    /// Words of commands whose own words are looked at.
    within: usize,
    steps: u32,
}

/// What commands apply.
pub(super) fn run(file: &str, nodes: &[Node]) -> Applied {
    let mut runner = Runner {
        variables: Variables::of(file),
        files: BTreeMap::new(),
        applied: Applied::default(),
        locals: Vec::new(),
        stdin: None,
        exited: Answer::No,
        returned: Answer::No,
        within: 0,
        steps: 0,
    };
    runner.nodes(nodes, &Answer::Yes);
    runner.applied
}

impl Runner {
    /// A thing of the script with its place, for a sentence.
    pub(super) fn at(&self, what: &str, line: u32) -> String {
        format!("{what} ({}:{line})", self.variables.file)
    }

    /// Something that changes objects and is not followed.
    pub(super) fn doubt(&mut self, why: String) {
        if !self.applied.doubts.contains(&why) {
            self.applied.doubts.push(why);
        }
    }

    /// Commands one after another: the answer of the last one, and what all of them print.
    fn nodes(&mut self, nodes: &[Node], runs: &Answer) -> (Answer, Flow) {
        let (mut answer, mut printed) = (Answer::Yes, Flow::empty());
        for node in nodes {
            let now = runs.clone().and(self.exited.clone().not()).and(self.returned.clone().not());
            if now == Answer::No {
                return (Answer::No, printed);
            }
            let (next, out) = self.node(node, &now, None);
            answer = next;
            printed = printed.then(out.under(&now));
        }
        (answer, printed)
    }

    fn node(&mut self, node: &Node, runs: &Answer, stdin: Option<Flow>) -> (Answer, Flow) {
        if *runs == Answer::No {
            return (Answer::No, Flow::empty());
        }
        self.steps += 1;
        if self.steps > MOST {
            self.doubt("the script runs more commands than this program follows".to_owned());
            self.exited = Answer::Yes;
            return (Answer::No, Flow::empty());
        }
        let outer = stdin.map(|stdin| self.stdin.replace(stdin));
        let done = match node {
            Node::Simple(simple) => self.simple(simple, runs),
            Node::Pipe(commands) => {
                let mut flow = None;
                let mut answer = Answer::Yes;
                for command in commands {
                    let (next, out) = self.subshell(|runner| runner.node(command, runs, flow.take()));
                    (answer, flow) = (next, Some(out));
                }
                (answer, flow.unwrap_or_else(Flow::empty))
            }
            Node::Not(node) => {
                let (answer, out) = self.node(node, runs, None);
                (answer.not(), out)
            }
            Node::Chain(first, rest) => self.chain(first, rest, runs),
            Node::If(arms) => {
                let mut earlier = Answer::No;
                let mut printed = Flow::empty();
                for (condition, body) in arms {
                    let asked = runs.clone().and(earlier.clone().not());
                    let (said, _) = self.nodes(condition, &asked);
                    let here = asked.and(said.clone());
                    let (_, out) = self.nodes(body, &here);
                    printed = printed.then(out.under(&here));
                    earlier = earlier.or(said);
                }
                (Answer::Open("a command's answer".to_owned()), printed)
            }
            Node::Loop { line, each, condition, body } => self.repeat(*line, each.as_ref(), condition, body, runs),
            Node::Case { line, words, arms } => {
                self.inside(words, &[], runs, *line);
                let told = self.at("a `case`", *line);
                for arm in arms {
                    self.nodes(arm, &runs.clone().and(Answer::Open(told.clone())));
                }
                (Answer::Open(told.clone()), Flow::Open(told))
            }
            Node::Group(body) => self.nodes(body, runs),
            Node::Subshell(body) => self.subshell(|runner| runner.nodes(body, runs)),
            Node::Function { name, body } => {
                let known = (*runs == Answer::Yes).then(|| Rc::new(body.clone()));
                self.variables.functions.insert(name.clone(), known);
                (Answer::Yes, Flow::empty())
            }
            Node::Redirected { line, block, redirects } => {
                self.inside(&[], redirects, runs, *line);
                let input = self.input(redirects, *line);
                self.unsure(&[], redirects, runs, *line);
                let (answer, out) = self.node(block, runs, input);
                (answer, self.output(redirects, out, runs, *line))
            }
        };
        if let Some(outer) = outer {
            self.stdin = outer;
        }
        done
    }

    /// What happens in a subshell to variables and with `exit` stays there.
    fn subshell<T>(&mut self, inside: impl FnOnce(&mut Self) -> T) -> T {
        let (variables, exited, returned) = (self.variables.clone(), self.exited.clone(), self.returned.clone());
        let done = inside(self);
        (self.variables, self.exited, self.returned) = (variables, exited, returned);
        done
    }

    /// Runs what stands in words and redirections: `$(…)`, backquotes, `<(…)`.
    pub(super) fn inside(&mut self, words: &[String], redirects: &[Redirect], runs: &Answer, line: u32) {
        let texts = words.iter().map(|word| (word, false, line)).chain(redirects.iter().filter_map(|to| match to {
            Redirect::Word { word, .. } => Some((word, false, line)),
            Redirect::Here(here) => (!here.literal).then_some((&here.body, true, here.line)),
        }));
        for (text, quoted, first) in texts {
            for (kind, script, before) in substitutions(text, quoted) {
                let line = first.saturating_add(before);
                let Some(nodes) = parse(&script, line).ok().filter(|_| self.within + self.locals.len() < DEEPEST)
                else {
                    let what =
                        self.at("commands that are no shell script, or deeper in one another than is followed", line);
                    self.doubt(format!("the script runs {what}"));
                    continue;
                };
                let input = (kind == '>').then(|| Flow::Open(self.at("what is written to `>(…)`", line)));
                let outer = input.map(|input| self.stdin.replace(input));
                self.within += 1;
                self.subshell(|runner| runner.nodes(&nodes, runs));
                self.within -= 1;
                if let Some(outer) = outer {
                    self.stdin = outer;
                }
            }
        }
    }

    /// Opens what `${NAME:=…}` sets in words that a command has only if it runs.
    pub(super) fn unsure(&mut self, words: &[String], redirects: &[Redirect], runs: &Answer, line: u32) {
        if !matches!(runs, Answer::Open(_)) {
            return;
        }
        let texts = words.iter().chain(redirects.iter().map(|to| match to {
            Redirect::Word { word, .. } => word,
            Redirect::Here(here) => &here.body,
        }));
        texts.flat_map(|text| assigned_inside(text)).for_each(|name| self.variables.open(name, line));
    }

    /// `a && b || c`. An `apply` before `&&` is taken to go well, as one before a line's end is.
    fn chain(&mut self, first: &Node, rest: &[(bool, Node)], runs: &Answer) -> (Answer, Flow) {
        let (mut answer, mut printed) = self.node(first, runs, None);
        let mut well = if applies(first) { Answer::Yes } else { answer.clone() };
        for (and, node) in rest {
            let here = runs.clone().and(if *and { well.clone() } else { answer.clone().not() });
            let (next, out) = self.node(node, &here, None);
            printed = printed.then(out.under(&here));
            let next_well = if applies(node) { Answer::Yes } else { next.clone() };
            (answer, well) = match and {
                true => (answer.and(next), well.and(next_well)),
                false => (answer.or(next), well.or(next_well)),
            };
        }
        (answer, printed)
    }

    fn repeat(
        &mut self,
        line: u32,
        each: Option<&(String, Vec<String>)>,
        condition: &[Node],
        body: &[Node],
        runs: &Answer,
    ) -> (Answer, Flow) {
        let told = self.at("a loop", line);
        if let Some((name, raw)) = each {
            self.inside(raw, &[], runs, line);
            let words: Vec<String> = raw.iter().flat_map(|word| self.variables.words(word, line)).collect();
            self.unsure(raw, &[], runs, line);
            let literal = |word: &String| !is_open(word) && !word.contains(['*', '?', '[', '{']);
            if words.len() <= LONGEST_LOOP && words.iter().all(literal) && *runs == Answer::Yes && !leaves(body) {
                let mut printed = Flow::empty();
                for word in &words {
                    self.variables.set(name, word, line);
                    printed = printed.then(self.nodes(body, runs).1);
                }
                return (Answer::Open(told), printed);
            }
            self.variables.open(name, line);
        }
        self.unsettle(condition);
        self.unsettle(body);
        self.nodes(condition, runs);
        self.nodes(body, &runs.clone().and(Answer::Open(told.clone())));
        self.unsettle(body);
        (Answer::Open(told.clone()), Flow::Open(told))
    }

    /// Every variable that commands may set is open, also those that functions set which they call.
    fn unsettle(&mut self, nodes: &[Node]) {
        let mut commands = Vec::new();
        each(nodes, &mut |simple| commands.push((simple.line, simple.words.clone())));
        let mut called = BTreeSet::new();
        while let Some((line, words)) = commands.pop() {
            let first = words.iter().find(|word| assignment(word).is_none()).map(String::as_str).unwrap_or_default();
            match first {
                "eval" | "source" | "." => self.variables.forget(line),
                "read" | "mapfile" | "readarray" | "unset" | "getopts" | "let" | "printf" => {
                    words.iter().for_each(|name| self.variables.open(name_of(name), line));
                }
                "shift" | "set" => self.variables.arguments = Err(line),
                name => match self.variables.functions.get(name).cloned() {
                    Some(Some(body)) if called.insert(name.to_owned()) => {
                        each(&body, &mut |simple| commands.push((simple.line, simple.words.clone())));
                    }
                    Some(None) => self.variables.forget(line),
                    _ => {}
                },
            }
            for word in &words {
                if let Some((name, _)) = assignment(word) {
                    self.variables.open(name_of(name), line);
                }
                assigned_inside(word).into_iter().for_each(|name| self.variables.open(name, line));
            }
        }
    }

    /// A function with these arguments.
    pub(super) fn call(&mut self, body: &[Node], words: &[String], runs: &Answer, line: u32) -> (Answer, Flow) {
        if self.within + self.locals.len() >= DEEPEST {
            let what = self.at("functions that call one another", line);
            self.doubt(format!("the script has {what} more often than this program follows"));
            return (Answer::Open("a function".to_owned()), Flow::Open("a function's output".to_owned()));
        }
        let arguments = std::mem::replace(&mut self.variables.arguments, Ok(words.to_vec()));
        let returned = std::mem::replace(&mut self.returned, Answer::No);
        self.locals.push(Vec::new());
        let done = self.nodes(body, runs);
        for (name, value) in self.locals.pop().into_iter().flatten().rev() {
            self.variables.put(&name, value);
        }
        self.variables.arguments = arguments;
        self.returned = returned;
        done
    }
}

/// Whether a command is one that gives manifests to kubectl.
fn applies(node: &Node) -> bool {
    match node {
        Node::Simple(simple) => {
            simple.words.iter().any(|word| base(word) == "kubectl")
                && simple.words.iter().any(|word| matches!(word.as_str(), "apply" | "create" | "replace"))
        }
        Node::Pipe(commands) => commands.last().is_some_and(applies),
        _ => false,
    }
}

/// Whether commands may leave the loop that they stand in, or what is around it.
fn leaves(nodes: &[Node]) -> bool {
    let mut found = false;
    each(nodes, &mut |simple| {
        found |= simple.words.first().is_some_and(|word| matches!(word.as_str(), "break" | "continue"));
    });
    found
}

/// Every simple command in commands, also of blocks in one another.
fn each(nodes: &[Node], see: &mut dyn FnMut(&Simple)) {
    for node in nodes {
        match node {
            Node::Simple(simple) => see(simple),
            Node::Pipe(inside) | Node::Group(inside) | Node::Subshell(inside) | Node::Function { body: inside, .. } => {
                each(inside, see);
            }
            Node::Not(inside) | Node::Redirected { block: inside, .. } => each(std::slice::from_ref(inside), see),
            Node::Chain(first, rest) => {
                each(std::slice::from_ref(first), see);
                rest.iter().for_each(|(_, node)| each(std::slice::from_ref(node), see));
            }
            Node::If(arms) => arms.iter().for_each(|(condition, body)| {
                each(condition, see);
                each(body, see);
            }),
            Node::Loop { line, each: counted, condition, body } => {
                if let Some((name, _)) = counted {
                    let words = vec![format!("{name}=")];
                    see(&Simple { line: *line, words, redirects: Vec::new() });
                }
                each(condition, see);
                each(body, see);
            }
            Node::Case { arms, .. } => arms.iter().for_each(|arm| each(arm, see)),
        }
    }
}
