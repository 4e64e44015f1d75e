//! Install scripts as manifests: what is known without running them, what is not and why, and what is refused.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only test functions")]

use jiff::Timestamp;
use ovncilium_core::facts::kube_ovn::{ConfWriter, Installation};
use ovncilium_core::facts::manifests::{self, File};
use ovncilium_core::facts::{Facts, NAMES, Source};

const SCRIPT: &str = include_str!("facts/install.sh");

fn facts(script: &str) -> Facts {
    let manifests = manifests::read(&[File { name: "install.sh", content: script.as_bytes() }]).unwrap();
    manifests.facts(Source::Manifests { paths: vec!["install.sh".to_owned()] }, Timestamp::UNIX_EPOCH)
}

fn known(script: &str) -> Installation {
    facts(script).kube_ovn.value.as_result().unwrap().the_one().unwrap().clone()
}

fn unknown(script: &str) -> String {
    facts(script).kube_ovn.value.as_result().unwrap_err().to_owned()
}

fn refused(script: &str) -> String {
    let error = manifests::read(&[File { name: "install.sh", content: script.as_bytes() }]).unwrap_err();
    format!("{error} | {}", error.next_step().line())
}

/// The script with something else in place of a text that stands in it once.
fn with(from: &str, to: &str) -> String {
    assert_eq!(SCRIPT.matches(from).count(), 1, "{from}");
    SCRIPT.replace(from, to)
}

/// Line of the first one that holds a text, from 1.
fn line(script: &str, text: &str) -> usize {
    script.lines().position(|line| line.contains(text)).unwrap() + 1
}

/// The script with commands before its last step.
fn and(commands: &str) -> String {
    with("for ns in ", &format!("{commands}\nfor ns in "))
}

#[test]
fn a_script_tells_what_its_defaults_install() {
    let found = known(SCRIPT);
    assert_eq!((found.namespace.as_str(), found.version.as_deref()), ("kube-system", Some("v1.15.24")));
    let controller = &found.controller;
    assert_eq!(
        (controller.name.as_str(), controller.image.as_str()),
        ("kube-ovn-controller", "docker.io/kubeovn/kube-ovn:v1.15.24")
    );
    assert!(controller.enable_lb && controller.enable_np && !controller.enable_lb_svc);
    let list = [
        "/kube-ovn/start-controller.sh",
        "--default-cidr=10.16.0.0/16",
        "--network-type=geneve",
        "--default-interface-name=",
        "--enable-lb=true",
        "--enable-np=true",
        "--enable-lb-svc=false",
    ];
    assert_eq!(controller.flags_list, list);
    assert_eq!(controller.replicas, None, "`kubectl` counts them as the script runs");
    let cni = &found.cni;
    assert_eq!((cni.conf_dir.as_str(), cni.conf_name.as_str()), ("/etc/cni/net.d", "01-kube-ovn.conflist"));
    assert_eq!((cni.writer, cni.iface.as_deref()), (ConfWriter::InstallCni, None));
    assert_eq!(facts(SCRIPT).unknowns().len(), NAMES.len() - 1, "only Kube-OVN itself is in a script");
}

#[test]
fn an_edited_default_counts() {
    assert!(!known(&with("ENABLE_LB=${ENABLE_LB:-true}", "ENABLE_LB=${ENABLE_LB:-false}")).controller.enable_lb);
    assert!(!known(&with("ENABLE_NP=${ENABLE_NP:-true}", "ENABLE_NP=\"false\" # not wanted")).controller.enable_np);
    assert_eq!(
        known(&with("${CNI_CONFIG_PRIORITY:-01}", "${CNI_CONFIG_PRIORITY-10}")).cni.conf_name,
        "10-kube-ovn.conflist"
    );
    let vlan = known(
        &with("ENABLE_VLAN=${ENABLE_VLAN:-false}", "ENABLE_VLAN=true").replace("IFACE=${IFACE:-}", "IFACE='eth1'"),
    );
    assert_eq!((vlan.cni.network_type.as_str(), vlan.cni.iface.as_deref()), ("vlan", Some("eth1")));
    assert_eq!(vlan.controller.flags["default-interface-name"], "eth1");
    assert_eq!(known(&with("echo \"ERROR: no such node\"\n  exit 1", "count=1")).controller.replicas, None);
    assert_eq!(known(&with("addresses=$(", "count=3\naddresses=$(")).controller.replicas, Some(3));
}

