#!/bin/bash
# run.sh HTTP_PORT TRANSPORT_PORT HOME [setting=value ...]: runs the node on 127.0.0.1 until it is killed.
# It prints "READY http://127.0.0.1:PORT" when it takes requests.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
lib=${OPENSEARCH_LIB:-$here/../../../target/opensearch/lib}
exec "${JAVA:-java}" -Xms512m -Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
  -Dlog4j2.configurationFile="$here/log4j2.properties" -cp "$lib/*" TestNode "$@"
