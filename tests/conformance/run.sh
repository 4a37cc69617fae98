#!/usr/bin/env bash
# run.sh [nmap|testssl|slow ...] - nmap's TLS scripts, testssl.sh and slowhttptest against the real server
# on loopback; what they find goes to RESULTS.md beside this file. Installs nothing: `./dev conformance`
# does, and builds the programs. SATCHEL_BIN: where they are.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

missing=()
for tool in nmap:nmap testssl:testssl.sh slowhttptest:slowhttptest node:nodejs; do
  command -v "${tool%%:*}" >/dev/null || missing+=("${tool#*:}")
done
if ((${#missing[@]})); then
  echo "run.sh: these Debian packages are missing: ${missing[*]} (./dev conformance installs them)" >&2
  exit 1
fi
exec node suites.js "$@"
