# Tells which of the Services in TARGETS_0, TARGETS_1, … (`ADDRESS:PORT/KIND`, separated by commas) do not answer from where this runs: `tcp`
# takes a connection, `dns` answers, `health` says 200 as to a load balancer. Each is asked up to three times: one packet may be lost.
set -eu
out=${OUT:-/dev/termination-log}
ask='
  set -f
  target=$1
  kind=${target##*/}
  place=${target%/*}
  host=${place%:*}
  port=${place##*:}
  for try in 1 2 3; do
    if [ "$kind" = tcp ]; then
      timeout 3 bash -c "exec 3<>/dev/tcp/$host/$port" 2>/dev/null && exit 0
    elif [ "$kind" = health ]; then
      answer=$(timeout 3 bash -c "exec 3<>/dev/tcp/$host/$port
        printf \"GET /healthz HTTP/1.0\\r\\n\\r\\n\" >&3
        head -n 1 <&3" 2>/dev/null) || :
      case $answer in HTTP/1.?" 200"*) exit 0 ;; esac
    else
      # Any answer of a DNS server will do. No byte of the question is a line break, at which bash would cut the datagram.
      answer=$(timeout 3 bash -c "exec 3<>/dev/udp/$host/$port
        printf \"\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x07default\\x03svc\\x07cluster\\x05local\\x00\\x00\\x01\\x00\\x01\" >&3
        head -c 2 <&3" 2>/dev/null | od -An -tx1 | tr -d " \n") || :
      [ "$answer" != 1234 ] || exit 0
    fi
  done
  echo "silent $target"'
targets=$(env | sed -n 's/^TARGETS_[0-9]*=//p' | tr ',' '\n' | sed -e '/^$/d' | sort)
silent=$(printf '%s\n' "$targets" | sed -e '/^$/d' | xargs -r -n 1 -P 16 bash -c "$ask" ask)
{
  echo "asked $(printf '%s\n' "$targets" | sed -e '/^$/d' | wc -l)"
  printf '%s\n' "$silent" | sort | awk '{ n += length($0) + 1 } NF && n < 3800'
} >"$out"
