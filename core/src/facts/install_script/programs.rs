//! What single commands do: set variables, print, write files, call functions and kubectl.

use super::condition::{Answer, answer};
use super::flow::Flow;
use super::lex::Redirect;
use super::parse::Simple;
use super::run::Runner;
use super::variables::Text;
use super::{first_open, is_open};

impl Runner {
    /// Where a command gets its input from.
    pub(super) fn input(&mut self, redirects: &[Redirect], line: u32) -> Option<Flow> {
        let mut input = None;
        for redirect in redirects {
            match redirect {
                Redirect::Here(here) => input = Some(Flow::text(self.variables.here(here))),
                Redirect::Word { operator: "<<<", word, .. } => {
                    let text = format!("{}\n", self.variables.word(word, line));
                    input = Some(Flow::text(Text::from_line(text, line)));
                }
                Redirect::Word { operator: "<", fd: None | Some(0), word } => {
                    let file = self.variables.word(word, line);
                    input = Some(self.file(&file, line));
                }
                Redirect::Word { .. } => {}
            }
        }
        input
    }

    /// What a file holds.
    pub(super) fn file(&self, file: &str, line: u32) -> Flow {
        let known = self.files.get(plain(file)).cloned();
        known.unwrap_or_else(|| Flow::Open(self.at(&shown(file), line)))
    }

    /// Writes output where it goes; what goes on to a pipe is left.
    pub(super) fn output(&mut self, redirects: &[Redirect], out: Flow, runs: &Answer, line: u32) -> Flow {
        let mut left = out;
        for redirect in redirects {
            let Redirect::Word {
                operator: operator @ (">" | ">>" | ">|" | ">&" | "&>" | "&>>"),
                fd: None | Some(1),
                word,
            } = redirect
            else {
                continue;
            };
            let file = self.variables.word(word, line);
            let copied = *operator == ">&" && file.bytes().all(|b| b.is_ascii_digit() || b == b'-');
            if file == "/dev/stdout" || copied {
                continue;
            }
            let text = std::mem::replace(&mut left, Flow::empty());
            self.write(&file, text, operator.ends_with(">>"), runs, line);
        }
        left
    }

    fn write(&mut self, file: &str, text: Flow, append: bool, runs: &Answer, line: u32) {
        let file = plain(file).to_owned();
        let before = self.files.get(&file).cloned();
        let now = match (runs, append, before, text) {
            (Answer::No, ..) => return,
            (Answer::Yes, false, _, text) => text,
            (Answer::Yes, true, Some(before), text) => before.then(text),
            (Answer::Yes, true, None, _) => {
                Flow::Open(self.at(&format!("what stands before in {}", shown(&file)), line))
            }
            (Answer::Open(told), false, before, Flow::Known(versions)) => {
                match before.unwrap_or(Flow::Known(Vec::new())) {
                    Flow::Known(before) => {
                        let all = before.into_iter().chain(versions);
                        Flow::Known(all.map(|(text, unless)| (text, unless.or_else(|| Some(told.clone())))).collect())
                    }
                    open @ Flow::Open(_) => open,
                }
            }
            (Answer::Open(told), ..) => Flow::depends(told),
        };
        self.files.insert(file, now);
    }

    /// A command with what it reads and writes.
    pub(super) fn simple(&mut self, simple: &Simple, runs: &Answer) -> (Answer, Flow) {
        let line = simple.line;
        self.inside(&simple.words, &simple.redirects, runs, line);
        let outer = self.input(&simple.redirects, line).map(|input| self.stdin.replace(input));
        let settings = simple.words.iter().take_while(|word| assignment(word).is_some()).count();
        let raw = &simple.words[settings..];
        let done = if raw.is_empty() {
            let asks = simple.words.iter().any(|word| word.contains("$(") || word.contains('`'));
            self.assign(&simple.words, runs, false, line);
            (if asks { Answer::Open(self.at("a command's answer", line)) } else { Answer::Yes }, Flow::empty())
        } else if let Some(answer) = answer(raw, &mut self.variables, line) {
            (answer, Flow::empty())
        } else {
            let words: Vec<String> = raw.iter().flat_map(|word| self.variables.words(word, line)).collect();
            match words.is_empty() {
                true => {
                    self.assign(&simple.words[..settings], runs, false, line);
                    (Answer::Yes, Flow::empty())
                }
                false => self.with(&simple.words[..settings], &words, raw, runs, line),
            }
        };
        self.unsure(&simple.words, &simple.redirects, runs, line);
        if let Some(outer) = outer {
            self.stdin = outer;
        }
        (done.0, self.output(&simple.redirects, done.1, runs, line))
    }

