# Tells which of the NetworkPolicies in WANTED_0, WANTED_1, … (`name.namespace direction`, as OVN calls them, separated by commas) OVN
# holds no rules for, and which of the chassis in CHASSIS_0, … have not taken over what it holds. Waits up to WATCH seconds for each.
# NB and SB are where OVN's databases listen. It makes northd count up (`sync`), and writes nothing else.
set -eu
out=${OUT:-/dev/termination-log}
tls=
# Where databases want TLS, Kube-OVN keeps its keys in this secret.
[ ! -e /var/run/tls/key ] || tls='-p /var/run/tls/key -c /var/run/tls/cert -C /var/run/tls/cacert'
# What it says beside its answer (that it connects again) is no answer; it counts when it failed.
# shellcheck disable=SC2086
ask() {
  code=0
  said=$("$1" --db="$2" $tls --timeout=15 $3 2>"$out") || code=$?
  [ "$code" -eq 0 ] || said=$(printf '%s ended with %s: %s' "$1" "$code" "$(cat "$out")" | tr '\n' ' ' | tail -c 900)
}
# The lists come in several variables, because one has a limit.
listed() {
  env | sed -n "s/^$1_[0-9]*=//p" | tr ',' '\n' | sed -e '/^$/d'
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
      listed WANTED | sed -e 's/^/wanted /'
    } | awk '
      $1 == "rule" { direction[$2] = $3 }
      $1 == "group" {
        # A group is named so by the policy that made it; policies whose names differ in - and . alone share it.
        policy = ""
        for (i = 2; i <= NF; i++) if ($i ~ /^np=/) { split(substr($i, 4), part, "/"); policy = part[2] "." part[1] }
        gsub(/-/, ".", policy)
        for (i = 2; i <= NF; i++) if ($i in direction) has[policy " " direction[$i]] = 1
      }
      # Kube-OVN 1.8 and 1.9 write the name of a policy that begins with a digit without the letters that others put before it.
      $1 == "wanted" {
        bare = $2
        sub(/^np/, "", bare)
        if (!(($2 " " $3) in has) && !(bare ~ /^[0-9]/ && (bare " " $3) in has)) print "lacking " $2 " " $3
      }')
    [ -n "$lacking" ] || break
  fi
  [ "$(date +%s)" -lt "$until" ] || break
  sleep 1
done
behind=
if [ "$code" -eq 0 ] && [ -z "$lacking" ]; then
  # Every node has taken it over when its controller tells the number that northd has counted up to now.
  ask ovn-nbctl "$NB" '--wait=sb sync'
  [ "$code" -ne 0 ] || ask ovn-nbctl "$NB" 'get NB_Global . nb_cfg'
  number=$said
  until=$(($(date +%s) + ${WATCH:-45}))
  while [ "$code" -eq 0 ]; do
    ask ovn-sbctl "$SB" "$table --columns=name,nb_cfg list Chassis_Private"
    [ "$code" -eq 0 ] || break
    behind=$({
      printf '%s\n' "$said" | sed -e 's/[",]/ /g' -e 's/^/row /'
      listed CHASSIS | sed -e 's/^/wanted /'
    } | awk -v "number=$number" '
      $1 == "row" { told[$2] = $3 }
      $1 == "wanted" && (!($2 in told) || told[$2] + 0 < number + 0) { print "behind " $2 }')
    [ -n "$behind" ] || break
    [ "$(date +%s)" -lt "$until" ] || break
    sleep 1
  done
fi
if [ "$code" -ne 0 ]; then
  printf '%s\n' "$said" >"$out"
  exit 1
fi
{
  echo "policies $(listed WANTED | wc -l)"
  printf '%s\n' "$lacking" "$behind" | awk '{ n += length($0) + 1 } NF && n < 3800'
} >"$out"
