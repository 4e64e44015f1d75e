//! The scripts that ask Services and look at who serves them, run by `sh` with pretend programs.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only test functions")]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use ovncilium_engine::node_task::{Answer, Task};
use tempfile::TempDir;

/// A directory with programs of these names that do these things.
fn programs(all: &[(&str, &str)]) -> TempDir {
    let bin = tempfile::tempdir().unwrap();
    for (name, script) in all {
        let program = bin.path().join(name);
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

/// Exit code and answer of a task's script.
fn run(task: Task, bin: &TempDir, env: &[(&str, &str)]) -> (i32, String) {
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("termination-log");
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let status = Command::new("sh")
        .args(["-c", task.script()])
        .env("WATCH", "0")
        .env("PAUSE", "0")
        .env("OUT", &out)
        .env("PATH", path)
        .envs(env.iter().copied())
        .status()
        .unwrap();
    (status.code().unwrap(), std::fs::read_to_string(out).unwrap_or_default())
}

/// A whole request of HTTP, to its empty line.
fn head(client: &mut TcpStream) -> String {
    let mut request = String::new();
    let mut byte = [0];
    while !request.ends_with("\r\n\r\n") && client.read(&mut byte).unwrap() == 1 {
        request.push(char::from(byte[0]));
    }
    request
}

#[test]
fn services_that_do_not_answer_are_told() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let dns = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (web, names) = (tcp.local_addr().unwrap(), dns.local_addr().unwrap());
    let (dead_tcp, dead_dns) = {
        let (tcp, dns) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        (tcp.local_addr().unwrap(), dns.local_addr().unwrap())
    };
    let server = std::thread::spawn(move || {
        let mut question = [0; 512];
        let (length, from) = dns.recv_from(&mut question).unwrap();
        dns.send_to(&[question[0], question[1], 0x81, 0x80], from).unwrap();
        question[..length].to_vec()
    });
    let first = format!("{web}/tcp,{names}/dns");
    let second = format!("{dead_tcp}/tcp,{dead_dns}/dns");
    let (code, text) =
        run(Task::Services, &programs(&[]), &[("TARGETS_0", first.as_str()), ("TARGETS_1", second.as_str())]);
    assert_eq!(code, 0, "{text}");
    let mut silent = [format!("silent {dead_tcp}/tcp"), format!("silent {dead_dns}/dns")];
    silent.sort();
    assert_eq!(text, format!("asked 4\n{}\n{}\n", silent[0], silent[1]));
    let question = server.join().unwrap();
    assert!(question.ends_with(b"\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"), "one whole datagram");
    assert_eq!(run(Task::PodServices, &programs(&[]), &[]), (0, "asked 0\n".to_owned()));
}

#[test]
fn a_node_that_tells_load_balancers_to_go_elsewhere_does_not_answer() {
    let says = |status: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                assert_eq!(head(&mut client), "GET /healthz HTTP/1.0\r\n\r\n");
                client.write_all(format!("HTTP/1.0 {status}\r\n\r\n{{}}").as_bytes()).unwrap();
            }
        });
        place
    };
    let (well, empty) = (says("200 OK"), says("503 Service Unavailable"));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let targets = format!("{well}/health,{empty}/health,{closed}/health");
    let (code, text) = run(Task::Services, &programs(&[]), &[("TARGETS_0", targets.as_str())]);
    let mut silent = [format!("silent {empty}/health\n"), format!("silent {closed}/health\n")];
    silent.sort();
    assert_eq!((code, text), (0, format!("asked 3\n{}", silent.concat())));
}

fn agent(mode: &str, services: &str) -> TempDir {
    let script = format!("case $1 in status) printf '{mode}' ;; *) cat <<'END'\n{services}\nEND\n;; esac");
    programs(&[("cilium-dbg", script.as_str())])
}

#[test]
fn an_agent_tells_its_mode_and_what_it_does_not_serve() {
    let wanted =
        [("WANTED_0", "10.96.0.1:443/TCP,10.96.0.10:53/UDP"), ("WANTED_1", "10.96.0.9:80/TCP,10.96.0.8:1/UDP")];
    let serves = "10.96.0.1:443/TCP\n10.96.0.10:53/UDP\n10.96.0.8:1/NONE";
    let told = "mode True\nfrontends 4\nlacking 10.96.0.9:80/TCP\n";
    assert_eq!(run(Task::Replacement, &agent("True", serves), &wanted), (0, told.to_owned()));
    // The other protocol of a port is another frontend.
    let (_, text) = run(Task::Replacement, &agent("True", "10.96.0.10:53/TCP"), &[("WANTED_0", "10.96.0.10:53/UDP")]);
    assert_eq!(text, "mode True\nfrontends 1\nlacking 10.96.0.10:53/UDP\n");
    let (_, text) = run(Task::Replacement, &agent("False", serves), &wanted[..1]);
    assert_eq!(text, "mode False\nfrontends 2\n");
    let dead = programs(&[("cilium-dbg", "echo 'dial unix: connection refused' >&2; exit 1")]);
    let (code, text) = run(Task::Replacement, &dead, &wanted);
    assert_eq!((code, text.as_str()), (1, "cilium-dbg ended with 1: dial unix: connection refused\n"));
}

