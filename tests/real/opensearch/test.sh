#!/bin/bash
# test.sh [HTTP_PORT]: the elasticsearch sink against a real OpenSearch. Needs a JDK 17 and Maven the first time.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
port=${1:-19200}
"$here/setup.sh"
home=$(mktemp -d)
"$here/run.sh" "$port" "$((port + 100))" "$home" >"$home/log" 2>&1 &
node=$!
trap 'kill "$node" 2>/dev/null; wait "$node" 2>/dev/null; rm -rf "$home"' EXIT
for _ in $(seq 120); do
  grep -q READY "$home/log" && break
  kill -0 "$node" 2>/dev/null || { cat "$home/log" >&2; exit 1; }
  sleep 1
done
cd "$root"
# One thread: a test narrows the whole cluster's shard limit for a moment.
TIDEGATE_TEST_OPENSEARCH=http://127.0.0.1:$port cargo test -p tidegate-sinks --test opensearch -- --test-threads 1
