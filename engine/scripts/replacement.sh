# Tells whether Cilium's agent on this node replaces kube-proxy, and which of the Services in WANTED_0, WANTED_1, … (`ADDRESS:PORT/TCP`,
# separated by commas) it does not serve. Waits up to WATCH seconds for them. Runs in Cilium's own image.
set -eu
out=${OUT:-/dev/termination-log}
wanted=$(env | sed -n 's/^WANTED_[0-9]*=//p' | tr ',' '\n' | sed -e '/^$/d' | sort -u)
each='{range [*]}{.spec.frontend-address.ip}:{.spec.frontend-address.port}/{.spec.frontend-address.protocol}{"\n"}{end}'
until=$(($(date +%s) + ${WATCH:-45}))
while :; do
  code=0
  said=$(cilium-dbg status -o jsonpath='{.kube-proxy-replacement.mode}' 2>&1) || code=$?
  mode=$said
  [ "$code" -ne 0 ] || said=$(cilium-dbg service list -o jsonpath="$each" 2>&1) || code=$?
  if [ "$code" -eq 0 ]; then
    # Agents before 1.17 tell no protocol.
    lacking=$({
      printf '%s\n' "$said" | sed -e 's/^/has /'
      printf '%s\n' "$wanted" | sed -e 's/^/wanted /'
    } | awk '
      $1 == "has" { has[$2] = 1; place = $2; sub(/\/.*/, "", place); if ($2 !~ /\/(TCP|UDP|SCTP)$/) any[place] = 1 }
      $1 == "wanted" && NF > 1 { place = $2; sub(/\/.*/, "", place); if (!($2 in has) && !(place in any)) print "lacking " $2 }')
    [ "$mode" != True ] || [ -n "$lacking" ] || break
  fi
  [ "$(date +%s)" -lt "$until" ] || break
  sleep 1
done
if [ "$code" -ne 0 ]; then
  printf 'cilium-dbg ended with %s: %s\n' "$code" "$(printf '%s' "$said" | tr '\n' ' ' | tail -c 900)" >"$out"
  exit 1
fi
{
  echo "mode ${mode:-none}"
  echo "frontends $(printf '%s\n' "$wanted" | sed -e '/^$/d' | wc -l)"
  printf '%s\n' "$lacking" | awk '{ n += length($0) + 1 } NF && n < 3700'
} >"$out"