/// Each leaves the flag to a run, in another way; the reason names the variable and the line that does.
#[test]
fn a_value_that_only_a_run_can_tell_is_unknown_with_its_line() {
    let at = line(SCRIPT, "ENABLE_LB=${ENABLE_LB:-true}");
    for (to, name, offset) in [
        ("ENABLE_LB=$(kubectl get cm x -o jsonpath={.data.lb})", "$ENABLE_LB", 0),
        ("ENABLE_LB=`cat lb`", "$ENABLE_LB", 0),
        ("LB=$(cat lb)\nENABLE_LB=$LB", "$LB", 0),
        ("ENABLE_LB=${ENABLE_LB}", "$ENABLE_LB", 0),
        ("read -r ENABLE_LB", "$ENABLE_LB", 0),
        ("ENABLE_LB=true\ngrep -q lb /etc/x && ENABLE_LB=false", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\ngrep -q np /etc/x || ENABLE_LB=false", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nif grep -q lb /etc/x; then\nENABLE_LB=false\nfi", "$ENABLE_LB", 2),
        ("ENABLE_LB=true\nfor ENABLE_LB in *; do true; done", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nwhile read -r x; do\nENABLE_LB=$x\ndone < /etc/x", "$ENABLE_LB", 2),
        ("ENABLE_LB=true\ncase $(uname) in\nLinux) ENABLE_LB=false ;;\nesac", "$ENABLE_LB", 2),
        ("ENABLE_LB=true\neval \"$SETTINGS\"", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\n. ./settings", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nunset ENABLE_LB", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nLIST=(true false)\nENABLE_LB=${LIST[0]}", "$LIST", 1),
        ("LIST='true,false'; IFS=,\nfor ENABLE_LB in $LIST; do true; done", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nprintf -v ENABLE_LB %s \"$X\"", "$ENABLE_LB", 1),
        ("ENABLE_LB=${1}$(date)", "$ENABLE_LB", 0),
        ("ENABLE_LB=true\nexport $(grep -v '^#' .env | xargs)", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\ndeclare \"$(cat .env)\"", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nreadonly `cat .env`", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nexport \"$NAME=false\"", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nload() { local $(cat .env); }; load", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nread -r \"$NAME\"", "$ENABLE_LB", 1),
        ("ENABLE_LB=true\nENABLE_LB=false export X", "$ENABLE_LB", 1),
        ("if grep -q lb /etc/x; then : \"${ENABLE_LB:=false}\"; fi", "$ENABLE_LB", 0),
        ("ENABLE_LB=\ngrep -q lb /etc/x && echo ${ENABLE_LB:=false}", "$ENABLE_LB", 1),
        ("ENABLE_LB=\ngrep -q lb /etc/x && for x in ${ENABLE_LB:=false}; do :; done", "$ENABLE_LB", 1),
    ] {
        let script = with("ENABLE_LB=${ENABLE_LB:-true}", to);
        let told = unknown(&script);
        let open = format!("{name} (install.sh:{})", at + offset);
        assert!(told.contains(&open) && told.ends_with("which is known only when the script runs"), "{to}: {told}");
        let object = format!(
            "deployment kube-system/kube-ovn-controller (install.sh:{}) has ",
            line(&script, "cat <<EOF > kube-ovn.yaml") + 1
        );
        assert!(told.starts_with(&object), "{to}: {told}");
    }
}

/// Each decides the flag although it looks as if only a run could.
#[test]
fn what_the_script_alone_decides_is_known() {
    for to in [
        "ENABLE_LB=true\nif [ \"$HYBRID_MODE_X\" = \"$HYBRID_MODE_X\" ]; then true; fi\nENABLE_LB=false",
        "ENABLE_LB=true\nif [[ -z \"${2-}\" ]]; then ENABLE_LB=false; else ENABLE_LB=true; fi",
        "ENABLE_LB=true\n[ 1 -eq 1 ] && ENABLE_LB=false",
        "ENABLE_LB=true\nturn() { ENABLE_LB=$1; }\nturn false",
        "ENABLE_LB=false\nturn() { local ENABLE_LB=true; }\nturn",
        "ENABLE_LB=false\n(ENABLE_LB=true)",
        "ENABLE_LB=false\necho true | while read -r ENABLE_LB_X; do ENABLE_LB_X=true; done",
        "ENABLE_LB=fal; ENABLE_LB+=se",
        "ENABLE_LB=true\nfor ENABLE_LB in true false; do :; done",
        ": ${ENABLE_LB:=false}",
        "export ENABLE_LB='false'",
        "ENABLE_LB=$(cat <<X\nfalse\nX\n)",
        "ENABLE_LB=$HOME; ENABLE_LB=false",
        "X=true\nturn() { ENABLE_LB=$X; }\nX=false turn",
        "X=false\nturn() { X=$X; }\nX=true turn\nENABLE_LB=$X",
        "export \"ENABLE_LB=false\"",
        "X=ENABLE_LB=false\nexport $X",
        "X=${ENABLE_LB:=false} grep x /etc/x",
        "EMPTY=\nENABLE_LB=false $EMPTY",
        "ENABLE_LB=\nX=$(cat <<X\n${ENABLE_LB:=true}\nX\n)\nENABLE_LB=${ENABLE_LB:-false}",
    ] {
        assert!(!known(&with("ENABLE_LB=${ENABLE_LB:-true}", to)).controller.enable_lb, "{to}");
    }
}

/// Words of `[`, as the shell reads them when a variable without quotes is empty.
#[test]
fn an_empty_variable_without_quotes_is_no_word() {
    for (condition, lb) in [("[ -n $EMPTY ]", true), ("[ -n \"$EMPTY\" ]", false), ("[ -z $EMPTY ]", true)] {
        let to = format!("EMPTY=''\nENABLE_LB=false\nif {condition}; then ENABLE_LB=true; fi");
        assert_eq!(known(&with("ENABLE_LB=${ENABLE_LB:-true}", &to)).controller.enable_lb, lb, "{condition}");
    }
    let to = "EMPTY=''\nENABLE_LB=false\nif [ $EMPTY != true ]; then ENABLE_LB=true; fi";
    assert!(unknown(&with("ENABLE_LB=${ENABLE_LB:-true}", to)).contains("$ENABLE_LB"));
}

/// Patterns, brackets and operators that stand in one word with other things.
#[test]
fn conditions_that_are_more_than_a_comparison_are_open() {
    let with_condition = |condition: &str| {
        let to = format!("A=true\nB=false\nENABLE_LB=true\nif {condition}; then ENABLE_LB=false; fi");
        with("ENABLE_LB=${ENABLE_LB:-true}", &to)
    };
    let sure = |condition: &&str| facts(&with_condition(condition)).kube_ovn.value.as_result().is_ok();
    let open = [
        "[[ ! $A == tr* ]]",
        "[[ ! $A != \"tr\"* ]]",
        "[[ $A == \"tr\"* ]]",
        "[[ ($A == true || $B == true) ]]",
        "[[ ($A == true) ]]",
        "[[ !($A == false) ]]",
        "[[ $A == true&&$B ]]",
        "[ x = y -a \\( $A = z -o $B = false -o $A = y \\) ]",
    ];
    assert_eq!(open.into_iter().filter(sure).collect::<Vec<_>>(), Vec::<&str>::new());
    for (condition, lb) in
        [("[[ $A == \"(\" ]]", true), ("[[ ! $A == 'tr*' ]]", false), ("[[ $A == true && ! $B == true ]]", false)]
    {
        assert_eq!(known(&with_condition(condition)).controller.enable_lb, lb, "{condition}");
    }
}

#[test]
fn open_values_that_facts_do_not_hold_change_nothing() {
    let other =
        with("command: [\"/kube-ovn/start-db.sh\"]", "command: [\"/kube-ovn/start-db.sh\", \"--db=$addresses\"]");
    assert!(known(&other).controller.enable_lb);
    let label = with("type: ${SERVICE_TYPE}", "type: $(kubectl get cm x)");
    assert!(known(&label).controller.enable_lb);
}

/// Where facts compare and do not copy, an open value would leave no trace.
#[test]
fn an_open_value_in_the_shape_of_an_object_leaves_it_unknown() {
    for (from, to) in [
        ("command: [\"/kube-ovn/start-db.sh\"]", "command: [\"$addresses\"]"),
        ("  name: ovn-central\n  namespace: kube-system\nspec:", "  name: ovn-central\n  namespace: $addresses\nspec:"),
        (
            "kind: DaemonSet\napiVersion: apps/v1\nmetadata:\n  name: kube-ovn-cni\n  namespace: kube-system\nspec:\n  template:\n    spec:\n      serviceAccountName",
            "kind: $addresses\napiVersion: apps/v1\nmetadata:\n  name: kube-ovn-cni\n  namespace: kube-system\nspec:\n  template:\n    spec:\n      serviceAccountName",
        ),
        ("              name: cni-conf\n", "              name: $addresses\n"),
        (
            "  name: kube-ovn-controller\n  namespace: kube-system\nspec:",
            "  name: kube-ovn-controller\n  namespace: kube-system\n  labels: {app.kubernetes.io/managed-by: $addresses}\nspec:",
        ),
        ("$(central_env)\n", "$(central_environment)\n"),
    ] {
        let told = unknown(&with(from, to));
        assert!(told.contains("hang on") && told.contains("(install.sh:"), "{to}: {told}");
    }
}

#[test]
fn an_undecided_if_counts_only_if_it_changes_kube_ovn() {
    let asked = "if kubectl get ns x; then\ncat <<EOF | kubectl apply -f -\n";
    let other = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: other, namespace: x}\nEOF\nfi\n";
    assert!(known(&and(&format!("{asked}{other}"))).controller.enable_lb);
    let controller = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: second, namespace: x}\nspec: {template: {spec: {containers: \
        [{name: c, args: [/kube-ovn/start-controller.sh]}]}}}\nEOF\nfi\n";
    let script = and(&format!("{asked}{controller}"));
    let told = unknown(&script);
    let at = line(&script, "kind: Deployment\nmetadata: {name: second".lines().next().unwrap());
    assert!(at > 0 && told.starts_with("whether the manifests at install.sh:"), "{told}");
    let asks = line(&script, "if kubectl get ns x");
    assert!(told.contains(&format!("the answer of `kubectl` (install.sh:{asks})")), "{told}");
    let whole = SCRIPT
        .replace("cat <<EOF > kube-ovn.yaml", "if grep -q x /etc/x; then\ncat <<EOF > kube-ovn.yaml")
        .replace("kubectl apply -f kube-ovn.yaml", "fi\nkubectl apply -f kube-ovn.yaml");
    let told = unknown(&whole);
    assert!(told.contains("the answer of `grep` (install.sh:"), "{told}");
}

