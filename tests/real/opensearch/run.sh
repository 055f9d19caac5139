#!/bin/bash
# run.sh DIR HTTP_PORT TRANSPORT_PORT HOME [setting=value ...]: starts what setup.sh put into DIR; data below HOME.
#
# JAVA_OPTIONS: more options of the runtime.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=$1
shift
# shellcheck disable=SC2086
exec "$(cat "$dir/java")" -Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 ${JAVA_OPTIONS:-} \
  -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$dir/lib/*" TestNode "$@"