const RULES: &str = r#"*filter
:INPUT ACCEPT [1:2]
:KUBE-SERVICES - [0:0]
-A INPUT -j KUBE-FIREWALL
-A KUBE-SERVICES -d 10.96.0.8/32 -p tcp -m comment --comment "shop/web has no endpoints" -m tcp --dport 80 -j REJECT
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -j DROP
COMMIT
*nat
:PREROUTING ACCEPT [7:9]
:KUBE-SERVICES - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
:OVN-PREROUTING - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m comment --comment "kube-ovn prerouting rules" -j OVN-PREROUTING
-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m comment --comment "default/kubernetes:https cluster IP" -m tcp --dport 443 -j KUBE-SVC-N
-A OVN-PREROUTING -m set --match-set ovn40services dst -j MARK --set-xmark 0x4000/0x4000
COMMIT
"#;

/// Programs of a node whose rules are those of the file that `$RULES` names.
fn node() -> TempDir {
    let nothing = "exit 1";
    programs(&[
        ("iptables-nft-save", "cat \"$RULES\""),
        ("iptables-legacy-save", nothing),
        ("ip6tables-nft-save", nothing),
        ("ip6tables-legacy-save", nothing),
    ])
}

#[test]
fn kube_proxy_has_a_rule_for_a_service_with_endpoints_and_for_one_without() {
    let files = tempfile::tempdir().unwrap();
    let (rules, ipvs) = (files.path().join("rules"), files.path().join("ip_vs"));
    std::fs::write(&rules, RULES).unwrap();
    let (rules, ipvs_path) = (rules.to_str().unwrap().to_owned(), ipvs.to_str().unwrap().to_owned());
    let env = [
        ("RULES", rules.as_str()),
        ("IPVS", ipvs_path.as_str()),
        ("WANTED_0", "10.96.0.1:443/TCP,10.96.0.8:80/TCP"),
        ("WANTED_1", "10.96.0.1:443/UDP"),
    ];
    assert_eq!(run(Task::Proxy, &node(), &env), (0, "rules 3\nlacking 10.96.0.1:443/UDP\n".to_owned()));
    std::fs::write(&ipvs, "IP Virtual Server version 1.2.1 (size=4096)\nTCP  C0A80A0B:192B rr\n").unwrap();
    let (_, text) = run(Task::Proxy, &node(), &env[..3]);
    assert_eq!(text, "rules 2\nforeign 1\n");
    let (tcp, closed) = (files.path().join("tcp"), files.path().join("closed"));
    let line = |state: &str| {
        format!("  sl  local_address rem_address   st\n   0: 0100007F:2809 00000000:0000 {state} 00000000:00000000\n")
    };
    std::fs::write(&tcp, line("0A")).unwrap();
    std::fs::write(&closed, line("06")).unwrap();
    let port = |file: &std::path::Path, expected: &str| {
        let file = file.to_str().unwrap().to_owned();
        let env = [("RULES", rules.as_str()), ("TCP", file.as_str()), ("TCP6", "/none"), ("EXPECT", expected)];
        run(Task::Proxy, &node(), &env).1
    };
    for expected in ["listens", "silent"] {
        assert_eq!(port(&tcp, expected), "rules 0\nlistens\n");
        assert_eq!(port(&closed, expected), "rules 0\n");
    }
    let without = programs(&[("iptables-nft-save", "exit 1"), ("iptables-legacy-save", "exit 1")]);
    assert_eq!(run(Task::Proxy, &without, &env).0, 1, "nothing was read");
}