#[test]
fn what_changes_objects_and_is_not_followed_is_a_doubt() {
    for (commands, told) in [
        ("kubectl patch deploy/kube-ovn-controller -n kube-system -p '{}'", "what `kubectl patch` (install.sh:"),
        ("kubectl -n kube-system set image ds/kube-ovn-cni cni-server=x", "what `kubectl set` (install.sh:"),
        ("kubectl delete ds kube-ovn-cni", "what `kubectl delete` (install.sh:"),
        (
            "sudo kubectl scale deploy -n kube-system kube-ovn-controller --replicas=0",
            "what `kubectl scale` (install.sh:",
        ),
        (
            "kubectl apply -f https://example.com/x.yaml",
            "reads https://example.com/x.yaml, which the script does not write",
        ),
        ("kubectl apply $(cat options)", "what `kubectl apply` (install.sh:"),
        ("kubectl apply -Rf x.d", "reads x.d, which the script does not write"),
        ("kubectl apply -k overlays/x", "`kubectl apply -k` (install.sh:"),
        ("kubectl create -k overlays/x", "`kubectl create -k` (install.sh:"),
        ("kubectl delete -k overlays/x", "what `kubectl delete` (install.sh:"),
        ("eval \"$(cat commands)\"", "`eval` (install.sh:"),
        ("change() { kubectl patch ds x; }; eval change", "`eval` (install.sh:"),
        ("curl https://example.com/x.yaml | kubectl apply -f -", "gets the output of `curl` (install.sh:"),
        (
            "sed -i s/true/false/ kube-ovn.yaml\nkubectl apply -f kube-ovn.yaml",
            "a file that another program may have changed (install.sh:",
        ),
        ("sed s/true/false/ kube-ovn.yaml | kubectl apply -f -", "gets the output of `sed` (install.sh:"),
        ("sh -c 'kubectl apply -f x'", "`sh` (install.sh:"),
        ("eval \"kubectl apply -f $X\"", "`eval` (install.sh:"),
        ("$X apply -f kube-ovn.yaml", "the script runs $X (install.sh:"),
        ("a() { b; }; b() { a; }; a", "functions that call one another (install.sh:"),
    ] {
        let script = and(commands);
        let reason = unknown(&script);
        assert!(reason.contains(told), "{commands}: {reason}");
        let at = line(&script, commands.lines().next().unwrap());
        assert!((at..at + 2).any(|at| reason.contains(&format!("install.sh:{at}"))), "{commands}: {reason}");
    }
}

