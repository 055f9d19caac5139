#!/bin/bash
# setup.sh VERSION DIR: puts an OpenSearch of this version (2 or 3) that run.sh can start into DIR/lib; does nothing where
# it is there already.
#
# JAVA_HOME: the JDK that makes and runs it (default: what is on the path). MAVEN_REPO: a folder for what Maven downloads
# (default: Maven's own).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$here/$1
mkdir -p "$2"
dir=$(cd "$2" && pwd)
bin=${JAVA_HOME:+$JAVA_HOME/bin/}

stamp=$(cat "$version/pom.xml" "$version/Parts.java" "$here/TestNode.java" | sha256sum)
if [ -f "$dir/stamp" ] && [ "$(cat "$dir/stamp")" = "$stamp" ] && [ -x "$(cat "$dir/java" 2> /dev/null)" ]; then
  exit 0
fi
rm -rf "$dir/stamp" "$dir/lib" "$dir/classes"
mkdir "$dir/classes"
# Its own runtime is good for Maven.
env -u JAVA_HOME mvn --quiet --batch-mode --file "$version/pom.xml" ${MAVEN_REPO:+-Dmaven.repo.local="$MAVEN_REPO"} \
  dependency:copy-dependencies -DoutputDirectory="$dir/lib"
# As a jar: a server's class path holds jars only.
"${bin}javac" -cp "$dir/lib/*" -d "$dir/classes" "$here/TestNode.java" "$version/Parts.java"
"${bin}jar" cf "$dir/lib/test-node.jar" -C "$dir/classes" .
rm -rf "$dir/classes"
command -v "${bin}java" > "$dir/java"
printf '%s\n' "$stamp" > "$dir/stamp"
