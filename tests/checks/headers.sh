#!/usr/bin/env bash
# Every header compiles alone, as C11 with our warnings; satchel.h also as C++ and without any
# include path of ours. Usage: headers.sh [SQLITE_INCLUDE_DIR]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

warnings=(-Wall -Wextra -Wpedantic -Wstrict-prototypes -Wundef -Wshadow -Werror)
read -ra packages < <(pkg-config --cflags libwebsockets msgpack jansson openssl libqrencode cmocka)
export flags="${warnings[*]} ${packages[*]} ${1:+-isystem $1}"

# The second include shows that the guard works, the declaration that it may be empty.
one()
{
  local header=$1 posix=
  case $header in
    common/os/* | */net/* | */api/* | */cli/* | */main/* | tests/*) posix=-D_POSIX_C_SOURCE=200809L ;;
  esac
  local own=-I.
  case $header in
    tests/bench/fan/* | tests/bench/cores/*) ;;
    client/cli/* | tests/bench/*) own=-Iclient/api ;;
  esac
  # shellcheck disable=SC2086
  printf '#include "%s"\n#include "%s"\nextern int unit_of_header;\n' "$PWD/$header" "$PWD/$header" |
    ${CC:-cc} -std=c11 $posix $flags "$own" -fsyntax-only -x c - || {
    echo "headers: $header does not compile alone" >&2
    return 1
  }
}
export -f one

mapfile -t headers < <(find common protocol client server tests -name '*.h' | sort)
if ((${#headers[@]} == 0)); then
  echo "headers: none yet"
  exit 77
fi
failed=0
printf '%s\n' "${headers[@]}" | xargs -P "$(nproc)" -I{} bash -c 'one "$1"' _ {} || failed=1

if [[ -f client/api/satchel.h ]]; then
  for language in 'cc -std=c11 -x c' 'c++ -std=c++11 -x c++'; do
    printf '#include "%s"\nint unit_of_header;\n' "$PWD/client/api/satchel.h" |
      $language -Wall -Wextra -Wpedantic -Wundef -Werror -fsyntax-only - || {
      echo "headers: satchel.h is not good for: $language" >&2
      failed=1
    }
  done
fi
echo "headers: ${#headers[@]} checked"
exit "$failed"