    /// A command with assignments before it: a function has them while it runs.
    fn with(&mut self, set: &[String], words: &[String], raw: &[String], runs: &Answer, line: u32) -> (Answer, Flow) {
        let first = words.first().map(String::as_str).unwrap_or_default();
        let names: Vec<&str> = set.iter().filter_map(|word| assignment(word)).map(|(name, _)| name_of(name)).collect();
        if set.is_empty() || !self.variables.functions.contains_key(first) {
            // Not all shells take back what stands before their own commands.
            if KEEPS.contains(&first) {
                names.iter().for_each(|name| self.variables.open(name, line));
            }
            set.iter().for_each(|word| drop(self.variables.word(word, line)));
            return self.command(words, raw, runs, line);
        }
        let before: Vec<Option<String>> = names.iter().map(|name| self.variables.value(name)).collect();
        self.assign(set, runs, false, line);
        let done = self.command(words, raw, runs, line);
        names.iter().zip(before).rev().for_each(|(name, value)| self.variables.put(name, value));
        done
    }

    /// A command by its program; `raw` are the words before anything was replaced in them.
    fn command(&mut self, words: &[String], raw: &[String], runs: &Answer, line: u32) -> (Answer, Flow) {
        let certain = *runs == Answer::Yes;
        let rest = words.get(1..).unwrap_or_default();
        let first = words.first().map(String::as_str).unwrap_or_default();
        let quiet = |answer| (answer, Flow::empty());
        let told = self.at(&format!("the output of `{}`", base(first)), line);
        match base(first) {
            "true" | ":" | "cd" | "mkdir" | "touch" | "pushd" | "popd" | "sleep" => quiet(Answer::Yes),
            "false" => quiet(Answer::No),
            code @ ("exit" | "return") => {
                let fails = rest.first().is_some_and(|code| code != "0");
                // What a failure leaves undone is not looked at: the script is read as if it came to its end.
                if certain || !fails {
                    let left = if code == "exit" { &mut self.exited } else { &mut self.returned };
                    *left = left.clone().or(runs.clone());
                }
                quiet(Answer::of(!fails))
            }
            "set" => {
                if let Some(start) = rest.iter().position(|word| word == "--") {
                    let arguments = rest.get(start + 1..).unwrap_or_default().to_vec();
                    self.variables.arguments = if certain { Ok(arguments) } else { Err(line) };
                } else if rest.first().is_some_and(|word| !word.starts_with(['-', '+'])) {
                    self.variables.arguments = Err(line);
                }
                quiet(Answer::Yes)
            }
            "shift" => {
                match &mut self.variables.arguments {
                    Ok(arguments) if certain && rest.is_empty() => drop(arguments.drain(..arguments.len().min(1))),
                    arguments => *arguments = Err(line),
                }
                quiet(Answer::Yes)
            }
            program @ ("eval" | "source" | ".") => {
                self.variables.forget(line);
                self.touched(rest, line);
                let calls = |word: &String| {
                    word.contains("kubectl") || self.variables.functions.keys().any(|name| word.contains(name.as_str()))
                };
                let open = program == "eval" && words.iter().any(|word| is_open(word));
                if open || words.iter().any(calls) {
                    let what = self.at(&format!("`{program}`"), line);
                    let runs =
                        if open { "commands that only a run can tell" } else { "kubectl, which is not followed" };
                    self.doubt(format!("{what} runs {runs}"));
                }
                quiet(Answer::Open(told))
            }
            "read" | "mapfile" | "readarray" | "unset" | "getopts" | "let" => {
                if rest.iter().any(|word| is_open(word)) {
                    self.variables.forget(line);
                }
                rest.iter().for_each(|word| self.variables.open(name_of(word), line));
                self.variables.open("REPLY", line);
                self.variables.open("OPTARG", line);
                quiet(Answer::Open(told))
            }
            "printf" => {
                if rest.first().is_some_and(|word| word == "-v") {
                    rest.get(1).iter().for_each(|name| self.variables.open(name_of(name), line));
                }
                (Answer::Yes, Flow::Open(told))
            }
            keyword @ ("export" | "readonly" | "declare" | "typeset" | "local") => {
                if keyword != "export" && rest.iter().any(|word| word.starts_with('-') && word.contains('n')) {
                    self.variables.forget(line);
                }
                self.assign(&raw[1..], runs, matches!(keyword, "declare" | "typeset" | "local"), line);
                quiet(Answer::Yes)
            }
            "echo" => {
                let (text, end) = match rest {
                    [flag, rest @ ..] if flag == "-n" => (rest.join(" "), ""),
                    rest => (rest.join(" "), "\n"),
                };
                // Some shells read escapes without being asked to.
                let plain = !text.starts_with('-') && !text.contains('\\');
                let out = if plain { Flow::text(Text::from_line(text + end, line)) } else { Flow::Open(told) };
                (Answer::Yes, out)
            }
            "cat" => (Answer::Yes, self.cat(rest, told, line)),
            "tee" => {
                let text = self.stdin.clone().unwrap_or(Flow::Open(told));
                let append = rest.iter().any(|word| word == "-a" || word == "--append");
                for file in rest.iter().filter(|word| !word.starts_with('-')) {
                    self.write(file, text.clone(), append, runs, line);
                }
                (Answer::Yes, text)
            }
            "rm" => {
                for file in rest.iter().map(|word| plain(word).trim_end_matches('/')) {
                    if certain {
                        let folder = format!("{file}/");
                        self.files.retain(|name, _| name != file && !name.starts_with(&folder));
                    } else if self.files.contains_key(file) {
                        self.write(file, Flow::empty(), false, runs, line);
                    }
                }
                let patterns: Vec<String> = rest.iter().filter(|word| word.contains(['*', '?'])).cloned().collect();
                self.touched(&patterns, line);
                quiet(Answer::Yes)
            }
            _ if first.starts_with("((") => {
                assigned_inside(first).into_iter().for_each(|name| self.variables.open(name, line));
                quiet(Answer::Open(told))
            }
            _ => self.program(words, runs, line),
        }
    }