/// What runs because a word, a redirection or a here-document holds it.
#[test]
fn commands_inside_of_words_are_followed() {
    let mut missed = Vec::new();
    for (commands, told) in [
        ("msg=$(kubectl -n kube-system patch deploy kube-ovn-controller --type=json -p '[]')", "`kubectl patch`"),
        ("msg=`kubectl patch ds x`", "`kubectl patch`"),
        ("echo \"done: `kubectl -n kube-system scale deploy kube-ovn-controller --replicas=0`\"", "`kubectl scale`"),
        ("change() { kubectl set image ds/kube-ovn-cni a=b; }; x=$(change)", "`kubectl set`"),
        ("diff <(kubectl delete ds -n kube-system kube-ovn-cni) /dev/null", "`kubectl delete`"),
        ("tee >(kubectl apply -f -) < /etc/x", "`kubectl apply`"),
        ("cat > /dev/null <<X\n$(kubectl edit ds kube-ovn-cni)\nX", "`kubectl edit`"),
        ("cat > $(kubectl patch ds x) < /dev/null", "`kubectl patch`"),
        ("{ cat; } <<X\n$(kubectl patch ds x)\nX", "`kubectl patch`"),
        ("for x in $(kubectl replace -f x.yaml); do :; done", "reads x.yaml, which the script does not write"),
        ("case $(kubectl patch ds x) in *) : ;; esac", "`kubectl patch`"),
        ("if out=$(kubectl apply -f x.yaml); then :; fi", "reads x.yaml, which the script does not write"),
        ("[ \"$(kubectl patch ds x)\" = y ] || true", "`kubectl patch`"),
        ("x=${Y:-$(kubectl patch ds x)}", "`kubectl patch`"),
        ("x=$(echo \"$(kubectl patch ds x)\")", "`kubectl patch`"),
        ("x=$((1 + $(kubectl patch ds x)))", "`kubectl patch`"),
        ("LIST=($(kubectl patch ds x))", "`kubectl patch`"),
        ("X=$(kubectl patch ds x) true", "`kubectl patch`"),
        (
            "x=$(sed -i s/true/false/ kube-ovn.yaml)\nkubectl apply -f kube-ovn.yaml",
            "a file that another program may have changed",
        ),
        ("x=`for`", "commands that are no shell script"),
    ] {
        let script = and(commands);
        let at = line(&script, commands.lines().next().unwrap());
        let reason = facts(&script).kube_ovn.value.as_result().err().unwrap_or_default().to_owned();
        if !reason.contains(told) || !(at..at + 2).any(|at| reason.contains(&format!("install.sh:{at})"))) {
            missed.push((commands, reason));
        }
    }
    assert_eq!(missed, Vec::new());
    for commands in [
        "x=$(kubectl get pods -A | wc -l)",
        "echo '$(kubectl patch ds x)' \"\\$(kubectl patch ds x)\" \"<(kubectl patch ds x)\"",
        "cat > /dev/null <<'X'\n$(kubectl patch ds x)\nX",
        "x=$(exit 0)\nkubectl get pods",
    ] {
        assert!(known(&and(commands)).controller.enable_lb, "{commands}");
    }
}

