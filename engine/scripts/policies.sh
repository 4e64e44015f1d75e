# Tells which of the NetworkPolicies in WANTED_0, WANTED_1, … (`namespace/name direction`, separated by commas) OVN holds no rules
# for, and which nodes have not taken over what it holds. Waits up to WATCH seconds. NB and SB are where OVN's databases listen.
set -eu
out=${OUT:-/dev/termination-log}
tls=
# Where databases want TLS, Kube-OVN keeps its keys in this secret.
[ ! -e /var/run/tls/key ] || tls='-p /var/run/tls/key -c /var/run/tls/cert -C /var/run/tls/cacert'
# shellcheck disable=SC2086
ask() {
  code=0
  said=$("$1" --db="$2" $tls --timeout=15 $3 2>&1) || code=$?
  [ "$code" -eq 0 ] || said=$(printf '%s ended with %s: %s' "$1" "$code" "$said" | tr '\n' ' ' | tail -c 900)
}
table='--format=csv --data=bare --no-headings'
until=$(($(date +%s) + ${WATCH:-45}))
lacking=
while :; do
  ask ovn-nbctl "$NB" "$table --columns=_uuid,direction list ACL"
  rules=$said
  [ "$code" -ne 0 ] || ask ovn-nbctl "$NB" "$table --columns=external_ids,acls list Port_Group"
  if [ "$code" -eq 0 ]; then
    lacking=$({
      printf '%s\n' "$rules" | sed -e 's/,/ /g' -e 's/^/rule /'
      printf '%s\n' "$said" | sed -e 's/[",]/ /g' -e 's/^/group /'
      env | sed -n 's/^WANTED_[0-9]*=//p' | tr ',' '\n' | sed -e '/^$/d' -e 's/^/wanted /'
    } | awk '
      $1 == "rule" { direction[$2] = $3 }
      $1 == "group" {
        policy = ""
        for (i = 2; i <= NF; i++) if ($i ~ /^np=/) policy = substr($i, 4)
        for (i = 2; i <= NF; i++) if ($i in direction) has[policy " " direction[$i]] = 1
      }
      $1 == "wanted" && !(($2 " " $3) in has) { print "lacking " $2 " " $3 }')
    [ -n "$lacking" ] || break
  fi
  [ "$(date +%s)" -lt "$until" ] || break
  sleep 1
done
behind=
if [ "$code" -eq 0 ] && [ -z "$lacking" ]; then
  # Every node has taken it over when its controller tells the number that this makes northd count up to.
  ask ovn-nbctl "$NB" '--wait=hv sync'
  if [ "$code" -ne 0 ]; then
    ask ovn-nbctl "$NB" 'get NB_Global . nb_cfg'
    number=$said
    [ "$code" -ne 0 ] || ask ovn-sbctl "$SB" "$table --columns=name,nb_cfg list Chassis_Private"
    [ "$code" -ne 0 ] || behind=$(printf '%s\n' "$said" | awk -F, -v "number=$number" '$2 < number + 0 { print "behind " $1 }')
  fi
fi
if [ "$code" -ne 0 ]; then
  printf '%s\n' "$said" >"$out"
  exit 1
fi
{
  echo "policies $(env | sed -n 's/^WANTED_[0-9]*=//p' | tr ',' '\n' | sed -e '/^$/d' | wc -l)"
  printf '%s\n' "$lacking" "$behind" | sed -e '/^$/d' | head -n 40
} >"$out"
