#!/bin/bash
# setup.sh [TARGET]: a single-node OpenSearch from Maven Central, into TARGET (default: target/opensearch).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=${1:-$here/../../../target/opensearch}
mkdir -p "$target/classes"
target=$(cd "$target" && pwd)
[ -f "$target/lib/test-node.jar" ] && [ "$target/lib/test-node.jar" -nt "$here/TestNode.java" ] && exit 0
mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$target/lib"
javac -cp "$target/lib/*" -d "$target/classes" "$here/TestNode.java"
jar cf "$target/lib/test-node.jar" -C "$target/classes" .
