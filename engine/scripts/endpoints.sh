# Tells whether Cilium's agent on this node enforces for every pod it knows: an agent is ready before the programs of endpoints from
# before its start are made again, and until then they do what the last agent told them. Waits up to WATCH seconds for them.
# Runs in Cilium's own image.
set -eu
out=${OUT:-/dev/termination-log}
pod='{.status.external-identifiers.k8s-namespace}/{.status.external-identifiers.k8s-pod-name}'
each="{range [*]}$pod {.status.state} {.status.policy.realized.policy-enabled}{\"\\n\"}{end}"
seen=
until=$(($(date +%s) + ${WATCH:-45}))
while :; do
  code=0
  # Endpoints of no pod (the host's, the health check's) begin with the bare slash.
  said=$(cilium-dbg endpoint list --no-headers -o jsonpath="$each" 2>&1) || code=$?
  if [ "$code" -eq 0 ]; then
    list=$(printf '%s\n' "$said" | sed -n -E '/^[^ \/]+\/[^ ]+ /p')
    # One that was ready once enforces, although what others do has it made again and again.
    seen=$(printf '%s\n%s\n' "$seen" "$list" | sed -n -E -e '/^[^ ]+$/p' -e 's/ ready (none|ingress|egress|both)$//p' | sort -u)
    pending=$({
      printf '%s\n' "$seen" | sed -e 's/^/seen /'
      printf '%s\n' "$list" | sed -e 's/^/now /'
    } | awk '$1 == "seen" { ready[$2] = 1 } $1 == "now" && NF > 1 && !($2 in ready) { print substr($0, 5) }')
    [ -n "$pending" ] || break
  fi
  [ "$(date +%s)" -lt "$until" ] || break
  sleep 1
done
if [ "$code" -ne 0 ]; then
  printf 'cilium-dbg ended with %s: %s\n' "$code" "$(printf '%s' "$said" | tail -c 900)" >"$out"
  exit 1
fi
{
  echo "endpoints $(printf '%s\n' "$list" | sed -e '/^$/d' | wc -l)"
  printf '%s\n' "$pending" | sed -n -e '/./s/^/pending /p' | awk '{ n += length($0) + 1 } n < 3800'
} >"$out"
