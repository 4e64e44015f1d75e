//! What task pods answer, and facts made of it.
//!
//! An answer that is not whole is no answer: a file that is not in it would be taken for one that is not on the node.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ovncilium_core::facts::conflists::{ConfDir, ConfFile, is_loaded};
use ovncilium_core::facts::node_os::Os;
use serde_json::Value;

use super::drops::Drop;

/// Bytes an answer may have; the scripts cut there, below the kubelet's 4096.
const LIMIT: usize = 4000;

/// One line of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// `uname -r`.
    Kernel(String),
    /// A network device.
    Device(String),
    /// A file of the CNI directory.
    File {
        /// 64 hexadecimal digits.
        sha256: String,
        /// Its name.
        name: String,
    },
    /// Bytes of a file.
    Content {
        /// Its name.
        name: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// The file was renamed.
    Retired(String),
    /// The file was not there.
    Absent(String),
    /// Nothing was done, and why.
    Refused(String),
    /// A check of the canary.
    Check {
        /// `service`, `dns` or `pod`.
        what: String,
        /// Whether it worked.
        ok: bool,
        /// Why not.
        why: String,
    },
    /// How many kinds of connections Cilium would drop.
    Audited(usize),
    /// One of them.
    Drop(Drop),
    /// How many endpoints of pods the agent has.
    Endpoints(usize),
    /// One that does not enforce yet: pod, state, policy.
    Pending(String),
    /// How many directions of policies OVN was asked for.
    Policies(usize),
    /// One that OVN has no rules for: policy, direction.
    Lacking(String),
    /// A chassis that has not taken over what OVN's database holds.
    Behind(String),
    /// Cilium's programs are gone.
    Cleaned,
    /// A table of the firewall that the image's iptables cannot read.
    Unread(String),
    /// How many Services were asked.
    Asked(usize),
    /// One that did not answer.
    Silent(String),
    /// Whether an agent replaces kube-proxy, in its own word.
    Mode(String),
    /// How many Services an agent was held against.
    Frontends(usize),
    /// How many Services kube-proxy's rules were held against.
    Rules(usize),
    /// How many services of IPVS are on the node.
    Foreign(usize),
    /// kube-proxy listens on its port for metrics.
    Listens,
    /// Whether kube-proxy says that it has written its rules since it was started.
    Synced(bool),
    /// How many of kube-proxy's chains are left.
    Left(usize),
    /// What of others a cleanup has changed.
    Changed(String),
    /// The answer was too long and ends here.
    Cut,
}

/// A line that is none of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the answer is not understood: `{text}`")]
pub struct AnswerError {
    /// Its number, from 1.
    pub line: usize,
    /// Its beginning.
    pub text: String,
}

impl Answer {
    /// The lines of an answer. One that was cut ends in [`Answer::Cut`] instead of its last line.
    ///
    /// # Errors
    /// [`AnswerError`] at the first line that is not understood.
    pub fn parse(text: &str) -> Result<Vec<Self>, AnswerError> {
        let mut lines: Vec<&str> = text.lines().collect();
        let is_cut = text.len() >= LIMIT;
        if is_cut {
            lines.pop();
        }
        let mut answers = Vec::with_capacity(lines.len() + 1);
        for (index, line) in lines.into_iter().enumerate().filter(|(_, line)| !line.is_empty()) {
            let error = || AnswerError { line: index + 1, text: line.chars().take(80).collect() };
            answers.push(Self::line(line).ok_or_else(error)?);
        }
        if is_cut {
            answers.push(Self::Cut);
        }
        Ok(answers)
    }

