//! kubectl's flags and files, good and bad.

use std::path::{Path, PathBuf};
use std::process::Command;

use ovncilium_cluster::kubeconfig::parse_timeout;
use ovncilium_cluster::{Connection, ConnectionError, KubeCluster};
use ovncilium_core::ExitCode;

const TWO: &str = r#"
apiVersion: v1
kind: Config
current-context: prod
clusters:
- {name: prod, cluster: {server: "https://prod.example:6443"}}
- {name: lab, cluster: {server: "https://lab.example:6443"}}
users:
- {name: admin, user: {token: secret}}
contexts:
- {name: prod, context: {cluster: prod, user: admin, namespace: net}}
- {name: lab, context: {cluster: lab, user: admin}}
"#;

fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a file");
    path
}

fn with(path: &Path) -> Connection {
    Connection { kubeconfig: Some(path.to_owned()), ..Connection::default() }
}

fn refusal(connection: &Connection) -> ConnectionError {
    match connection.open() {
        Ok(access) => panic!("it connects to {}", access.server()),
        Err(error) => {
            println!("{error}\n  hint: {}", error.next_step().line());
            error
        }
    }
}

#[test]
fn follows_the_context_and_lets_flags_win() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = file(dir.path(), "config", TWO);
    let access = with(&path).open().expect("a connection");
    assert_eq!((access.server().as_str(), access.namespace()), ("https://prod.example:6443", "net"));
    assert_eq!(access.context(), Some("prod"));
    let flags = Connection { context: Some("lab".into()), namespace: Some("x".into()), ..with(&path) };
    let access = flags.open().expect("a connection");
    assert_eq!((access.server().as_str(), access.namespace()), ("https://lab.example:6443", "x"));
    let flags = Connection { server: Some("https://other.example".into()), ..with(&path) };
    assert_eq!(flags.open().expect("a connection").server(), "https://other.example");
    assert_eq!(with(&path).contexts(), Ok((vec!["prod".to_owned(), "lab".to_owned()], Some("prod".to_owned()))));
}

#[test]
fn each_bad_kubeconfig_has_its_cause_and_its_next_step() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = file(dir.path(), "config", TWO);
    let wrong = Connection { context: Some("prd".into()), ..with(&path) };
    assert_eq!(refusal(&wrong).to_string(), "there is no context `prd` in the kubeconfig; there is prod, lab");
    let wrong = Connection { user: Some("eve".into()), ..with(&path) };
    assert!(matches!(refusal(&wrong), ConnectionError::UnknownUser { known, .. } if known == ["admin"]));
    let wrong = Connection { cluster: Some("no".into()), ..with(&path) };
    assert!(matches!(refusal(&wrong), ConnectionError::UnknownCluster { known, .. } if known == ["prod", "lab"]));
    let wrong = Connection { server: Some("prod.example".into()), ..with(&path) };
    assert!(matches!(refusal(&wrong), ConnectionError::NoServer { url } if url == "prod.example"));
    assert!(matches!(refusal(&with(&dir.path().join("none"))), ConnectionError::Unreadable { .. }));

    let torn = file(dir.path(), "torn", "apiVersion: v1\nusers:\n- name: a\n  user: {token: verysecret\n");
    let error = refusal(&with(&torn));
    assert!(matches!(error, ConnectionError::Invalid { line: Some(_), .. }), "{error:?}");
    assert!(!error.to_string().contains("verysecret"), "{error}");

    let none = file(dir.path(), "none.yaml", &TWO.replace("current-context: prod", ""));
    assert!(matches!(refusal(&with(&none)), ConnectionError::NoContext { known } if known == ["prod", "lab"]));
    let text = TWO.replace("{server: \"https://prod", "{certificate-authority: gone.crt, server: \"https://prod");
    let error = refusal(&with(&file(dir.path(), "ca", &text)));
    assert_eq!(error.exit_code(), ExitCode::Usage);
    assert!(error.to_string().contains("gone.crt"), "{error}");
}

#[test]
fn a_credential_plugin_that_fails_says_why_but_not_what_it_printed() {
    let dir = tempfile::tempdir().expect("a directory");
    let plugin = "exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, 'echo verysecret; echo please log in >&2; exit 3']}";
    let text = TWO.replace("token: secret", plugin);
    let access = with(&file(dir.path(), "config", &text)).open().expect("a connection");
    let error = KubeCluster::connect(&access).map(|_| ()).expect_err("the plugin fails");
    println!("{error}\n  hint: {}", error.next_step().line());
    assert_eq!(error.to_string(), "the credential plugin `sh` failed: exit status: 3 (please log in)");
    assert_eq!(error.exit_code(), ExitCode::Refused);
}

#[test]
fn reads_lengths_of_time_as_kubectl_does() {
    for (text, seconds) in [("30", 30), ("30s", 30), ("2m", 120), ("1h30m", 5400), ("0", 0), ("0s", 0)] {
        assert_eq!(parse_timeout(text).map(|time| time.as_secs()), Ok(seconds), "{text}");
    }
    for text in ["", "s", "3x", "-1", "1.5s", "99999999999h"] {
        assert!(parse_timeout(text).is_err(), "{text}");
    }
}

/// Runs an ignored test of this file in a process whose environment is set.
fn in_environment(test: &str, environment: &[(&str, &str)]) {
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--ignored", "--exact", "--nocapture", test]);
    for name in ["KUBECONFIG", "HOME", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"]
    {
        command.env_remove(name);
    }
    let output = command.envs(environment.iter().copied()).output().expect("a process");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn merges_the_files_of_the_environment_and_skips_missing_ones() {
    let dir = tempfile::tempdir().expect("a directory");
    let one = file(dir.path(), "one", "apiVersion: v1\nkind: Config\ncurrent-context: lab\n");
    let two = file(dir.path(), "two", TWO);
    let list = std::env::join_paths([dir.path().join("missing"), one, two]).expect("a list");
    in_environment("kubeconfigs::child_first_file_wins", &[("KUBECONFIG", list.to_str().expect("text"))]);
}

#[test]
#[ignore = "run by the test above"]
fn child_first_file_wins() {
    assert_eq!(Connection::default().open().expect("a connection").server(), "https://lab.example:6443");
}

#[test]
fn without_any_kubeconfig_says_where_it_looked() {
    let dir = tempfile::tempdir().expect("a directory");
    in_environment("kubeconfigs::child_nothing_there", &[("HOME", dir.path().to_str().expect("text"))]);
}

#[test]
#[ignore = "run by the test above"]
fn child_nothing_there() {
    let error = refusal(&Connection::default());
    let home = std::env::var("HOME").expect("a home");
    let text = format!("there is no kubeconfig: looked at KUBECONFIG (not set), {home}/.kube/config");
    assert_eq!((error.to_string(), error.exit_code()), (text, ExitCode::Usage));
}
