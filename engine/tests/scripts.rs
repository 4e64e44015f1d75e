//! The scripts of task pods, run by `sh` on temporary directories.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only test functions")]

use std::path::Path;
use std::process::Command;

use ovncilium_core::Digest;
use ovncilium_core::facts::conflists::ConfDir;
use ovncilium_engine::node_task::{Answer, Drops, Task, conf_dir, retired};
use tempfile::TempDir;

const KUBE_OVN: &str = r#"{"name":"kube-ovn","cniVersion":"0.3.1","plugins":[{"type":"kube-ovn"},{"type":"portmap"}]}"#;

/// A directory with these files.
fn dir(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

/// Exit code and answer of a task's script, run as its pod would.
fn run(task: Task, conf: &Path, env: &[(&str, &str)]) -> (i32, String) {
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("termination-log");
    let status = Command::new("sh")
        .args(["-c", task.script()])
        .envs(env.iter().copied())
        .env("CONF_DIR", conf)
        .env("OUT", &out)
        .env("READY", work.path().join("ready"))
        .env("STAY", "0")
        .status()
        .unwrap();
    (status.code().unwrap(), std::fs::read_to_string(out).unwrap_or_default())
}

fn probed(conf: &Path) -> (String, ConfDir) {
    let (code, text) = run(Task::Probe, conf, &[]);
    assert_eq!(code, 0, "{text}");
    (text.clone(), conf_dir("node", "/etc/cni/net.d", &Answer::parse(&text).unwrap()))
}

#[test]
fn probe_tells_files_networks_and_the_kernel() {
    let conf = dir(&[
        ("01-kube-ovn.conflist", KUBE_OVN),
        ("00-multus.conf.cilium_bak", "{}"),
        (".hidden.conf", r#"{"name":"h","type":"bridge"}"#),
        ("with blank.conf", r#"{"name":"b","type":"host-local"}"#),
        ("README", "hello"),
    ]);
    std::fs::create_dir(conf.path().join("multus.d")).unwrap();
    let (text, dir) = probed(conf.path());
    assert!(text.starts_with("kernel "), "{text}");
    let told: Vec<String> =
        dir.files.iter().map(|f| format!("{}|{}|{}", f.name, f.network, f.plugins.join(","))).collect();
    assert_eq!(
        told,
        [
            ".hidden.conf|h|bridge",
            "00-multus.conf.cilium_bak||",
            "01-kube-ovn.conflist|kube-ovn|kube-ovn,portmap",
            "README||",
            "with blank.conf|b|host-local",
        ]
    );
    let file = &dir.files[2];
    assert_eq!(file.sha256, Digest::of(KUBE_OVN).to_string());
}

#[test]
fn probe_of_an_empty_directory_tells_no_files_and_of_none_fails() {
    let conf = dir(&[]);
    assert_eq!(probed(conf.path()).1.files, []);
    let (code, text) = run(Task::Probe, &conf.path().join("nowhere"), &[]);
    assert_eq!(code, 1);
    assert!(text.ends_with("is no directory\n"), "{text}");
}

#[test]
fn probe_names_every_file_before_it_runs_out_of_room() {
    let big = format!(r#"{{"name":"big","type":"x","pad":"{}"}}"#, "p".repeat(1500));
    let files: Vec<(String, &str)> = (0..5).map(|n| (format!("{n}0-big.conflist"), big.as_str())).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, content)| (name.as_str(), *content)).collect();
    let conf = dir(&files);
    let (code, text) = run(Task::Probe, conf.path(), &[]);
    assert_eq!((code, text.len()), (0, 4000));
    let answer = Answer::parse(&text).unwrap();
    assert_eq!(answer.iter().filter(|line| matches!(line, Answer::File { .. })).count(), 5);
    assert_eq!(answer.last(), Some(&Answer::Cut));
}

fn retire(conf: &Path, file: &str, content: &str) -> Answer {
    let digest = Digest::of(content).hex();
    let (code, text) = run(Task::Retire, conf, &[("FILE", file), ("SHA256", &digest)]);
    assert_eq!(code, 0, "{text}");
    retired(&Answer::parse(&text).unwrap()).unwrap().clone()
}

#[test]
fn retire_renames_the_file_that_was_seen_and_only_that() {
    let conf = dir(&[("01-cilium.conflist", "chained"), ("01-kube-ovn.conflist", KUBE_OVN)]);
    let name = || "01-cilium.conflist".to_owned();
    let digest = Digest::of("chained").hex();
    let refused = retire(conf.path(), "01-cilium.conflist", "another");
    assert_eq!(
        refused,
        Answer::Refused(format!("01-cilium.conflist has sha256 {digest}, not {}", Digest::of("another").hex()))
    );
    assert!(conf.path().join("01-cilium.conflist").exists());
    assert_eq!(retire(conf.path(), "01-cilium.conflist", "chained"), Answer::Retired(name()));
    assert_eq!(std::fs::read_to_string(conf.path().join("01-cilium.conflist.ovncilium-retired")).unwrap(), "chained");
    assert_eq!(probed(conf.path()).1.effective().unwrap().name, "01-kube-ovn.conflist");
    // Once more: the goal is met.
    assert_eq!(retire(conf.path(), "01-cilium.conflist", "chained"), Answer::Absent(name()));
    assert_eq!(std::fs::read_to_string(conf.path().join("01-kube-ovn.conflist")).unwrap(), KUBE_OVN);
}

#[test]
fn retire_never_leaves_a_node_without_configuration() {
    let conf = dir(&[("01-cilium.conflist", "chained"), ("01-kube-ovn.conflist.cilium_bak", KUBE_OVN), ("README", "")]);
    let refused = retire(conf.path(), "01-cilium.conflist", "chained");
    assert_eq!(refused, Answer::Refused("01-cilium.conflist is the only configuration of this node".to_owned()));
    assert!(conf.path().join("01-cilium.conflist").exists());
}

#[test]
fn names_with_backslashes_are_told_as_they_are() {
    let name = r"a\nb\cd.conflist";
    let conf = dir(&[(name, "chained"), ("01-kube-ovn.conflist", KUBE_OVN)]);
    let told: Vec<String> = probed(conf.path()).1.files.into_iter().map(|file| file.name).collect();
    assert_eq!(told, ["01-kube-ovn.conflist", name]);
    assert_eq!(retire(conf.path(), name, "chained"), Answer::Retired(name.to_owned()));
    assert!(conf.path().join(format!("{name}.ovncilium-retired")).exists());
}

#[test]
fn probe_of_a_name_with_a_line_break_tells_so_instead_of_an_answer() {
    let conf = dir(&[("a\nfile b.conf", "{}"), ("01-kube-ovn.conflist", KUBE_OVN)]);
    let (code, text) = run(Task::Probe, conf.path(), &[]);
    assert_eq!(code, 1);
    assert_eq!(text, "a file has a line break in its name, which no answer can tell: a?file b.conf\n");
}

#[test]
fn a_file_whose_digest_cannot_be_made_is_an_error_and_no_other_content() {
    let conf = dir(&[("01-cilium.conflist", "chained"), ("01-kube-ovn.conflist", KUBE_OVN)]);
    let tools = dir(&[("sha256sum", "#!/bin/sh\nkill -KILL $$\n")]);
    let tool = tools.path().join("sha256sum");
    std::fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let env = [("PATH", path.as_str()), ("FILE", "01-cilium.conflist"), ("SHA256", "x")];
    let wanted = (1, "01-cilium.conflist cannot be read\n".to_owned());
    assert_eq!(run(Task::Retire, conf.path(), &env), wanted);
    assert_eq!(run(Task::Probe, conf.path(), &env), wanted);
    assert!(conf.path().join("01-cilium.conflist").exists());
}

#[test]
fn canary_answers_each_check_and_fails_with_the_first_that_does() {
    let tools = dir(&[("bash", "#!/bin/sh\ncase \"$2\" in *bad*) exit 1 ;; esac\n"), ("getent", "#!/bin/sh\n")]);
    for tool in ["bash", "getent"] {
        let mut mode = std::fs::metadata(tools.path().join(tool)).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
        std::fs::set_permissions(tools.path().join(tool), mode).unwrap();
    }
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let env = |peer: &'static str| {
        [
            ("PATH", path.clone()),
            ("PEER", peer.to_owned()),
            ("KUBERNETES_SERVICE_HOST", "10.96.0.1".to_owned()),
            ("KUBERNETES_SERVICE_PORT", "443".to_owned()),
        ]
    };
    let told = |peer| {
        let env = env(peer);
        let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        run(Task::Canary, tools.path(), &env)
    };
    assert_eq!(told("10.0.0.1/53"), (0, "check service ok\ncheck dns ok\ncheck pod ok\n".to_owned()));
    let (code, text) = told("bad/53");
    assert_eq!(code, 1);
    assert!(
        Answer::parse(&text)
            .unwrap()
            .iter()
            .any(|line| matches!(line, Answer::Check { what, ok: false, .. } if what == "pod"))
    );
}

#[test]
fn cleanup_runs_the_tool_of_the_image_and_removes_what_was_retired() {
    let conf = dir(&[
        ("01-cilium.conflist.ovncilium-retired", "x"),
        ("05-cilium.conflist.ovncilium-retired", "x"),
        ("01-kube-ovn.conflist", KUBE_OVN),
    ]);
    let tools = dir(&[]);
    let tool = |script: &str| {
        let file = tools.path().join("cilium-dbg");
        std::fs::write(&file, script).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    let env = [("PATH", path.as_str()), ("FILE", "01-cilium.conflist")];
    tool("#!/bin/sh\necho 'Agent should not be running when cleaning up'\nexit 1\n");
    let (code, text) = run(Task::Cleanup, conf.path(), &env);
    assert_eq!((code, text.as_str()), (1, "Agent should not be running when cleaning up\n"));
    assert!(conf.path().join("01-cilium.conflist.ovncilium-retired").exists());
    tool("#!/bin/sh\n[ \"$*\" = 'post-uninstall-cleanup --all-state -f' ]\n");
    let (code, text) = run(Task::Cleanup, conf.path(), &env);
    assert_eq!((code, Answer::parse(&text)), (0, Ok(vec![Answer::Cleaned])));
    assert!(!conf.path().join("01-cilium.conflist.ovncilium-retired").exists());
    assert!(conf.path().join("05-cilium.conflist.ovncilium-retired").exists(), "nobody has named it");
    let found = [env.as_slice(), &[("FOUND", "05-cilium.conflist")]].concat();
    assert_eq!(run(Task::Cleanup, conf.path(), &found).0, 0);
    assert!(!conf.path().join("05-cilium.conflist.ovncilium-retired").exists());
    assert!(conf.path().join("01-kube-ovn.conflist").exists());
}

/// What `hubble observe -o compact` (hubble 1.18.2) prints of audited flows; its last line is no flow.
const AUDITED: &str = "\
Nov 25 05:00:00.100: 172.30.0.21:40000 (world) -> 10.16.0.5:8080 (ID:1234) policy-verdict:none INGRESS AUDITED (TCP Flags: SYN)
Nov  5 05:00:01.100: 172.30.0.21:40001 (world) -> 10.16.0.5:8080 (ID:1234) policy-verdict:none INGRESS AUDITED (TCP Flags: SYN)
Nov 25 05:00:00.100: 10.16.0.9:40000 (ID:7777) <> 10.16.0.5:53 (ID:1234) policy-verdict:none INGRESS AUDITED (UDP)
Nov 25 05:00:00.100: 10.16.0.9:40010 (ID:7777) <> 10.16.0.5:53 (ID:1234) policy-verdict:none INGRESS AUDITED (UDP)
Nov 25 05:00:00.100: 10.16.0.9:40020 (ID:7777) <> 10.16.0.5:53 (ID:1234) policy-verdict:none INGRESS AUDITED (UDP)
Nov 25 05:00:00.100: 10.16.0.9 (ID:7777) <> 10.16.0.5 (ID:1234) policy-verdict:none INGRESS AUDITED (ICMP)
Nov 25 05:00:00.100: [fd00::5]:80 (ID:1234) <- [fd00::9]:40001 (ID:7777) policy-verdict:none EGRESS AUDITED (TCP)
EVENTS LOST: HUBBLE_RING_BUFFER CPU(0) 3
";

/// Run a task with programs of these names that do these things.
fn with_programs(task: Task, programs: &[(&str, &str)], env: &[(&str, &str)]) -> (i32, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = tempfile::tempdir().unwrap();
    for (name, script) in programs {
        let program = bin.path().join(name);
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", bin.path().display(), std::env::var("PATH").unwrap());
    let env: Vec<(&str, &str)> = env.iter().copied().chain([("PATH", path.as_str())]).collect();
    run(task, bin.path(), &env)
}

/// Run `observe.sh` with a `hubble` that does this.
fn observed(hubble: &str) -> (i32, String) {
    with_programs(Task::Observe, &[("hubble", hubble)], &[("WATCH", "1"), ("SINCE", "90")])
}

#[test]
fn observe_counts_what_would_be_dropped_and_tells_reserved_identities_first() {
    let (code, text) = observed(&format!("cat <<'END'\n{AUDITED}END\nexec tail -f /dev/null"));
    assert_eq!(code, 0, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "audited 4",
            "drop 2 INGRESS 172.30.0.21 world 10.16.0.5:8080",
            "drop 3 INGRESS 10.16.0.9 ID:7777 10.16.0.5:53"
        ]
    );
    assert!(lines.contains(&"drop 1 INGRESS 10.16.0.9 ID:7777 10.16.0.5"), "{text}");
    assert!(lines.contains(&"drop 1 EGRESS fd00::9 ID:7777 [fd00::5]:80"), "{text}");
    let drops = Drops::of(&Answer::parse(&text).unwrap()).unwrap();
    assert_eq!((drops.told.len(), drops.untold), (4, 0));
}

#[test]
fn observe_asks_for_the_time_that_it_is_told_and_for_all_that_comes_from_its_node() {
    let mut audited = AUDITED.lines();
    let (node, pod) = (audited.next().unwrap(), audited.nth(1).unwrap());
    let hubble = format!(
        "begin=$(date -u -d '90 seconds ago' +%Y-%m-%dT%H:%M)\n\
         case \"$*\" in\n\
         *\" --last 4095 --until $begin:\"??'Z --from-ip 172.30.0.21 --from-ip 100.64.0.3') echo '{node}';;\n\
         *\" --since $begin:\"??'Z --follow') echo '{pod}'; exec tail -f /dev/null;;\n\
         *) echo \"$*\" >&2; exit 1;;\n\
         esac"
    );
    let ask = |env: &[(&str, &str)]| with_programs(Task::Observe, &[("hubble", &hubble)], env);
    let of_both = [("WATCH", "1"), ("SINCE", "90"), ("NODE", "172.30.0.21 100.64.0.3")];
    let told =
        "audited 2\ndrop 1 INGRESS 172.30.0.21 world 10.16.0.5:8080\ndrop 1 INGRESS 10.16.0.9 ID:7777 10.16.0.5:53\n";
    // The minute may have changed in between.
    assert!((0..3).any(|_| ask(&of_both) == (0, told.to_owned())), "{:?}", ask(&of_both));
    let of_time = [("WATCH", "1"), ("SINCE", "90"), ("NODE", "")];
    assert!((0..3).any(|_| ask(&of_time).1.starts_with("audited 1\ndrop 1 INGRESS 10.16.0.9 ")), "{:?}", ask(&of_time));
    let of_neither = ask(&[("WATCH", "1"), ("NODE", "172.30.0.21")]);
    assert!(of_neither.0 != 0 && !of_neither.1.contains("audited"), "{of_neither:?}");
    let fails = ask(&[("WATCH", "1"), ("SINCE", "90"), ("NODE", "172.30.0.9")]);
    assert!(fails.0 == 1 && fails.1.starts_with("hubble ended with 1: observe --server"), "{fails:?}");
}

#[test]
fn observe_that_could_not_ask_is_no_answer() {
    let (code, text) = observed("echo 'rpc error: code = Unavailable' >&2; exit 1");
    assert_eq!((code, text.as_str()), (1, "hubble ended with 1: rpc error: code = Unavailable\n"));
    assert_eq!(observed("exit 127").0, 1);
    assert_eq!(observed("exit 0").0, 1, "it ended before its time");
    assert_eq!(observed("exec tail -f /dev/null"), (0, "audited 0\n".to_owned()), "nothing was seen");
    let warning = "echo 'level=WARN msg=\"Hubble CLI version is lower than Hubble Server\"' >&2";
    assert_eq!(
        observed(&format!("{warning}; exec tail -f /dev/null")),
        (0, "audited 0\n".to_owned()),
        "a warning is no flow"
    );
    let (code, text) = observed("echo 'Nov 25 05:00:00.100 [n1]: a -> b AUDITED'; exec tail -f /dev/null");
    assert_eq!(code, 1);
    assert!(text.starts_with("hubble wrote what is not understood: Nov 25"), "{text}");
    let (code, text) = observed(&format!("sed -n 1p <<'END'\n{AUDITED}END\nexec tail -f /dev/null"));
    assert_eq!((code, text.lines().next()), (0, Some("audited 1")), "it follows until its time is over");
}

#[test]
fn observe_keeps_its_answer_below_the_limit_and_says_how_much_is_left() {
    let many = (0..300).map(|n| {
        format!("Nov 25 05:00:00.100: 192.168.{}.{}:40000 (ID:1677721{n}) -> 10.16.200.5:65535 (ID:16777216) policy-verdict:none INGRESS AUDITED (TCP Flags: SYN)\n", n / 200, n % 200)
    });
    let (code, text) = observed(&format!("cat <<'END'\n{}END\nexec tail -f /dev/null", many.collect::<String>()));
    assert_eq!(code, 0);
    assert!(text.len() < 4000, "{} bytes", text.len());
    let drops = Drops::of(&Answer::parse(&text).unwrap()).unwrap();
    assert_eq!((drops.told.len() + drops.untold, drops.may_hide_nodes()), (300, false));
}

/// Run `endpoints.sh` with a `cilium-dbg` that prints this.
fn endpoints(list: &str, watch: &str) -> (i32, String) {
    with_programs(Task::Endpoints, &[("cilium-dbg", &format!("cat <<'END'\n{list}\nEND"))], &[("WATCH", watch)])
}

#[test]
fn endpoints_are_told_unless_they_enforce() {
    let host = "/ ready none\n/ ready \n";
    let settled =
        format!("{host}shop/db-0 ready both\nshop/web-1 ready none\nshop/x ready ingress\nshop/y ready egress");
    assert_eq!(endpoints(&settled, "0"), (0, "endpoints 4\n".to_owned()));
    assert_eq!(endpoints(host, "0"), (0, "endpoints 0\n".to_owned()));
    let busy =
        "shop/db-0 regenerating both\nshop/db-1 ready audit-ingress\nshop/db-2 restoring \nshop/web-1 ready both";
    let told = "endpoints 4\npending shop/db-0 regenerating both\npending shop/db-1 ready audit-ingress\npending shop/db-2 restoring \n";
    assert_eq!(endpoints(busy, "0"), (0, told.to_owned()));
    assert_eq!(Answer::parse(told).unwrap().len(), 4);
}

#[test]
fn endpoints_are_waited_for() {
    let work = tempfile::tempdir().unwrap();
    let seen = work.path().join("seen");
    let script = format!(
        "[ -e {0} ] && echo 'shop/db-0 ready both' && exit; : >{0}; echo 'shop/db-0 regenerating both'",
        seen.display()
    );
    let told = with_programs(Task::Endpoints, &[("cilium-dbg", &script)], &[("WATCH", "20")]);
    assert_eq!(told, (0, "endpoints 1\n".to_owned()));
}

#[test]
fn an_endpoint_that_was_ready_once_is_not_waited_for_again() {
    let work = tempfile::tempdir().unwrap();
    let seen = work.path().join("seen");
    let script = format!(
        "if [ -e {0} ]; then echo 'shop/a regenerating both'; echo 'shop/b ready both'; exit; fi; : >{0}; \
         echo 'shop/a ready both'; echo 'shop/b regenerating both'",
        seen.display()
    );
    let told = with_programs(Task::Endpoints, &[("cilium-dbg", &script)], &[("WATCH", "20")]);
    assert_eq!(told, (0, "endpoints 2\n".to_owned()));
}

#[test]
fn an_agent_that_cannot_be_asked_enforces_nothing() {
    let told = with_programs(
        Task::Endpoints,
        &[("cilium-dbg", "echo 'cannot get endpoint list: EOF' >&2; exit 1")],
        &[("WATCH", "0")],
    );
    assert_eq!(told, (1, "cilium-dbg ended with 1: cannot get endpoint list: EOF\n".to_owned()));
}

/// What OVN's programs print (25.03) for two policies of which the second has one direction, and what they say beside it.
const OVN: [(&str, &str); 2] = [
    (
        "ovn-nbctl",
        r#"echo 'reconnect: connected' >&2
case "$*" in
  '--db=tcp:[10.0.0.1]:6641 '*'list ACL') printf '%s\n' a1,to-lport a2,to-lport b1,from-lport other,to-lport ;;
  *'list Port_Group') printf '%s\n' 'np=shop/d-b,a1 a2 b1' 'np=shop/web k=v,other' 'np=shop/9,a1' 'ovn.sg=x,' ,other ;;
  *'--wait=sb sync') ;;
  *'get NB_Global . nb_cfg') echo 7 ;;
  *) echo "unexpected: $*" >&2; exit 9 ;;
