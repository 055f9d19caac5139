#!/bin/bash
# setup.sh DIR: unpacks Debian's rsyslog and syslog-ng into DIR/root, without installing them (they cannot be installed side by
# side); does nothing where they are there already.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
packages='rsyslog rsyslog-openssl libestr0 libfastjson4 liblognorm5 syslog-ng-core libivykis0 libnet1 libpcre3 libwrap0'

stamp=$(sha256sum < "$here/setup.sh")
if [ -f "$dir/stamp" ] && [ "$(cat "$dir/stamp")" = "$stamp" ]; then
  exit 0
fi
if ! command -v apt-get > /dev/null || ! command -v dpkg > /dev/null; then
  echo 'needed for rsyslog and syslog-ng: apt-get and dpkg' >&2
  exit 1
fi
rm -rf "$dir/stamp" "$dir/root" "$dir/debs"
mkdir -p "$dir/debs" "$dir/root"
cd "$dir/debs"
# shellcheck disable=SC2086
apt-get download -qq $packages 2> "$dir/download.log" || {
  apt-get update -qq
  apt-get download -qq $packages
}
for deb in *.deb; do
  dpkg -x "$deb" "$dir/root"
done
rm -rf "$dir/debs"
printf '%s\n' "$stamp" > "$dir/stamp"
