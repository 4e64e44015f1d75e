# Runs before and after kube-proxy's own cleanup, in Kube-OVN's image on the host's network: keeps what is not kube-proxy's in WORK first, then
# tells how many of kube-proxy's chains are left, and what of others has changed. Changes no rule.
set -eu
out=${OUT:-/dev/termination-log}
# Chains of CNI plugins and of Cilium come and go with pods and agents.
theirs='KUBE-(SERVICES|EXTERNAL-SERVICES|NODEPORTS|POSTROUTING|MARK-MASQ|FORWARD|PROXY-FIREWALL|PROXY-CANARY|SVC-|SEP-|SVL-|EXT-|FW-)'
saved() {
  for family in iptables ip6tables; do
    for backend in legacy nft; do
      # A kernel without the backend or the family has no rules in it.
      rules=$("$family-$backend-save" 2>/dev/null) || continue
      printf '%s\n' "$rules" | awk -v "tag=$family-$backend" '
        /^\*/ { table = $0 }
        /^:/ { print tag, table, $1; next }
        /^-A/ { print tag, table, $0 }'
    done
  done
}
others() {
  # Of each table in its order; a chain of the kernel itself is there or not without a meaning.
  printf '%s\n' "$1" | grep -Ev "$theirs|CNI-|CILIUM_|^[^ ]+ [^ ]+ :(INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING)\$" || :
}
all=$(saved)
if [ -z "$all" ]; then
  echo 'no iptables of this image can read the rules of this node' >"$out"
  exit 1
fi
if [ "$STAGE" = before ]; then
  others "$all" >"$WORK/before"
  exit 0
fi
before=$(cat "$WORK/before")
# kube-ovn-cni takes rules of its own away and puts them back when it looks at them.
for try in 1 2 3 4 5; do
  now=$(others "$all")
  [ "$now" != "$before" ] || break
  sleep "${PAUSE:-2}"
  all=$(saved)
done
{
  # Kubelets before 1.27 make these two as well.
  echo "left $(printf '%s\n' "$all" | grep -Ev ' :KUBE-(POSTROUTING|MARK-MASQ)$' | grep -Ec " :$theirs" || :)"
  if [ "$now" != "$before" ]; then
    {
      printf '%s\n' "$before" | sed -e 's/^/before /'
      printf '%s\n' "$now" | sed -e 's/^/now /'
    } | awk '
      { side = $1; sub(/^[^ ]+ /, "") }
      side == "before" { seen[$0]++; order[++n] = $0 }
      side == "now" { if (seen[$0] > 0) seen[$0]--; else added[++m] = $0 }
      END {
        for (i = 1; i <= n; i++) if (seen[order[i]] > 0) { seen[order[i]]--; print "changed gone " order[i]; any = 1 }
        for (i = 1; i <= m; i++) { print "changed new " added[i]; any = 1 }
        if (!any) print "changed order of rules"
      }' | awk '{ n += length($0) + 1 } n < 3600'
  fi
} >"$out"
