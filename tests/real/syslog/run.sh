#!/bin/bash
# run.sh DIR rsyslog|syslog-ng HOME: starts what setup.sh put into DIR with HOME/config; it ends with whoever started it.
set -euo pipefail
root=$(cd "$1/root" && pwd)
libraries=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
home=$3
case $2 in
  rsyslog)
    export LD_LIBRARY_PATH=$libraries
    exec setpriv --pdeathsig KILL "$root/usr/sbin/rsyslogd" -n -M "$root/usr/lib/x86_64-linux-gnu/rsyslog" \
      -f "$home/config" -i "$home/pid"
    ;;
  syslog-ng)
    export LD_LIBRARY_PATH=$root/usr/lib/syslog-ng:$libraries
    exec setpriv --pdeathsig KILL "$root/usr/sbin/syslog-ng" -F --no-caps --module-path="$root/usr/lib/syslog-ng/3.38" \
      -f "$home/config" -R "$home/persist" -p "$home/pid" -c "$home/control"
    ;;
esac
