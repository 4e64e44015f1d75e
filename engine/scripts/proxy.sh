# Tells which of the Services in WANTED_0, WANTED_1, … (`ADDRESS:PORT/TCP`, separated by commas) kube-proxy has no rule for on this node,
# whether there are services of IPVS, which are not its own in mode iptables, and whether somebody listens on kube-proxy's port for metrics.
# Waits up to WATCH seconds for the rules, and for what EXPECT says of the port (`listens`, `silent`). Writes nothing. Runs in Kube-OVN's image,
# on the host's network.
set -eu
out=${OUT:-/dev/termination-log}
wanted=$(env | sed -n 's/^WANTED_[0-9]*=//p' | tr ',' '\n' | sed -e '/^$/d' | sort -u)
until=$(($(date +%s) + ${WATCH:-45}))
# Port 10249, in state LISTEN.
listens() {
  cat "${TCP:-/proc/net/tcp}" "${TCP6:-/proc/net/tcp6}" 2>/dev/null | awk '$2 ~ /:2809$/ && $4 == "0A" { n++ } END { exit n == 0 }'
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
  ! listens || port=listens
  [ -n "$lacking" ] || [ "${EXPECT:-$port}" != "$port" ] || break
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
  printf '%s\n' "$lacking" | awk '{ n += length($0) + 1 } NF && n < 3700'
} >"$out"