esac"#,
    ),
    (
        "ovn-sbctl",
        r#"case "$*" in
  '--db=tcp:[10.0.0.1]:6642 '*'list Chassis_Private') printf '%s\n' c-1,7 c-2,6 c-3,8 ;;
  *) echo "unexpected: $*" >&2; exit 9 ;;
esac"#,
    ),
];

fn policies(wanted: &[&str], chassis: &str) -> (i32, String) {
    let lists: Vec<String> = (0..wanted.len()).map(|index| format!("WANTED_{index}")).collect();
    let mut env =
        vec![("NB", "tcp:[10.0.0.1]:6641"), ("SB", "tcp:[10.0.0.1]:6642"), ("WATCH", "0"), ("CHASSIS_0", chassis)];
    env.extend(lists.iter().map(String::as_str).zip(wanted.iter().copied()));
    with_programs(Task::Policies, &OVN, &env)
}

#[test]
fn policies_without_rules_in_ovn_are_told() {
    let all = ["d.b.shop to-lport,d.b.shop from-lport", "web.shop to-lport,np9.shop to-lport"];
    assert_eq!(policies(&all, "c-1,c-3"), (0, "policies 4\n".to_owned()));
    let told = policies(&["d.b.shop to-lport,web.shop from-lport,new.shop to-lport"], "c-1");
    assert_eq!(told, (0, "policies 3\nlacking web.shop from-lport\nlacking new.shop to-lport\n".to_owned()));
    let answer = Answer::parse(&told.1).unwrap();
    assert_eq!(answer[1], Answer::Lacking("web.shop from-lport".to_owned()));
}

