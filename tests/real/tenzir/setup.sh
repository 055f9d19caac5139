#!/bin/bash
# setup.sh DIR: Tenzir in a Python environment in DIR; does nothing where it is there already.
#
# PYTHON: the interpreter to begin with (default: python3). Takes some two minutes and 1.1 GB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

stamp=$(sha256sum < "$here/requirements.txt")
if [ -f "$1/stamp" ] && [ "$(cat "$1/stamp")" = "$stamp" ] && "$1/bin/tenzir" --version > /dev/null; then
  exit 0
fi
rm -rf "$1"
"${PYTHON:-python3}" -m venv "$1"
"$1/bin/python" -m pip --disable-pip-version-check --quiet install --requirement "$here/requirements.txt"
printf '%s\n' "$stamp" > "$1/stamp"