/// The script applies its file once more after each.
#[test]
fn a_file_that_may_have_changed_is_not_known() {
    let again = |commands: &str| and(&format!("{commands}\nkubectl apply -f kube-ovn.yaml"));
    let mut missed = Vec::new();
    for commands in [
        "sed -Ei s/true/false/ kube-ovn.yaml",
        "sed -ri s/true/false/ kube-ovn.yaml",
        "sed -ni /true/p kube-ovn.yaml",
        "sed -i.bak s/true/false/ kube-ovn.yaml",
        "sed --in-place=.bak s/true/false/ kube-ovn.yaml",
        "sed -n 'w kube-ovn.yaml' /etc/x",
        "awk '{print > \"kube-ovn.yaml\"}' /etc/x",
        "yq --inplace .x kube-ovn.yaml",
        "yq -yi .x kube-ovn.yaml",
        "sort -o kube-ovn.yaml /etc/x",
        "sort --output=kube-ovn.yaml /etc/x",
        "uniq /etc/x kube-ovn.yaml",
        "ls *.yaml | xargs sed -i s/true/false/",
        "find . -type f -exec sed -i s/true/false/ {} +",
        "cp patched/kube-ovn.yaml .",
        "sudo mv patched/kube-ovn.yaml ./",
        "cp -r patched/. .",
        "sudo tar xf patched.tar",
        "git checkout .",
        "dd if=/etc/x of=kube-ovn.yaml",
        "date >& kube-ovn.yaml",
        ": > kube-ovn.yaml\ncurl -o kube-ovn.yaml https://example.com/x.yaml",
        "rm -f kube-ovn.yaml\ncurl -o kube-ovn.yaml https://example.com/x.yaml",
        "rm -f ./kube-ovn.yaml\n./write",
    ] {
        let script = again(commands);
        let at = line(&script, commands.lines().next().unwrap());
        let reason = facts(&script).kube_ovn.value.as_result().err().unwrap_or_default().to_owned();
        if !(at..at + 3).any(|at| reason.contains(&format!("install.sh:{at})"))) {
            missed.push((commands, reason));
        }
    }
    assert_eq!(missed, Vec::new());
    for commands in [
        "sed -n /true/p kube-ovn.yaml",
        "sed -e s/i/o/ -es/i/o/ kube-ovn.yaml",
        "grep -i x kube-ovn.yaml",
        "sort -u kube-ovn.yaml",
        "cat kube-ovn.yaml | xargs",
        "cp other.yaml x.yaml",
    ] {
        assert!(known(&again(commands)).controller.enable_lb, "{commands}");
    }
}

