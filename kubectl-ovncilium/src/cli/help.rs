//! What the help teaches beyond one line for each flag.

pub(super) const ABOUT: &str = "Bring Cilium into a live Kube-OVN cluster by CNI chaining, and take it out again.

Kube-OVN keeps giving pods their addresses; Cilium adds eBPF service load balancing, L3/L4 policy and Hubble.
Nothing is touched before everything needed is known; killed anywhere, the same command goes on.";

pub(super) const AFTER: &str = "A first look, without touching anything:
  kubectl ovncilium check
  kubectl ovncilium migrate --rehearse        on a pretend cluster, no kubeconfig needed
  kubectl ovncilium plan --chart cilium-1.18.12.tgz

Exit codes: 0 done · 1 internal error · 2 usage · 3 policy denied · 4 could not judge · 5 paused or blocked, run again ·
6 someone else holds the lock · 7 rolled back · 8 changes pending · 9 the cluster or a tool refused · 130/143 signal";

pub(super) const VALUES_HELP: &str =
    "The values go to helm, all of them at every upgrade (helm forgets old values as soon as one new one is given):
  kubectl ovncilium values --chart cilium-1.18.12.tgz > values.yaml
  helm upgrade --install cilium cilium-1.18.12.tgz -n kube-system -f values.yaml --post-renderer ovncilium-post-renderer

While pods are not managed by Cilium the values audit. When every pod has an endpoint, the values that stay:
  kubectl ovncilium values --chart cilium-1.18.12.tgz --settled > values.yaml

Layout guide needs a ConfigMap as well, and another name for Kube-OVN's file (the comments on top say how):
  kubectl ovncilium values --cilium-version 1.13.18 --layout guide > values.yaml
  kubectl ovncilium values --cilium-version 1.13.18 --layout guide --config-map | kubectl apply -f -

Without the cluster, from a file that `kubectl ovncilium snapshot` wrote:
  kubectl ovncilium values --cilium-version 1.20.0 --facts facts.json -f values.yaml";
pub(super) const REPLACE_HELP: &str =
    "Cilium takes over on every node first, beside kube-proxy, and is proven there: its agent has every
Service, and what answered before still answers, from the node and from a pod. Then kube-proxy
leaves node by node, and its own cleanup takes its rules away; those of Kube-OVN and the kubelet are
held against what they were. The DaemonSet stays, with one key more in its node selector.

  kubectl ovncilium replace-kube-proxy --dry-run    what would be done, step by step
  kubectl ovncilium replace-kube-proxy              killed anywhere, the same command goes on
  kubectl ovncilium replace-kube-proxy --back       from anywhere: proven before Cilium stops

k3s, RKE2 and Talos start kube-proxy themselves: when Cilium serves everywhere, their own switch is
printed, and each node is looked at until it was turned. What Helm, Argo CD or Flux would put
back is refused.

Exit codes: 0 done · 5 not possible here, or paused: the reason and the next step are told ·
7 kube-proxy is back · 8 changes pending (--dry-run)";
pub(super) const LINT_AFTER: &str = "The documents are judged as a post-renderer would judge them, and never printed.

  helm template cilium cilium/cilium -n kube-system -f values.yaml | kubectl ovncilium lint -f -
  kubectl ovncilium lint -f clusters/prod/cilium -o sarif > lint.sarif

Exit codes: 0 allowed · 3 a policy denied · 4 could not judge: a policy could not run, a fact is unknown or too old, a file
is no YAML, or there is no cilium-config · 2 a file cannot be read";
