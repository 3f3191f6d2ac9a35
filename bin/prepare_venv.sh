#!/usr/bin/env bash
# Builds .venv from the pinned packages, or finds it up to date and does nothing (`make install`).
#
# BASE_PYTHON=/path/to/python3.11 names the interpreter; without it the first fit one on PATH is taken.
# .venv/prepared is written last and says what the environment was built from. A .venv without it, or
# with another one, is built anew, so an interrupted or outdated environment is never used.
# What pip says goes to .venv-install.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp=$venv/prepared
log=.venv-install.log
venv_mb=3500
download_mb=1000

stop() { # what is wrong, what was found, what is needed, the next move
  printf 'cannot prepare .venv: %s\n  found:  %s\n  needed: %s\n  next:   %s\n' "$@" >&2
  exit 1
}

version_of() { # "3.11" if the Python $1 can make environments, else why it cannot
  "$1" - 2>/dev/null <<'PYTHON' || echo "does not run"
import sys
version = "%d.%d" % sys.version_info[:2]
try:
    import ensurepip, venv
except ImportError:
    version += " without its venv module"
print(version)
PYTHON
}

built_from() { # what an environment made by the Python $1 is stamped with
  echo "Python $(version_of "$1"), requirements $(cat requirements*.txt | sha256sum | cut -c 1-16), in $PWD"
}

up_to_date() {
  [[ -f $stamp && $(<"$stamp") == "$(built_from "$venv/bin/python")" ]] &&
    [[ -z ${BASE_PYTHON:-} || $(<"$stamp") == "$(built_from "$BASE_PYTHON")" ]]
}

find_python() { # sets `python`
  local candidates version seen="" next
  if [[ -n ${BASE_PYTHON:-} ]]; then
    candidates=$BASE_PYTHON
  else
    candidates=$(type -aP python3.11 python3.10 python3 python || true)
  fi
  while read -r python && [[ -n $python ]]; do
    version=$(version_of "$python")
    [[ $version != 3.1[01] ]] || return 0
    seen+="${seen:+; }$python: $version"
  done <<<"$candidates"

  next="install Python 3.11, or name one: make install BASE_PYTHON=/path/to/python3.11"
  if [[ $seen =~ (3\.1[01])" without its venv" ]]; then
    next="install its venv module (Debian, Ubuntu: apt install python${BASH_REMATCH[1]}-venv)"
  fi
  stop "no fit Python" "${seen:-no python3.11, python3.10, python3 or python on PATH}" \
    "Python 3.11 or 3.10 with venv; TensorFlow Addons 0.23 has no packages for any newer Python" \
    "$next"
}

check_room() { # the folder, the megabytes it needs, what for, the next move
  local free
  free=$(df -Pm "$1" | awk 'NR == 2 { print $4 }')
  ((free >= $2)) || stop "too little disk space" "$free MB free in $1" "$2 MB for $3" "$4"
}

show_progress() { # on a terminal, one line rewritten in place
  local n=0 word package
  while read -r word package _; do
    [[ -t 1 ]] || continue
    case $word in
    Collecting) printf '\r\033[K  fetching package %d: %s' $((n += 1)) "${package%%[=<>]*}" ;;
    Installing) printf '\r\033[K  unpacking all of them, about a minute' ;;
    esac
  done
  [[ ! -t 1 ]] || printf '\r\033[K'
}

explain_pip() { # turns what pip wrote into one message
  local found next
  found=$(grep -E 'ERROR|error:' "$log" | tail -n 2 | cut -c 1-300 | paste -sd '|' | sed 's/|/\n          /g')
  next="read $log, mend what it names and run make install again"
  if grep -q 'No space left on device' "$log"; then
    stop "the disk filled up while pip was working" "$found" \
      "$venv_mb MB here and $download_mb MB in ${TMPDIR:-/tmp}" "free some space and run make install again"
  elif grep -qE '\(from versions: [0-9]' "$log"; then
    stop "a pinned package is not offered for this Python and system" "$found" \
      "Linux x86_64 with glibc 2.28 or newer, Python 3.10 or 3.11" "$next"
  elif grep -qE 'NewConnectionError|ConnectTimeout|Read timed out|ReadTimeout|ProxyError|SSLError|Connection (broken|reset)|Network is unreachable' "$log"; then
    stop "pip could not reach the package index" "$found" "a connection to the Python package index" \
      "mend the connection, or name a mirror (PIP_INDEX_URL) or proxy (HTTPS_PROXY), and run make install again"
  fi
  stop "pip failed" "$found" "all packages of requirements-dev.txt" "$next"
}

# One at a time: two `make` commands in one checkout would build over each other.
exec 9<requirements.txt
flock -n 9 || { echo "another command is preparing .venv; waiting for it" && flock 9; }
! up_to_date || exit 0

[[ $(uname -sm) == "Linux x86_64" ]] || stop "no packages for this system" "$(uname -sm)" \
  "Linux x86_64; TensorFlow Text 2.15, which TF Model Garden needs, has no packages for Linux on ARM or Apple silicon" \
  "use a Linux x86_64 machine or container"
find_python
rm -rf "$venv"
check_room . $venv_mb ".venv" "free some space, or clone to a disk that has it"
check_room "${TMPDIR:-/tmp}" $download_mb "pip's downloads" \
  "free some space, or set TMPDIR to a folder that has it"

echo "preparing .venv with $python: about 2 minutes and 3 GB; details in $log"
trap '[[ -f $stamp ]] || rm -rf "$venv"' EXIT
"$python" -m venv "$venv" >"$log" 2>&1 || explain_pip
# --use-pep517 and the constraint build promise and seqeval with the pinned setuptools.
# --no-input because a question would not be seen.
PIP_CONSTRAINT=requirements.txt "$venv/bin/python" -m pip --disable-pip-version-check --no-input \
  install --use-pep517 --progress-bar off --requirement requirements-dev.txt 2>&1 |
  tee -a "$log" | show_progress || explain_pip
"$venv/bin/python" -m pip check >>"$log" 2>&1 || explain_pip

built_from "$venv/bin/python" >"$stamp"
echo ".venv is ready after $SECONDS seconds"