#[test]
fn what_changes_no_workload_is_no_doubt() {
    for commands in [
        "kubectl get pods -A",
        "kubectl delete pod -n kube-system -l app=multus || true",
        "kubectl create ns x",
        "kubectl create secret generic x --from-literal=a=b --dry-run=client -o yaml | cat",
        "kubectl apply --dry-run=server -f https://example.com/x.yaml",
        "command -v kubectl || exit 1",
        "echo kubectl patch ds x",
        "exit 0\nkubectl patch ds x",
        "rm -f kube-ovn.yaml *.yaml",
        "false && kubectl patch ds x",
    ] {
        assert!(known(&and(commands)).controller.enable_lb, "{commands}");
    }
}

/// Ways from a here-document to kubectl.
#[test]
fn texts_are_followed_through_files_pipes_and_functions() {
    let manifests = |flags: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: c, namespace: n}}\nspec: {{template: {{spec: {{containers: \
             [{{name: c, image: 'x:v1.14.1', args: [/kube-ovn/start-controller.sh, {flags}]}}]}}}}}}\n---\napiVersion: apps/v1\n\
             kind: DaemonSet\nmetadata: {{name: d, namespace: n}}\nspec: {{template: {{spec: {{containers: [{{name: d, args: \
             [/kube-ovn/start-cniserver.sh], volumeMounts: [{{name: cni-conf, mountPath: /etc/cni/net.d}}]}}], volumes: \
             [{{name: cni-conf, hostPath: {{path: /etc/cni/net.d}}}}]}}}}}}\n"
        )
    };
    let body = manifests("--enable-lb=$LB");
    let old = manifests("--enable-lb=true");
    for script in [
        format!("LB=false\ncat <<EOF | kubectl apply -f -\n{body}EOF\n"),
        format!("LB=false\nkubectl apply -f - <<EOF\n{body}EOF\n"),
        format!(
            "LB=false\nkubectl --kubeconfig /x apply --filename=- <<-\"EOF\"\n{}EOF\n",
            body.replace("$LB", "false")
        ),
        format!("LB=false\ncat <<EOF | tee a.yaml | kubectl apply -f -\n{body}EOF\n"),
        format!("LB=false\ncat > a.yaml <<EOF && kubectl apply -f a.yaml\n{body}EOF\n"),
        format!("LB=false\nD=$(mktemp -d)\ncat > $D/a.yaml <<EOF\n{body}EOF\nkubectl apply -f $D/a.yaml\n"),
        format!("LB=false\ncat > out/a.yaml <<EOF\n{body}EOF\nkubectl apply -f ./out\n"),
        format!(
            "LB=false\n{{ cat <<A; cat <<B; }} > a.yaml\n{old}A\n---\nkind: Service\napiVersion: v1\nmetadata: {{name: s}}\nB\nkubectl apply -f a.yaml\nkubectl apply -f - <<EOF\n{body}EOF\n"
        ),
        format!("apply() {{ kubectl apply -f -; }}\nLB=true\nLB=false\napply <<EOF\n{body}EOF\n"),
        format!("main() {{\n  LB=$1\n  cat <<EOF | kubectl apply -f -\n{body}EOF\n}}\nmain false\n"),
        format!("LB=false\ncat <<EOF > a.yaml\n{body}EOF\nfor f in a.yaml; do kubectl apply -f $f; done\n"),
        format!("K=kubectl\nLB=false\ncat <<EOF > a.yaml\n{body}EOF\nuntil $K apply -f a.yaml; do sleep 1; done\n"),
        format!("Y=\"{}\"\necho \"$Y\" | kubectl apply -f -\n", body.replace("$LB", "false")),
        format!(
            "LB=false\ncat <<EOF > a.yaml\n{body}EOF\nif out=$(kubectl apply -f a.yaml 2>&1); then echo \"$out\"; fi\n"
        ),
        format!(
            "LB=false\ncat <<EOF > a.yaml\n{old}EOF\nkubectl apply -f a.yaml\ncat <<EOF > a.yaml\n{body}EOF\nkubectl apply -f a.yaml\n"
        ),
        format!("LB=false\ncat <<EOF > never.yaml\n{old}EOF\nkubectl apply -f - <<EOF\n{body}EOF\n"),
    ] {
        let installation = known(&script);
        assert!(!installation.controller.enable_lb, "{script}");
    }
    let appended =
        format!("cat <<EOF > a.yaml\n{old}EOF\ngrep x /y && cat <<EOF >> a.yaml\nx\nEOF\nkubectl apply -f a.yaml\n");
    let told = manifests::read(&[File { name: "install.sh", content: appended.as_bytes() }]).unwrap_err();
    let depends = format!(
        ": `kubectl apply` (install.sh:{}) gets a text that depends on the answer of `grep` (install.sh:{}), which is known only \
         when the script runs",
        line(&appended, "kubectl apply"),
        line(&appended, "grep x"),
    );
    assert!(told.to_string().ends_with(&depends), "{told}");
}

