#!/usr/bin/env bash
# Installs the build to a temporary folder and uses it as a stranger would: through pkg-config,
# shared and static. libsatchel.so exports exactly the functions that satchel.h declares.
# Usage: package.sh BUILD_FOLDER
set -euo pipefail
build=${1:?usage: package.sh BUILD_FOLDER}
if [[ ! -e $build/lib/libsatchel.so || ! -e $build/lib/libsatchel.a ]]; then
  echo "package: there is no libsatchel yet"
  exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
prefix=$scratch/prefix
cmake --install "$build" --prefix "$prefix" >"$scratch/install.log" || {
  cat "$scratch/install.log" >&2
  exit 1
}
pc=$(find "$prefix" -name satchel.pc)
lib=$(dirname "$(dirname "$pc")")
export PKG_CONFIG_PATH=${pc%/*}

# gcc writes down every prototype that it saw, with its file.
printf '#include <satchel.h>\n' >"$scratch/declared.c"
gcc -std=c11 -I "$prefix/include" -aux-info "$scratch/prototypes" -fsyntax-only "$scratch/declared.c"
# (Types of functions end in _fn.)
grep -F "/satchel.h:" "$scratch/prototypes" | grep -oE '\bsatchel_[a-z0-9_]+ \(' | tr -d ' (' |
  grep -v '_fn$' | sort -u >"$scratch/declared"
nm -D --defined-only "$lib/libsatchel.so" | awk '{ print $NF }' | sed 's/@.*//' | sort -u \
  >"$scratch/exported"
if ! diff "$scratch/declared" "$scratch/exported" >"$scratch/difference"; then
  cat "$scratch/difference" >&2
  echo "package: satchel.h (<) and what libsatchel.so exports (>) differ" >&2
  exit 1
fi
nm --defined-only --extern-only "$lib/libsatchel.a" | awk 'NF == 3 { print $3 }' | sort -u \
  >"$scratch/static_exported"
if ! diff "$scratch/declared" "$scratch/static_exported" >"$scratch/difference"; then
  cat "$scratch/difference" >&2
  echo "package: satchel.h (<) and the global symbols of libsatchel.a (>) differ" >&2
  exit 1
fi

{
  printf '#include <satchel.h>\n#include <stdio.h>\n\ntypedef void (*any)(void);\n'
  printf 'static any functions[] = {\n'
  sed 's/.*/    (any)&,/' "$scratch/declared"
  printf '};\n\nint main(void)\n{\n    size_t i;\n'
  printf '    for (i = 0; i < sizeof functions / sizeof functions[0]; i++) {\n'
  printf '        if (functions[i] == NULL) {\n            return 1;\n        }\n    }\n'
  printf '    puts("linked");\n    return 0;\n}\n'
} >"$scratch/program.c"

cd "$scratch"
# shellcheck disable=SC2046
cc -std=c11 -Wall -Wextra -Werror -o shared program.c $(pkg-config --cflags --libs satchel)
LD_LIBRARY_PATH=$lib ./shared >/dev/null
# shellcheck disable=SC2046
cc -std=c11 -Wall -Wextra -Werror -o static program.c $(pkg-config --cflags satchel) \
  "$lib/libsatchel.a" $(pkg-config --static --libs-only-l satchel | sed 's/-lsatchel//')
./static >/dev/null
for program in "$prefix"/bin/*; do
  [[ -x $program ]] || { echo "package: $program cannot be run" >&2; exit 1; }
done
echo "package: $(wc -l <declared) functions, linked shared and static"
