#!/usr/bin/env bash
# The symbol check: what the cores' archives ask of others is nothing that does I/O, tells the time,
# draws random numbers, starts a thread or reads the environment (tests/checks/denied_symbols.txt).
#
# Usage: symbols.sh FOLDER_OF_ARCHIVES | symbols.sh --self-test
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

readonly cores=(common protocol client_core server_core store_mem)

# Prints "archive:object: symbol" for each denied one; returns 1 if there was any.
check()
{
  local folder=$1 core archives=() found
  for core in "${cores[@]}"; do
    if [[ -f $folder/libsatchel_$core.a ]]; then
      archives+=("libsatchel_$core.a")
    fi
  done
  if ((${#archives[@]} == 0)); then
    echo "symbols: no core library in $folder yet"
    return 77
  fi
  found=$(cd "$folder" && nm -A -u "${archives[@]}" | awk '
    FNR == NR { sub(/#.*/, ""); for (i = 1; i <= NF; i++) denied[$i] = 1; next }
    {
      name = $NF
      sub(/@.*/, "", name)
      plain = name
      sub(/^__isoc(99|23)_/, "", plain)
      if (plain ~ /^__.*_chk$/) { sub(/^__/, "", plain); sub(/_chk$/, "", plain) }
      short = plain
      sub(/64$/, "", short)
      if (name in denied || plain in denied || short in denied)
        print $1 " " name
    }' "$here/denied_symbols.txt" -)
  if [[ -n $found ]]; then
    printf '%s\n' "$found" >&2
    echo "symbols: a core reaches outside, see above; pass it in from the program instead" >&2
    return 1
  fi
  echo "symbols: ${#archives[@]} core libraries, clean"
}

# plant FOLDER SOURCE: a libsatchel_common.a made of the source.
plant()
{
  printf '%s\n' "$2" >"$1/planted.c"
  ${CC:-cc} -O2 -w -c -o "$1/planted.o" "$1/planted.c"
  rm -f "$1/libsatchel_common.a"
  ar rc "$1/libsatchel_common.a" "$1/planted.o"
}

self_test()
{
  local call
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  plant "$scratch" '#include <stdio.h>
    #include <string.h>
    int f(char *t, int n) { return snprintf(t, 9, "%d", n) + (int)strlen(t); }'
  check "$scratch" >/dev/null || { echo "self-test: an innocent object was refused" >&2; exit 1; }
  for call in 'time(0)' 'getrandom(p, 4, 0)' 'socket(1, 1, 0)' 'getenv("HOME")' 'puts("x")' \
              'pthread_self()' 'RAND_bytes(p, 4)' 'fopen64("x", "r")' '__printf_chk(1, "x")'; do
    plant "$scratch" "long f(void *p) { return (long)$call; }"
    if check "$scratch" >/dev/null 2>&1; then
      echo "self-test: $call was not found" >&2
      exit 1
    fi
  done
  echo "symbols: self-test passed"
}

case ${1:?usage: symbols.sh FOLDER | --self-test} in
  --self-test) self_test ;;
  *) check "$1" ;;
esac
