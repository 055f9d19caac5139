#!/bin/bash
# jdk.sh VERSION: prints the home of a JDK of this version or a later one; fails where there is none.
set -euo pipefail

# fits HOME: whether it is such a JDK.
fits() {
  local said
  said=$("$1/bin/javac" -version 2>&1) || return 1
  [[ $said =~ ^javac\ ([0-9]+) ]] && ((BASH_REMATCH[1] >= wanted))
}

wanted=$1
path=$(command -v javac || true)
[ -z "$path" ] || path=$(dirname "$(dirname "$(readlink -f "$path")")")
for home in "${JAVA_HOME:-}" "$path" /usr/lib/jvm/* /opt/*jdk*; do
  if [ -n "$home" ] && [ -x "$home/bin/java" ] && fits "$home"; then
    printf '%s\n' "$home"
    exit 0
  fi
done
echo "there is no JDK $wanted or later; set JAVA_HOME" >&2
exit 1
