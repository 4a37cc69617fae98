#!/usr/bin/env bash
# Prints the line coverage of each of our source files, the least covered first.
# Usage: coverage.sh BUILD_FOLDER (built with preset coverage, tests run)
set -euo pipefail
build=$(cd "${1:?usage: coverage.sh BUILD_FOLDER}" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

find "$build"/{common,protocol,client,server} -name '*.gcda' -print0 |
  xargs -0r gcov -n -r -s "$PWD" 2>/dev/null | awk '
    /^File / { gsub(/\x27/, "", $2); file = $2 }
    /^Lines executed:/ && file ~ /\.c$/ {
      split($0, part, /[:%]| of /)
      lines = $NF
      printf "%6.1f%% %6d  %s\n", part[2], lines, file
      hit += part[2] * lines / 100
      total += lines
      file = ""
    }
    END { if (total) printf "%6.1f%% %6d  all\n", 100 * hit / total, total }' | sort -n