    /// What `cat` prints.
    fn cat(&self, words: &[String], told: String, line: u32) -> Flow {
        if words.iter().any(|word| word.len() > 1 && word.starts_with('-')) {
            return Flow::Open(told);
        }
        let stdin = || self.stdin.clone().unwrap_or(Flow::Open(told.clone()));
        match words {
            [] => stdin(),
            [only] if only != "-" => self.file(only, line),
            _ => words.iter().fold(Flow::empty(), |all, word| match word.as_str() {
                "-" => all.then(stdin()),
                file => all.then(self.file(file, line)),
            }),
        }
    }

    /// A function, kubectl, or a program that is not followed.
    fn program(&mut self, words: &[String], runs: &Answer, line: u32) -> (Answer, Flow) {
        let first = words.first().map(String::as_str).unwrap_or_default();
        let program = base(first);
        let out = Flow::Open(self.at(&format!("the output of `{}`", shown(program)), line));
        let answer = Answer::Open(self.at(&format!("the answer of `{}`", shown(program)), line));
        match self.variables.functions.get(first).cloned() {
            Some(Some(body)) => return self.call(&body, &words[1..], runs, line),
            Some(None) => {
                self.variables.forget(line);
                let what = self.at(&format!("`{first}`"), line);
                self.doubt(format!("what {what} does is known only when the script runs"));
                return (answer, out);
            }
            None => {}
        }
        if LOOKS.contains(&program) {
            if edits(program, &words[1..]) {
                self.touched(&words[1..], line);
            }
            return (answer, out);
        }
        let kubectl = words.iter().position(|word| matches!(base(word), "kubectl" | "oc"));
        match kubectl {
            Some(_) if program == "command" && words.get(1).is_some_and(|word| word == "-v" || word == "-V") => {}
            Some(at) => {
                let sure = at == 0 || STARTS.contains(&program);
                let runs = if sure { runs.clone() } else { runs.clone().and(answer.clone()) };
                self.kubectl(&words[at + 1..], &runs, line);
                return (answer, out);
            }
            None => {}
        }
        // Alone, it is one that holds `true` or `false`: `if $ENABLE_IC; then`.
        if let Some(told) = first_open(first).filter(|_| words.len() > 1) {
            self.doubt(format!("the script runs {told}, which is known only when the script runs"));
        } else if words.iter().any(|word| word.contains("kubectl ")) {
            let what = self.at(&format!("`{program}`"), line);
            self.doubt(format!("{what} runs kubectl, which is not followed"));
        }
        if words.iter().any(|word| anything(base(word), words)) {
            self.touched(&["*".to_owned()], line);
        }
        self.touched(&words[1..], line);
        (answer, out)
    }

