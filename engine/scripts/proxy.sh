# Tells which of the Services in WANTED_0, WANTED_1, … (`ADDRESS:PORT/TCP`, separated by commas) kube-proxy has no rule for on this node,
# whether there are services of IPVS, which are not its own in mode iptables, whether somebody listens on kube-proxy's port for metrics, and
# whether it says there that it has written its rules since it was started: rules outlive whoever wrote them. Waits up to WATCH seconds for the
# rules, and for what EXPECT says of the port (`listens`, `silent`, `synced`). Writes nothing. Runs in Kube-OVN's image, on the host's network.
set -eu
out=${OUT:-/dev/termination-log}
wanted=$(env | sed -n 's/^WANTED_[0-9]*=//p' | tr ',' '\n' | sed -e '/^$/d' | sort -u)
until=$(($(date +%s) + ${WATCH:-45}))
number=${PORT:-10249}
# Where somebody listens on that port, as the kernel writes addresses.
listening() {
  cat "${TCP:-/proc/net/tcp}" "${TCP6:-/proc/net/tcp6}" 2>/dev/null | awk -v port=":$(printf %04X "$number")" '
    $4 == "0A" && substr($2, length($2) - 4) == port { print substr($2, 1, length($2) - 5); exit }'
}
# `yes` or `no`; nothing where there are no metrics of a program of Kubernetes. In an address of IPv4 the last byte comes first. What has
# a label of its family is not told before it is so.
synced() {
  case $1 in
    ????????) host=$(printf '%d.%d.%d.%d' $(printf %s "$1" | sed -E 's/(..)(..)(..)(..)/0x\4 0x\3 0x\2 0x\1/')) ;;
    00000000000000000000000001000000) host=::1 ;;
    *) host=127.0.0.1 ;;
  esac
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"; printf "GET /metrics HTTP/1.0\r\n\r\n" >&3; cat <&3' ask "$host" "$number" 2>/dev/null | awk '
    /^kubernetes_build_info[{ ]/ { is_one = 1 }
    /^kubeproxy_sync_proxy_rules_last_timestamp_seconds[{ ]/ && !/"IPv6"/ && $NF + 0 > 0 { yes = 1 }
    END { if (is_one) print yes ? "yes" : "no" }'
}
while :; do
  looked=
  rules=
  for backend in legacy nft; do
    # A kernel without the backend has no rules in it; one of the two there must be.
    saved=$("iptables-$backend-save" 2>/dev/null) || continue
    looked=yes
    rules=$(printf '%s\n%s\n' "$rules" "$saved" | grep -E '^-A KUBE-SERVICES .*--dport ' || :)
  done
  if [ -z "$looked" ]; then
    echo 'neither iptables-legacy-save nor iptables-nft-save works in this image' >"$out"
    exit 1
  fi
  lacking=$({
    printf '%s\n' "$rules" | awk '{
      address = protocol = port = ""
      for (i = 1; i < NF; i++) {
        if ($i == "-d") { address = $(i + 1); sub(/\/32$/, "", address) }
        if ($i == "-p") protocol = toupper($(i + 1))
        if ($i == "--dport") port = $(i + 1)
      }
      if (port != "") print "has " address ":" port "/" protocol
    }'
    printf '%s\n' "$wanted" | sed -e 's/^/wanted /'
  } | awk '$1 == "has" { has[$2] = 1 } $1 == "wanted" && NF > 1 && !($2 in has) { print "lacking " $2 }')
  port=silent
  written=
  at=$(listening)
  if [ -n "$at" ]; then
    port=listens
    written=$(synced "$at")
  fi
  case ${EXPECT:-} in
    synced) [ "$written" = yes ] && is_so=yes || is_so= ;;
    *) [ "${EXPECT:-$port}" = "$port" ] && is_so=yes || is_so= ;;
  esac
  [ -n "$lacking" ] || [ -z "$is_so" ] || break
  [ "$(date +%s)" -lt "$until" ] || break
  sleep 1
done
ipvs=${IPVS:-/proc/net/ip_vs}
foreign=0
[ ! -r "$ipvs" ] || foreign=$(grep -Ec '^(TCP|UDP|SCTP|FWM) ' "$ipvs" || :)
{
  echo "rules $(printf '%s\n' "$wanted" | sed -e '/^$/d' | wc -l)"
  [ "$foreign" -eq 0 ] || echo "foreign $foreign"
  [ "$port" = silent ] || echo listens
  [ -z "$written" ] || echo "synced $written"
  printf '%s\n' "$lacking" | awk '{ n += length($0) + 1 } NF && n < 3700'
} >"$out"
