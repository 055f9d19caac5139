#!/bin/bash
# setup.sh DIR: puts an OpenSearch that run.sh can start into DIR/lib; does nothing where it is there already.
#
# MAVEN_REPO: a folder for what Maven downloads (default: Maven's own).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)

stamp=$(cat "$here/pom.xml" "$here/TestNode.java" | sha256sum)
if [ -f "$dir/stamp" ] && [ "$(cat "$dir/stamp")" = "$stamp" ]; then
  exit 0
fi
rm -rf "$dir/stamp" "$dir/lib" "$dir/classes"
mkdir "$dir/classes"
mvn --quiet --batch-mode --file "$here/pom.xml" ${MAVEN_REPO:+-Dmaven.repo.local="$MAVEN_REPO"} \
  dependency:copy-dependencies -DoutputDirectory="$dir/lib"
# As a jar: a server's class path holds jars only.
javac -cp "$dir/lib/*" -d "$dir/classes" "$here/TestNode.java"
jar cf "$dir/lib/test-node.jar" -C "$dir/classes" .
rm -rf "$dir/classes"
printf '%s\n' "$stamp" > "$dir/stamp"