    /// Files that a program may have changed.
    fn touched(&mut self, words: &[String], line: u32) {
        let told = self.at("a file that another program may have changed", line);
        for (file, flow) in &mut self.files {
            let names =
                |word: &String| word.contains(base(file)) || word.contains(['*', '?', '[', '{']) || is_open(word);
            if words.iter().any(names) {
                *flow = Flow::Open(told.clone());
            }
        }
    }

    /// `NAME=value`; a `local` one is put back when the function ends.
    fn assign(&mut self, words: &[String], runs: &Answer, local: bool, line: u32) {
        for word in words.iter().filter(|word| !word.starts_with('-')) {
            if assignment(word).is_none() && word.contains(['$', '`', '"', '\'', '\\']) {
                self.assign_expanded(word, runs, local, line);
                continue;
            }
            let (name, value) = match assignment(word) {
                Some((name, value)) => (name, Some(value)),
                None => (name_of(word), None),
            };
            let (adds, name) = (name.ends_with('+'), name_of(name));
            if local {
                self.own(name);
            }
            let Some(value) = value else {
                if local {
                    self.variables.open(name, line);
                }
                continue;
            };
            let before = self.variables.value(name);
            let whole = !word[name.len()..].starts_with('[') && !value.starts_with('(');
            if *runs != Answer::Yes || !whole || adds && before.is_none() {
                self.variables.open(name, line);
                continue;
            }
            let added = self.variables.word(value, line);
            let text = if adds { before.unwrap_or_default() + &added } else { added };
            self.variables.set(name, &text, line);
        }
    }

    /// What `export` and the like are given when a word has its `=` from an expansion or inside of quotes.
    fn assign_expanded(&mut self, word: &str, runs: &Answer, local: bool, line: u32) {
        for word in self.variables.words(word, line) {
            match assignment(&word) {
                Some((name, value)) => {
                    if local {
                        self.own(name_of(name));
                    }
                    if *runs == Answer::Yes && name_of(name) == name {
                        self.variables.set(name, value, line);
                    } else {
                        self.variables.open(name_of(name), line);
                    }
                }
                None if is_open(&word) => self.variables.forget(line),
                None => {
                    if local {
                        self.own(name_of(&word));
                        self.variables.open(name_of(&word), line);
                    }
                }
            }
        }
    }

    /// Puts back what a variable has when the function ends.
    fn own(&mut self, name: &str) {
        let before = self.variables.value(name);
        if let Some(locals) = self.locals.last_mut() {
            locals.push((name.to_owned(), before));
        }
    }
}

