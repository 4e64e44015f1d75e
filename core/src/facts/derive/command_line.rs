//! What a container runs: the program by its file name, and its flags the way Go's pflag reads them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::object::{list, text};

/// How a container runs a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runs {
    /// Not at all.
    No,
    /// As a word of its own in `command` or `args`.
    Directly,
    /// From within a shell's text: it runs, but its flags cannot be read.
    FromShellText,
}

/// `command` and `args` of a container.
#[derive(Debug, Clone)]
pub(super) struct CommandLine<'o> {
    command: Vec<&'o str>,
    args: Vec<&'o str>,
    env: Vec<(&'o str, &'o str)>,
}

impl<'o> CommandLine<'o> {
    /// Of a container as its pod template has it.
    pub(super) fn of(container: &'o Value) -> Self {
        let words = |pointer| list(container, pointer).iter().filter_map(Value::as_str).collect();
        let env = list(container, "/env").iter().filter(|entry| entry.get("valueFrom").is_none());
        Self {
            command: words("/command"),
            args: words("/args"),
            env: env.map(|entry| (text(entry, "/name"), text(entry, "/value"))).collect(),
        }
    }

    fn words(&self) -> impl Iterator<Item = &'o str> {
        self.command.iter().chain(&self.args).copied()
    }

    /// The words that start the program, without flags and what follows them.
    pub(super) fn program(&self) -> Vec<String> {
        self.words().take_while(|word| !word.starts_with('-')).map(str::to_owned).collect()
    }

    /// Whether one of `programs` (file names) is run. Flags and what follows them are no programs.
    pub(super) fn runs(&self, programs: &[&str]) -> Runs {
        let is_program = |word: &str| word.rsplit('/').next().is_some_and(|file| programs.contains(&file));
        for word in self.words().take_while(|word| !word.starts_with("--")) {
            if is_program(word) {
                return Runs::Directly;
            }
            if word.contains(char::is_whitespace)
                && word.split(|c: char| c.is_whitespace() || ";&|()".contains(c)).any(is_program)
            {
                return Runs::FromShellText;
            }
        }
        Runs::No
    }

    /// Flags by name without dashes, of `command` and then `args`; of a repeated flag the last one counts.
    /// `$(NAME)` is replaced where the container's environment holds a literal value.
    pub(super) fn flags(&self) -> BTreeMap<String, String> {
        let mut flags = BTreeMap::new();
        let mut words = self.words().peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let Some(flag) = word.strip_prefix('-').map(|flag| flag.trim_start_matches('-')) else { continue };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, value),
                None if is_switch(flag) => (flag, "true"),
                None => match words.next_if(|next| !next.starts_with('-')) {
                    Some(value) => (flag, value),
                    None => (flag, "true"),
                },
            };
            flags.insert(name.to_owned(), self.expand(value));
        }
        flags
    }

    /// `command` or `args`, whichever holds the flags (one of `wanted` if it is there at all), with its words.
    pub(super) fn flags_in(&self, wanted: &[&str]) -> (&'static str, Vec<String>) {
        let holds = |words: &[&str], names: &[&str]| {
            words
                .iter()
                .filter_map(|word| word.strip_prefix("--"))
                .any(|flag| names.is_empty() || flag.split('=').next().is_some_and(|name| names.contains(&name)))
        };
        let (command, args) = (self.command.as_slice(), self.args.as_slice());
        // Of a repeated flag the last one counts, and `args` come last.
        let in_args = holds(args, wanted)
            || !holds(command, wanted) && (holds(args, &[]) || !holds(command, &[]) && !args.is_empty());
        let (list, words) = if in_args { ("args", args) } else { ("command", command) };
        (list, words.iter().map(|word| (*word).to_owned()).collect())
    }

    fn expand(&self, value: &str) -> String {
        if !value.contains("$(") {
            return value.to_owned();
        }
        self.env.iter().fold(value.to_owned(), |text, (name, value)| text.replace(&format!("$({name})"), value))
    }
}