/// What `proxy.sh` tells of a kube-proxy whose metrics are these, without its first line.
fn told_by_metrics(metrics: &str, expected: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n{metrics}");
    let server = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let request = head(&mut client);
        client.write_all(answer.as_bytes()).unwrap();
        request
    });
    let files = tempfile::tempdir().unwrap();
    let (rules, tcp) = (files.path().join("rules"), files.path().join("tcp"));
    std::fs::write(&rules, RULES).unwrap();
    std::fs::write(&tcp, format!("   0: 0100007F:{port:04X} 00000000:0000 0A 00000000:00000000\n")).unwrap();
    let port = port.to_string();
    let env = [
        ("RULES", rules.to_str().unwrap()),
        ("TCP", tcp.to_str().unwrap()),
        ("TCP6", "/none"),
        ("PORT", port.as_str()),
        ("EXPECT", expected),
    ];
    let (code, text) = run(Task::Proxy, &node(), &env);
    assert_eq!(code, 0, "{text}");
    assert_eq!(server.join().unwrap(), "GET /metrics HTTP/1.0\r\n\r\n");
    text.strip_prefix("rules 0\n").unwrap().to_owned()
}

#[test]
fn a_kube_proxy_tells_whether_it_has_written_its_rules_since_it_was_started() {
    let name = "kubeproxy_sync_proxy_rules_last_timestamp_seconds";
    let build = "kubernetes_build_info{git_version=\"v1.34.4\"} 1\n";
    let queued = "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds 1.7592264021e+09\n";
    let told = |lines: &str| told_by_metrics(&format!("{build}{queued}{lines}"), "synced");
    // Until 1.33 there is one number, which is 0 at first.
    assert_eq!(told(&format!("# TYPE {name} gauge\n{name} 1.7592264021e+09\n")), "listens\nsynced yes\n");
    assert_eq!(told(&format!("# TYPE {name} gauge\n{name} 0\n")), "listens\nsynced no\n");
    // Then one of each family, which is not there at first.
    let of = |family: &str| format!("{name}{{ip_family=\"{family}\"}} 1.7592264021e+09\n");
    assert_eq!(told(&of("IPv4")), "listens\nsynced yes\n");
    assert_eq!(told(&of("IPv6")), "listens\nsynced no\n");
    assert_eq!(told(""), "listens\nsynced no\n");
    assert_eq!(told_by_metrics("process_open_fds 9\n", "listens"), "listens\n", "it is another program");
}

/// What `unproxy.sh` tells when these rules become those.
fn cleaned(before: &str, after: &str) -> String {
    let work = tempfile::tempdir().unwrap();
    let rules = work.path().join("rules");
    let (node, rules_path, work_path) =
        (node(), rules.to_str().unwrap().to_owned(), work.path().to_str().unwrap().to_owned());
    let env = |stage| [("RULES", rules_path.as_str()), ("WORK", work_path.as_str()), ("STAGE", stage)];
    std::fs::write(&rules, before).unwrap();
    assert_eq!(run(Task::Unproxy, &node, &env("before")), (0, String::new()));
    std::fs::write(&rules, after).unwrap();
    let (code, text) = run(Task::Unproxy, &node, &env("after"));
    assert_eq!(code, 0, "{text}");
    assert!(!Answer::parse(&text).unwrap().is_empty());
    text
}

#[test]
fn what_is_left_of_kube_proxy_and_what_of_others_has_changed_is_told() {
    let keep = |line: &&str| !line.contains("KUBE-SERVICES");
    let clean: String = RULES.lines().filter(keep).map(|line| format!("{line}\n")).collect();
    assert_eq!(cleaned(RULES, &clean), "left 0\n");
    assert_eq!(cleaned(RULES, RULES), "left 2\n");
    let by_kubelet = clean.replace("*nat\n", "*nat\n:KUBE-POSTROUTING - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n");
    assert_eq!(cleaned(RULES, &by_kubelet), "left 0\n");
    // The kernel's own counters, and chains of CNI plugins and of Cilium, are nobody's.
    let others = clean.replace("[7:9]", "[8:9]").replace("COMMIT\n*nat", "-A FORWARD -j CILIUM_FORWARD\nCOMMIT\n*nat");
    assert_eq!(cleaned(RULES, &others), "left 0\n");
    let less: String =
        clean.lines().filter(|line| !line.contains("match-set")).map(|line| format!("{line}\n")).collect();
    let gone = "changed gone iptables-nft *nat -A OVN-PREROUTING -m set --match-set ovn40services dst -j MARK --set-xmark 0x4000/0x4000";
    assert_eq!(cleaned(RULES, &less), format!("left 0\n{gone}\n"));
    let kubelet = clean.replace(":KUBE-KUBELET-CANARY - [0:0]\n", "");
    assert_eq!(cleaned(RULES, &kubelet), "left 0\nchanged gone iptables-nft *nat :KUBE-KUBELET-CANARY\n");
    let more = clean.replace("-A INPUT -j KUBE-FIREWALL\n", "-A INPUT -j KUBE-FIREWALL\n-A INPUT -j DROP\n");
    assert_eq!(cleaned(RULES, &more), "left 0\nchanged new iptables-nft *filter -A INPUT -j DROP\n");
}