/// Programs that change neither files nor the cluster.
const LOOKS: &[&str] = &[
    "[",
    "awk",
    "basename",
    "chmod",
    "chown",
    "cmp",
    "cut",
    "date",
    "diff",
    "dirname",
    "egrep",
    "fgrep",
    "file",
    "grep",
    "hash",
    "head",
    "hostname",
    "id",
    "jq",
    "ls",
    "md5sum",
    "readlink",
    "realpath",
    "sed",
    "sha256sum",
    "sort",
    "stat",
    "tail",
    "tput",
    "tr",
    "type",
    "uname",
    "uniq",
    "wait",
    "wc",
    "which",
    "whoami",
    "yamllint",
    "yq",
];
/// The shell's own commands that may keep assignments that stand before them.
const KEEPS: &[&str] = &[
    ".", ":", "break", "continue", "eval", "exec", "exit", "export", "readonly", "return", "set", "shift", "source",
    "times", "trap", "unset",
];
/// Programs that run the one that is named after them.
const STARTS: &[&str] = &[
    "command", "env", "exec", "ionice", "k0s", "k3s", "microk8s", "minikube", "nice", "nohup", "stdbuf", "sudo",
    "timeout",
];

/// Whether one of [`LOOKS`] is told to write a file.
fn edits(program: &str, words: &[String]) -> bool {
    // Letters of options, up to one that has the rest of the word for its value.
    let letter =
        |wanted: char, valued: &[char]| {
            words.iter().filter(|word| !word.starts_with("--")).filter_map(|word| word.strip_prefix('-')).any(
                |letters| letters.split(|letter| valued.contains(&letter)).next().unwrap_or_default().contains(wanted),
            )
        };
    let long = |start: &str| words.iter().any(|word| word.starts_with(start));
    // `w FILE` of sed, `> FILE` and `| PROGRAM` of awk.
    let text = |marks: &[char]| words.iter().any(|word| word.contains(char::is_whitespace) && word.contains(marks));
    match program {
        "sed" => letter('i', &['e', 'f', 'l']) || long("--i") || text(&['w']),
        "awk" => letter('i', &['v', 'f', 'F']) || long("--i") || text(&['>', '|']),
        "yq" => letter('i', &[]) || long("--i"),
        "sort" => letter('o', &['k', 't', 'S', 'T']) || long("--o"),
        "uniq" => words.iter().filter(|word| !word.starts_with('-')).count() > 1,
        _ => false,
    }
}

/// Whether a program may change files that are not named.
fn anything(program: &str, words: &[String]) -> bool {
    let option = |letters: &[char]| words.iter().any(|word| word.starts_with('-') && word.contains(letters));
    match program {
        "git" | "parallel" | "patch" | "rsync" | "tar" | "unzip" => true,
        "xargs" => words.len() > 1,
        "find" => ["-exec", "-ok", "-delete", "-fprint", "-fls"]
            .iter()
            .any(|action| words.iter().any(|word| word.starts_with(action))),
        "cp" | "mv" | "ln" | "install" => option(&['r', 'R', 'a', 't']),
        _ => false,
    }
}

/// A file's name without what leads nowhere.
pub(super) fn plain(file: &str) -> &str {
    file.trim_start_matches("./")
}

/// A word for a sentence.
pub(super) fn shown(word: &str) -> String {
    super::told(word).unwrap_or_else(|| word.to_owned())
}

/// A program's name without its directory.
pub(super) fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// `NAME=value`, `NAME+=value`, `NAME[1]=value`: the name with what is added to it, and the value's word.
pub(super) fn assignment(word: &str) -> Option<(&str, &str)> {
    let (name, value) = word.split_once('=')?;
    let letters = name.strip_suffix('+').unwrap_or(name);
    let letters = letters.split_once('[').map_or(letters, |(letters, _)| letters);
    let valid = letters.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && letters.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    valid.then_some((name, value))
}

/// The variable that a word of `read` names.
pub(super) fn name_of(word: &str) -> &str {
    let end = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
    &word[..end]
}

/// Names in `((…))` and behind `${NAME:=`.
pub(super) fn assigned_inside(word: &str) -> Vec<&str> {
    if word.starts_with("((") {
        return word.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|name| !name.is_empty()).collect();
    }
    let mut found = Vec::new();
    for (at, _) in word.match_indices("${") {
        let name = name_of(&word[at + 2..]);
        if word[at + 2 + name.len()..].trim_start_matches(':').starts_with('=') {
            found.push(name);
        }
    }
    found
}