    fn line(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let named = || Some(rest.to_owned()).filter(|rest| !rest.is_empty());
        Some(match word {
            "kernel" => Self::Kernel(named()?),
            "device" => Self::Device(named()?),
            "file" => {
                let (sha256, name) = rest.split_once(' ')?;
                let is_digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
                Some(()).filter(|()| is_digest && !name.is_empty())?;
                Self::File { sha256: sha256.to_owned(), name: name.to_owned() }
            }
            "content" => {
                // Names may have blanks, base64 has none.
                let (name, bytes) = rest.rsplit_once(' ')?;
                Self::Content { name: name.to_owned(), bytes: STANDARD.decode(bytes).ok()? }
            }
            "retired" => Self::Retired(named()?),
            "absent" => Self::Absent(named()?),
            "refused" => Self::Refused(named()?),
            "check" => {
                let mut words = rest.splitn(3, ' ');
                let what = words.next().filter(|what| !what.is_empty())?.to_owned();
                let ok = match words.next()? {
                    "ok" => true,
                    "failed" => false,
                    _ => return None,
                };
                Self::Check { what, ok, why: words.next().unwrap_or_default().to_owned() }
            }
            "audited" => Self::Audited(rest.parse().ok()?),
            "drop" => Self::Drop(Drop::parse(rest)?),
            "endpoints" => Self::Endpoints(rest.parse().ok()?),
            "pending" => Self::Pending(named()?),
            "policies" => Self::Policies(rest.parse().ok()?),
            "lacking" => Self::Lacking(named()?),
            "behind" => Self::Behind(named()?),
            "unread" => Self::Unread(named()?),
            "asked" => Self::Asked(rest.parse().ok()?),
            "silent" => Self::Silent(named()?),
            "mode" => Self::Mode(named()?),
            "frontends" => Self::Frontends(rest.parse().ok()?),
            "rules" => Self::Rules(rest.parse().ok()?),
            "foreign" => Self::Foreign(rest.parse().ok()?),
            "listens" if rest.is_empty() => Self::Listens,
            "synced" if matches!(rest, "yes" | "no") => Self::Synced(rest == "yes"),
            "left" => Self::Left(rest.parse().ok()?),
            "changed" => Self::Changed(named()?),
            "cleaned" if rest.is_empty() => Self::Cleaned,
            _ => return None,
        })
    }
}

/// What a task pod answered: `None` while it works, else its whole answer, or why there is none.
///
/// A canary whose checks failed ends with an error and has answered all the same.
pub fn read_answer(pod: &Value) -> Option<Result<Vec<Answer>, String>> {
    let text =
        |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(ended) = pod.pointer("/status/containerStatuses/0/state/terminated") else {
        if text(pod, "/status/phase") != "Failed" {
            return None;
        }
        // One that was to run before it has failed.
        let first = pod.pointer("/status/initContainerStatuses").and_then(Value::as_array).into_iter().flatten();
        let ended = first.filter_map(|one| Some((text(one, "/name"), one.pointer("/state/terminated")?)));
        let failed = ended.filter(|(_, ended)| ended.get("exitCode").and_then(Value::as_i64) != Some(0));
        if let Some((name, ended)) = failed.into_iter().next() {
            let message = text(ended, "/message");
            return Some(Err(reasons(&format!("container {name} failed"), &text(ended, "/reason"), message.trim())));
        }
        // Refused by the kubelet or past its deadline: there is no container to ask.
        return Some(Err(reasons("the pod failed", &text(pod, "/status/reason"), &text(pod, "/status/message"))));
    };
    let message = text(ended, "/message");
    let code = ended.get("exitCode").and_then(Value::as_i64).unwrap_or(-1);
    let lines = Answer::parse(&message);
    if code != 0 {
        return Some(match lines {
            Ok(lines) if lines.iter().any(|line| matches!(line, Answer::Check { .. })) => Ok(lines),
            _ => Err(reasons(
                &format!("the script ended with exit code {code}"),
                &text(ended, "/reason"),
                message.trim(),
            )),
        });
    }
    Some(lines.map_err(|error| error.to_string()).and_then(whole))
}

fn reasons(what: &str, reason: &str, message: &str) -> String {
    let parts: Vec<&str> = [what, reason, message].into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(": ")
}

/// The answer, if nothing is missing in it.
fn whole(lines: Vec<Answer>) -> Result<Vec<Answer>, String> {
    if lines.is_empty() {
        return Err("the pod ended without an answer".to_owned());
    }
    if lines.contains(&Answer::Cut) {
        return Err(format!("there is more to tell than an answer of {LIMIT} bytes holds"));
    }
    let told = |wanted: &str| lines.iter().any(|line| matches!(line, Answer::Content { name, .. } if name == wanted));
    let untold = lines.iter().find_map(|line| match line {
        Answer::File { name, .. } if is_loaded(name) && !told(name) => Some(name),
        _ => None,
    });
    match untold {
        Some(name) => Err(format!("its CNI file {name} is too big to be told")),
        None => Ok(lines),
    }
}

