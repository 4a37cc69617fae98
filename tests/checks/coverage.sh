#!/usr/bin/env bash
# Prints lines and branches (taken at least once, gcov -b) of each of our source files by area, the
# least covered first, then the sums of the four areas that issue 3 names against its aim. Asserts are
# compiled out: their other branch cannot be taken. tests/COVERAGE.md explains what is left.
# Usage: coverage.sh BUILD_FOLDER (built with preset coverage, tests run); status 1: below the aim
set -euo pipefail
build=$(cd "${1:?usage: coverage.sh BUILD_FOLDER}" && pwd)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

aim=95
table=$(find "$build"/{common,protocol,client,server} -name '*.gcda' -print0 |
  xargs -0r gcov -b -n -r -s "$PWD" 2>/dev/null | awk '
    function area(file) {
      if (file ~ /^protocol\/(merge|apply|conflict|version|dot|hlc)/) return "merge"
      if (file ~ /^protocol\//) return "codec"
      if (file ~ /^(client|server)\/core\//) return "sessions"
      if (file ~ /^common\/store/) return "store"
      return "rest"
    }
    /^File / { gsub(/\x27/, "", $2); file = $2 }
    /^Lines executed:/ { split($0, part, /[:%]/); line_share = part[2]; lines = $NF }
    /^Taken at least once:|^No branches/ {
      if (file !~ /\.c$/) next
      share = 100; branches = 0
      if ($1 == "Taken") { split($0, part, /[:%]/); share = part[2]; branches = $NF }
      a = area(file)
      printf "%s 1 %6.1f%% of %5d branches %6.1f%% of %5d lines  %s\n", a, share, branches, line_share, lines, file
      hit[a] += share * branches / 100; all[a] += branches
      line_hit[a] += line_share * lines / 100; line_all[a] += lines
      file = ""
    }
    END {
      for (a in all)
        printf "%s 2 %6.1f%% of %5d branches %6.1f%% of %5d lines  all of %s\n", a,
               all[a] ? 100 * hit[a] / all[a] : 100, all[a], 100 * line_hit[a] / line_all[a], line_all[a], a
    }' | sort -k1,1 -k2,2n -k3,3n)
[[ -n $table ]] || { echo "no coverage data in $build" >&2; exit 1; }
awk '$2 == 1' <<<"$table" | cut -d' ' -f1,3-
echo
awk -v aim=$aim '$2 == 2 && $1 != "rest" {
    share = $3 + 0
    printf "%-9s %5.1f%% of %d branches, %s %d %%\n", $1, share, $5, share < aim ? "below" : "reaches", aim
    below += share < aim
  }
  END { exit below > 0 }' <<<"$table"