#[test]
fn scripts_that_cannot_be_read_are_refused_with_their_line() {
    let object = "cat <<EOF | kubectl apply -f -\nkind: Node\napiVersion: v1\nmetadata: {name: n}\nEOF\n";
    for (script, told) in [
        (
            "set -e\ncat <<EOF > kube-ovn.yaml\nkind: X\n".to_owned(),
            "install.sh, line 2: this line of the script starts a here-document that never ends: no line is `EOF` alone",
        ),
        (
            format!("{object}echo \"a\n"),
            "install.sh, line 6: this line of the script opens a quote that is never closed",
        ),
        (
            format!("{object}X=$(date\n"),
            "install.sh, line 6: this line of the script opens a bracket that is never closed",
        ),
        (
            format!("{object}if true; then\necho\n"),
            "install.sh, line 6: this line of the script starts a block without its `fi`",
        ),
        (format!("{object}done\n"), "install.sh, line 6: this line of the script has `done` where no block can end"),
        (
            format!("{object}echo | | cat\n"),
            "install.sh, line 6: this line of the script has an operator where no command starts",
        ),
        (
            "X=1\nkubectl apply -f - <<EOF\nkind: Node\n  bad: [\nEOF\n".to_owned(),
            "install.sh: document 0, line 4, column 6: ",
        ),
        (
            "X='a\nb'\nkubectl apply -f - <<EOF\nkind: Node\nx: \"$X\"\n\tbad: [\nEOF\n".to_owned(),
            "install.sh: document 0, line 6, ",
        ),
        (
            "cat <<EOF > /usr/local/bin/kubectl-ko\nEOF\n".to_owned(),
            "install.sh: this script gives `kubectl apply` no Kubernetes object",
        ),
        (
            "kubectl apply -f https://example.com/x.yaml\n".to_owned(),
            "install.sh: this script gives `kubectl apply` no Kubernetes object from a here-document: `kubectl apply` (install.sh:1) reads https://example.com/x.yaml",
        ),
        (String::new(), "install.sh: this script gives `kubectl apply` no Kubernetes object"),
        (object.replace("Node", "Unheard"), "no Kubernetes objects that matter here in install.sh"),
        ("X=\u{e000}\n".to_owned(), "install.sh, line 1: this line of the script has a character of its own kind"),
        ("(".repeat(100_000), "install.sh, line 1: this line of the script has more blocks in one another"),
        (
            format!("echo {}", "$(".repeat(100_000)),
            "install.sh, line 1: this line of the script has more brackets in one another",
        ),
    ] {
        let refused = refused(&script);
        assert!(refused.starts_with(told), "{}: {refused}", &script[..script.len().min(60)]);
    }
    let bytes = manifests::read(&[File { name: "install.sh", content: b"#!/bin/sh\n\xff" }]).unwrap_err();
    assert_eq!(bytes.to_string(), "install.sh: line 2: byte 10 of the stream is not UTF-8");
}