/// The CNI directory that a probe saw. `dir` is its path on the host.
pub fn conf_dir(node: &str, dir: &str, answer: &[Answer]) -> ConfDir {
    let content = |wanted: &str| {
        answer.iter().find_map(|line| match line {
            Answer::Content { name, bytes } if name == wanted && is_loaded(name) => Some(bytes.as_slice()),
            _ => None,
        })
    };
    let mut files: Vec<ConfFile> = answer
        .iter()
        .filter_map(|line| match line {
            Answer::File { sha256, name } => {
                Some(ConfFile::read(name, &format!("sha256:{sha256}"), content(name).unwrap_or_default()))
            }
            _ => None,
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    ConfDir { node: node.to_owned(), dir: dir.to_owned(), files }
}

/// Kernel and devices that a probe saw.
pub fn node_os(node: &str, answer: &[Answer]) -> Os {
    let mut os = Os { node: node.to_owned(), ..Os::default() };
    for line in answer {
        match line {
            Answer::Kernel(kernel) => os.kernel.clone_from(kernel),
            Answer::Device(device) => os.devices.push(device.clone()),
            _ => {}
        }
    }
    os
}

/// The line that says what became of the file, if it is there.
pub fn retired(answer: &[Answer]) -> Option<&Answer> {
    answer.iter().find(|line| matches!(line, Answer::Retired(_) | Answer::Absent(_) | Answer::Refused(_)))
}

/// Which checks failed, in words.
pub fn failed_checks(answer: &[Answer]) -> String {
    let failed: Vec<String> = answer
        .iter()
        .filter_map(|line| match line {
            Answer::Check { what, ok: false, why } if why.is_empty() => Some(what.clone()),
            Answer::Check { what, ok: false, why } => Some(format!("{what} ({why})")),
            _ => None,
        })
        .collect();
    if failed.is_empty() { "no check failed".to_owned() } else { format!("no connection: {}", failed.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SHA: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn ended(code: i32, message: &str) -> Option<Result<Vec<Answer>, String>> {
        let state = json!({ "terminated": { "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" }, "message": message } });
        read_answer(&json!({ "status": { "phase": "Succeeded", "containerStatuses": [{ "state": state }] } }))
    }

    #[test]
    fn reads_every_line_of_the_table() {
        let text = format!(
            "kernel 6.1.0\ndevice ovn0\nfile {SHA} 01 a.conflist\ncontent 01 a.conflist YWJj\nretired a\nabsent b\n\
             refused a is the only one\ncheck dns ok\ncheck pod failed timed out\ncleaned\n\
             audited 1\ndrop 4 INGRESS 172.30.0.21 world 10.16.0.5:8080\n\
             endpoints 3\npending shop/db-0 regenerating audit-both\npolicies 2\nlacking shop/db to-lport\nbehind c-1\nunread iptables-nft nat\n\
             asked 3\nsilent 10.96.0.9:80/tcp\nmode True\nfrontends 4\nrules 5\nforeign 1\nlistens\nsynced yes\nleft 2\nchanged gone iptables-nft *nat :X"
        );
        let named = |name: &str| name.to_owned();
        assert_eq!(
            Answer::parse(&text).unwrap(),
            [
                Answer::Kernel(named("6.1.0")),
                Answer::Device(named("ovn0")),
                Answer::File { sha256: named(SHA), name: named("01 a.conflist") },
                Answer::Content { name: named("01 a.conflist"), bytes: b"abc".to_vec() },
                Answer::Retired(named("a")),
                Answer::Absent(named("b")),
                Answer::Refused(named("a is the only one")),
                Answer::Check { what: named("dns"), ok: true, why: String::new() },
                Answer::Check { what: named("pod"), ok: false, why: named("timed out") },
                Answer::Cleaned,
                Answer::Audited(1),
                Answer::Drop(Drop {
                    count: 4,
                    direction: named("INGRESS"),
                    source: named("172.30.0.21"),
                    identity: named("world"),
                    destination: named("10.16.0.5:8080"),
                }),
                Answer::Endpoints(3),
                Answer::Pending(named("shop/db-0 regenerating audit-both")),
                Answer::Policies(2),
                Answer::Lacking(named("shop/db to-lport")),
                Answer::Behind(named("c-1")),
                Answer::Unread(named("iptables-nft nat")),
                Answer::Asked(3),
                Answer::Silent(named("10.96.0.9:80/tcp")),
                Answer::Mode(named("True")),
                Answer::Frontends(4),
                Answer::Rules(5),
                Answer::Foreign(1),
                Answer::Listens,
                Answer::Synced(true),
                Answer::Left(2),
                Answer::Changed(named("gone iptables-nft *nat :X")),
            ]
        );
        let error = Answer::parse("kernel 6.1\nfile 12 x\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 of the answer is not understood: `file 12 x`");
    }

    #[test]
    fn an_answer_that_was_cut_is_no_answer() {
        let mut text = String::from("kernel 6.1.0\n");
        while text.len() < LIMIT {
            text.push_str(&format!("file {SHA} some-name\n"));
        }
        text.truncate(LIMIT);
        let lines = Answer::parse(&text).unwrap();
        assert_eq!(lines.last(), Some(&Answer::Cut));
        let why = ended(0, &text).unwrap().unwrap_err();
        assert!(why.contains("more to tell than an answer of 4000 bytes"), "{why}");
    }

    #[test]
    fn content_that_matters_must_be_told() {
        let why = ended(0, &format!("file {SHA} 01-x.conflist\n")).unwrap().unwrap_err();
        assert_eq!(why, "its CNI file 01-x.conflist is too big to be told");
        assert!(ended(0, &format!("file {SHA} 01-x.conflist.cilium_bak\n")).unwrap().is_ok());
    }

    #[test]
    fn says_why_there_is_no_answer() {
        assert_eq!(read_answer(&json!({ "status": { "phase": "Running" } })), None);
        assert_eq!(read_answer(&json!({})), None);
        let refused = json!({ "status": { "phase": "Failed", "reason": "OutOfpods", "message": "Node has no room" } });
        assert_eq!(read_answer(&refused), Some(Err("the pod failed: OutOfpods: Node has no room".to_owned())));
        let why = ended(2, "sh: bad\n").unwrap().unwrap_err();
        assert_eq!(why, "the script ended with exit code 2: Error: sh: bad");
        assert_eq!(ended(0, "").unwrap().unwrap_err(), "the pod ended without an answer");
        assert!(ended(0, "what?").unwrap().unwrap_err().contains("not understood"));
    }

    #[test]
    fn a_container_that_was_to_run_first_tells_why_it_failed() {
        let ended =
            json!({ "exitCode": 1, "reason": "Error", "message": "encountered an error while tearing down rules\n" });
        let first = json!([
            { "name": "before", "state": { "terminated": { "exitCode": 0 } } },
            { "name": "cleanup", "state": { "terminated": ended } },
        ]);
        let waits = json!([{ "state": { "waiting": { "reason": "PodInitializing" } } }]);
        let pod =
            json!({ "status": { "phase": "Failed", "initContainerStatuses": first, "containerStatuses": waits } });
        let why = read_answer(&pod).unwrap().unwrap_err();
        assert_eq!(why, "container cleanup failed: Error: encountered an error while tearing down rules");
    }

    #[test]
    fn a_canary_with_failed_checks_has_answered() {
        let checks = ended(1, "check service ok\ncheck dns failed\n").unwrap().unwrap();
        assert_eq!(failed_checks(&checks), "no connection: dns");
        assert_eq!(failed_checks(&checks[..1]), "no check failed");
    }

    #[test]
    fn makes_facts_of_a_probe() {
        let conflist = STANDARD.encode(br#"{"name":"kube-ovn","plugins":[{"type":"kube-ovn"}]}"#);
        let text = format!(
            "kernel 6.1.0\ndevice ovn0\nfile {SHA} 10-b.conf.cilium_bak\nfile {SHA} 01-a.conflist\ncontent 01-a.conflist {conflist}\n"
        );
        let answer = Answer::parse(&text).unwrap();
        let dir = conf_dir("worker-1", "/etc/cni/net.d", &answer);
        let names: Vec<&str> = dir.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!((names, dir.node.as_str()), (vec!["01-a.conflist", "10-b.conf.cilium_bak"], "worker-1"));
        let first = dir.effective().unwrap();
        assert_eq!((first.network.as_str(), first.sha256.clone()), ("kube-ovn", format!("sha256:{SHA}")));
        let os = node_os("worker-1", &answer);
        assert_eq!((os.kernel.as_str(), os.devices), ("6.1.0", vec!["ovn0".to_owned()]));
    }
}