#[test]
fn a_chassis_that_has_not_taken_the_rules_over_or_is_not_known_is_told() {
    let told = policies(&["web.shop to-lport"], "c-1,c-2,c-3,c-4");
    assert_eq!(told, (0, "policies 1\nbehind c-2\nbehind c-4\n".to_owned()));
}

#[test]
fn an_answer_about_many_policies_is_cut_at_a_line() {
    let many: Vec<String> = (0..400).map(|n| format!("a.policy.with.a.long.name.{n}.shop to-lport")).collect();
    let (code, text) = policies(&[&many.join(",")], "");
    assert!(code == 0 && text.len() < 3900 && text.ends_with("to-lport\n"), "{} bytes", text.len());
    assert!(Answer::parse(&text).unwrap().len() > 50);
}

#[test]
fn a_database_that_cannot_be_asked_has_no_rules() {
    let (code, text) = with_programs(
        Task::Policies,
        &[("ovn-nbctl", "echo 'database connection failed ()' >&2; exit 1"), ("ovn-sbctl", "exit 1")],
        &[("NB", "tcp:[10.0.0.1]:6641"), ("SB", ""), ("WATCH", "0"), ("WANTED_0", "db.shop to-lport")],
    );
    assert_eq!((code, text.as_str()), (1, "ovn-nbctl ended with 1: database connection failed ()\n"));
}