/// Flags of type bool take no value after a blank: pflag reads `--enable-np false` as true.
fn is_switch(name: &str) -> bool {
    name.starts_with("enable-")
        || matches!(
            name,
            "non-primary-cni-mode"
                | "keep-vm-ip"
                | "secure-serving"
                | "logtostderr"
                | "alsologtostderr"
                | "default-gateway-check"
                | "default-logical-gateway"
                | "default-exchange-link-name"
                | "default-u2o-interconnection"
                | "encap-checksum"
                | "install-cni-config"
        )
}

/// A bool as Go's `strconv.ParseBool` reads it.
pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn flags(container: Value) -> Vec<(String, String)> {
        CommandLine::of(&container).flags().into_iter().collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn reads_flags_as_pflag_does() {
        assert_eq!(
            flags(json!({ "command": ["/kube-ovn/start-controller.sh", "--default-cidr", "10.16.0.0/16"],
                          "args": ["--enable-np", "--enable-lb=false", "--log_file=/a=b", "-v", "3", "--default-exclude-ips="] })),
            pairs(&[
                ("default-cidr", "10.16.0.0/16"),
                ("default-exclude-ips", ""),
                ("enable-lb", "false"),
                ("enable-np", "true"),
                ("log_file", "/a=b"),
                ("v", "3"),
            ])
        );
        // A bool flag takes no second word, the last one of a name counts, and `--` ends flags.
        assert_eq!(
            flags(
                json!({ "args": ["--enable-np", "false", "--enable-lb=true", "--enable-lb=false", "--", "--mtu=1"] })
            ),
            pairs(&[("enable-lb", "false"), ("enable-np", "true")])
        );
    }

    #[test]
    fn replaces_variables_with_literal_values_only() {
        let container = json!({
            "args": ["--iface=$(IFACE)", "--node=$(NODE)"],
            "env": [{ "name": "IFACE", "value": "eth1" }, { "name": "NODE", "valueFrom": {} }],
        });
        assert_eq!(flags(container), pairs(&[("iface", "eth1"), ("node", "$(NODE)")]));
    }

    #[test]
    fn finds_a_program_wherever_it_stands_but_not_in_flags() {
        let runs = |container: Value| CommandLine::of(&container).runs(&["kube-ovn-controller", "start-controller.sh"]);
        assert_eq!(runs(json!({ "command": ["bash", "/kube-ovn/start-controller.sh"] })), Runs::Directly);
        assert_eq!(runs(json!({ "args": ["/kube-ovn/start-controller.sh", "--a"] })), Runs::Directly);
        assert_eq!(runs(json!({ "args": ["kube-ovn-controller"] })), Runs::Directly);
        assert_eq!(
            runs(json!({ "command": ["sh", "-c", "exec /kube-ovn/kube-ovn-controller --a"] })),
            Runs::FromShellText
        );
        assert_eq!(runs(json!({ "command": ["/kube-ovn/kube-ovn-controller-healthcheck"] })), Runs::No);
        assert_eq!(runs(json!({ "command": ["x", "--of", "kube-ovn-controller"] })), Runs::No);
    }

    #[test]
    fn tells_which_list_holds_the_flags() {
        let list = |container: Value| CommandLine::of(&container).flags_in(&["enable-np", "enable-lb"]).0;
        assert_eq!(list(json!({ "command": ["x"], "args": ["--enable-np"] })), "args");
        assert_eq!(list(json!({ "args": ["x", "--enable-np"] })), "args");
        assert_eq!(list(json!({ "command": ["x", "--enable-np=false"], "args": ["--other"] })), "command");
        assert_eq!(list(json!({ "command": ["x", "--other"] })), "command");
        assert_eq!(list(json!({ "command": ["x"] })), "command");
        assert_eq!(list(json!({ "args": ["x"] })), "args");
    }
}
