#!/bin/sh
# Starts kubectl-ovncilium for Helm: the one beside this file (a packaged plugin), else the one on PATH (a checkout).
# Of a program that is missing or made for another machine Helm says "exec format error" at best, and Helm 4 says nothing
# at all of a post-renderer; so this looks first, and tells where people read it.
# `launch.sh --hook` is called by Helm after an installation: it brings the post-renderer's name to PATH, for Helm 3.
set -u

here=${0%/*}
name=kubectl-ovncilium
post_renderer=ovncilium-post-renderer

# What is wrong, why, what to do next; never returns.
refuse() {
  text="ovncilium: $1

  $2

stopped: nothing was installed or changed (exit code 9)
next: $3"
  printf '%s\n' "$text" >&2
  # As the program itself does it: Helm 4 drops the stderr of a post-renderer, so there is a file, and helm's own stderr.
  if [ "${HELM_PLUGIN_NAME-}" = "$post_renderer" ]; then
    report=${OVNCILIUM_REPORT:-${XDG_STATE_HOME:-${HOME-}/.local/state}/ovncilium/post-render-report.txt}
    case $report in */*) mkdir -p "${report%/*}" ;; esac
    (umask 077 && printf '%s\n' "$text" >"$report")
    tell_past_helm
  fi
  exit 9
}

tell_past_helm() {
  stderr=/proc/$PPID/fd/2
  if [ -f "$stderr" ]; then
    # What is appended to a file stays only where helm appends as well: O_APPEND is 02000.
    case $(sed -n 's/^flags:[[:space:]]*//p' "/proc/$PPID/fdinfo/2") in
    *[2367]???) ;;
    *) stderr=/dev/tty ;;
    esac
  elif [ ! -e "$stderr" ]; then
    stderr=/dev/tty
  fi
  { printf '%s\n' "$text" >>"$stderr"; } 2>/dev/null
}

# Sets `program`.
find_program() {
  program=$here/$name
  if [ ! -f "$program" ]; then
    program=$(command -v "$name") || refuse "the plugin has no program" \
      "there is no $name in $here, and none on PATH" \
      "install a package of this plugin that holds it (docs/post-renderer.md), or put $name on PATH"
  fi
  [ -x "$program" ] || refuse "the plugin's program cannot be run" "$program is not executable" \
    "run \`chmod +x $program\`, or install the plugin again"
  machine=$(uname -sm)
  case $machine in Linux*) ;; *) return ;; esac
  command -v od >/dev/null || return
  # ELF: magic in bytes 0 to 3, the machine's number from byte 18 on.
  header=$(od -An -tx1 -N20 "$program" | tr -d ' \n')
  case $header in
  7f454c46*3e00) made_for=x86_64 ;;
  7f454c46*b700) made_for=aarch64 ;;
  2321*) return ;; # a script
  7f454c46*) made_for='another architecture' ;;
  *) made_for='another system' ;;
  esac
  [ "$machine" = "Linux $made_for" ] || refuse "the plugin's program is for another machine" \
    "$program is for $made_for, this is $machine" \
    "install the package for this machine, or remove $program and put a $name for this machine on PATH"
}

# After `helm plugin install` and `helm plugin update`.
hook() {
  find_program
  printf 'ovncilium: the program is %s\n' "$program"
  found=$(command -v "$post_renderer")
  if [ -n "$found" ] && [ "$(readlink -f "$found")" != "$(readlink -f "$program")" ]; then
    printf 'ovncilium: Helm 3 would run %s, which is another program: replace it by a link to this one\n' "$found"
    return
  fi
  for directory in "${HOME-}/.local/bin" "${HOME-}/bin" /usr/local/bin; do
    [ -z "$found" ] || break
    case :$PATH: in *:"$directory":*) ;; *) continue ;; esac
    if [ -w "$directory" ] && [ ! -e "$directory/$post_renderer" ] && ln -sf "$program" "$directory/$post_renderer"; then
      found=$directory/$post_renderer
    fi
  done
  if [ -n "$found" ]; then
    printf 'ovncilium: Helm 3 finds `--post-renderer %s` as %s\n' "$post_renderer" "$found"
  else
    printf 'ovncilium: Helm 3 finds no `--post-renderer %s`, and no directory of PATH could take it: run\n' "$post_renderer"
    printf '  ln -s %s DIRECTORY/%s    # a DIRECTORY of PATH\n' "$program" "$post_renderer"
  fi
  printf 'ovncilium: Helm 4 wants the plugin %s for it; do not install that one where Helm 3 is used\n' "$post_renderer"
}

if [ "${1-}" = --hook ]; then
  hook
  exit
fi
find_program
exec "$program" "$@"