/// What `iptables-save` prints (1.8.11) of a node with rules of kube-proxy, Kube-OVN and Cilium (1.18.2).
const FIREWALL: &str = "\
*raw
:PREROUTING ACCEPT [0:0]
:OLD_CILIUM_PRE_raw - [0:0]
-A PREROUTING -m comment --comment \"cilium-feeder: CILIUM_PRE_raw\" -j OLD_CILIUM_PRE_raw
-A OLD_CILIUM_PRE_raw -m mark --mark 0x200/0xf00 -j CT --notrack
COMMIT
*filter
:INPUT ACCEPT [0:0]
:CILIUM_INPUT - [0:0]
:KUBE-FIREWALL - [0:0]
-A INPUT -m comment --comment \"cilium-feeder: CILIUM_INPUT\" -j CILIUM_INPUT
-A INPUT -j KUBE-FIREWALL
-A CILIUM_INPUT -m mark --mark 0x200/0xf00 -m comment --comment \"cilium: ACCEPT for proxy traffic\" -j ACCEPT
COMMIT
*nat
:OVN-POSTROUTING - [0:0]
-A POSTROUTING -j OVN-POSTROUTING
COMMIT
";

#[test]
fn rules_of_cilium_go_and_those_of_others_stay() {
    let work = tempfile::tempdir().unwrap();
    let at = |name: &str| work.path().join(name).display().to_string();
    let programs = [
        ("iptables-nft-save", format!("[ ! -e {} ] || exit 0; cat <<'END'\n{FIREWALL}END", at("restored"))),
        ("iptables-nft-restore", format!("echo \"$*\" >{0}; cat >>{0}", at("restored"))),
        ("iptables-legacy-save", "exit 1".to_owned()),
        ("ip6tables-legacy-save", ":".to_owned()),
        ("ip6tables-nft-save", "echo \"# Table \\`nat' is incompatible, use 'nft' tool.\"".to_owned()),
        (
            "ip",
            format!(
                r#"case "$*" in
  '-4 rule show') printf '9:\tfrom all fwmark 0x200/0xf00 lookup 2004\n100:\tfrom all lookup local\n32766:\tfrom all lookup main\n' ;;
  '-6 rule show') printf '0:\tfrom all lookup local\n32766:\tfrom all lookup main\n' ;;
  *) echo "$*" >>{} ;;
esac"#,
                at("ip")
            ),
        ),
        (
            "ipset",
            format!(
                "[ \"$*\" = 'list -n' ] && printf 'cilium_node_set_v4\\novn40services\\n' || echo \"$*\" >{}",
                at("ipset")
            ),
        ),
    ];
    let programs: Vec<(&str, &str)> = programs.iter().map(|(name, script)| (*name, script.as_str())).collect();
    let told = (0, "cleaned\nunread ip6tables-nft nat\n".to_owned());
    assert_eq!(with_programs(Task::Rules, &programs, &[]), told);
    let read = |name: &str| std::fs::read_to_string(work.path().join(name)).unwrap();
    assert_eq!(
        read("restored"),
        "-w 15 --noflush\n*raw\n-D PREROUTING -m comment --comment \"cilium-feeder: CILIUM_PRE_raw\" -j OLD_CILIUM_PRE_raw\n\
         -F OLD_CILIUM_PRE_raw\n-X OLD_CILIUM_PRE_raw\nCOMMIT\n\
         *filter\n-D INPUT -m comment --comment \"cilium-feeder: CILIUM_INPUT\" -j CILIUM_INPUT\n\
         -F CILIUM_INPUT\n-X CILIUM_INPUT\nCOMMIT\n"
    );
    assert_eq!(
        read("ip"),
        "-4 rule add from all lookup local pref 0\n-4 rule del from all lookup local pref 100\n\
         -4 route flush table 2004\n-4 rule del fwmark 0x200/0xf00 lookup 2004 pref 9\n"
    );
    assert_eq!(read("ipset"), "destroy cilium_node_set_v4\n");
}

#[test]
fn a_firewall_that_cannot_be_read_is_not_clean() {
    let programs = [("iptables-legacy-save", "exit 1"), ("iptables-nft-save", "exit 1")];
    let (code, text) = with_programs(Task::Rules, &programs, &[]);
    assert_eq!((code, text.as_str()), (1, "neither iptables-legacy-save nor iptables-nft-save works in this image\n"));
}

#[test]
fn a_rule_that_cannot_be_removed_is_told() {
    let save = format!("cat <<'END'\n{FIREWALL}END");
    let programs = [
        ("iptables-legacy-save", ":"),
        ("iptables-nft-save", save.as_str()),
        ("iptables-nft-restore", "echo 'Permission denied (you must be root)' >&2; exit 4"),
    ];
    let (code, text) = with_programs(Task::Rules, &programs, &[]);
    assert_eq!((code, text.as_str()), (1, "iptables-nft-restore: Permission denied (you must be root)\n"));
}