/// A script that grows without end is given up, not followed.
#[test]
fn a_script_that_doubles_itself_ends() {
    let doubles = format!("X=xxxxxxxx\n{}", "X=$X$X\n".repeat(64));
    assert!(known(&SCRIPT.replace("set -euo pipefail\n", &doubles)).controller.enable_lb);
    let calls: String = (0..16).map(|at| format!("f{at}() {{ {} }}\n", format!("f{}; ", at + 1).repeat(16))).collect();
    let told = unknown(&and(&format!("{calls}f0")));
    assert!(told.contains("more commands than this program follows") || told.contains("call one another"), "{told}");
}

#[test]
fn objects_of_a_script_have_their_lines() {
    let manifests = manifests::read(&[File { name: "install.sh", content: SCRIPT.as_bytes() }]).unwrap();
    let place = |object: &str| manifests.places.of(object).unwrap().to_string();
    // The first line of each document's content.
    let controller = line(SCRIPT, "cat <<EOF > kube-ovn.yaml") + 1;
    assert_eq!(place("deployment kube-system/kube-ovn-controller"), format!("install.sh:{controller}"));
    let cni = line(SCRIPT, "            - name: OVN_DB_IPS") + 3;
    assert_eq!(place("daemonset kube-system/kube-ovn-cni"), format!("install.sh:{cni}"));
    // Behind a variable of several lines.
    let central = line(SCRIPT, "${POLICY}") + 2;
    assert_eq!(place("deployment kube-system/ovn-central"), format!("install.sh:{central}"));
    let several = known(&SCRIPT.replace("SINGLE=${SINGLE:-false}", "SINGLE=true"));
    assert_eq!(several, known(SCRIPT), "the database's workload is not Kube-OVN's controller");
}
