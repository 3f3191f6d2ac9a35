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
downloads=$venv/downloads
log=.venv-install.log
needed_mb=3500  # measured at the fullest moment: 2840 MB of packages and 610 MB of downloads
no_network='NewConnectionError|Timeout|timed out|ProxyError|SSLError|Connection (broken|reset|aborted)|unreachable'

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

run_pip() { # no questions, because nobody would see them; no cache, because it would take 860 MB more
  TMPDIR=$PWD/$downloads "$venv/bin/python" -m pip --disable-pip-version-check --no-input --no-cache-dir "$@"
}

show_progress() { # on a terminal, one line rewritten in place
  local n=0 word package
  while read -r word package _; do
    [[ -t 1 ]] || continue
    case $word in
    Collecting) printf '\r\033[K  fetching package %d: %s' $((n += 1)) "${package%%[=<>]*}" ;;
    Installing) printf '\r\033[K  unpacking: this takes the longest' ;;
    esac
  done
  [[ ! -t 1 ]] || printf '\r\033[K'
}

log_line() { # the last line of the log that matches $1, without pip's memory addresses; fails without one
  grep -E "$1" "$log" | tail -n 1 | sed 's/^WARNING: Retrying.* broken by //; s/<[^>]*>: //' | cut -c 1-200
}

explain() { # makes one message of what pip wrote
  local line again="and run make install again"
  if line=$(log_line 'No space left on device'); then
    stop "the disk filled up while pip was working" "$line" \
      "$needed_mb MB in $PWD" "free some space $again"
  elif line=$(log_line "$no_network"); then
    stop "pip could not reach the package index" "$line" "a connection to PyPI or to a mirror of it" \
      "mend the connection, or name a mirror (PIP_INDEX_URL) or a proxy (HTTPS_PROXY), $again"
  elif line=$(log_line 'No matching distribution found'); then
    stop "the package index has nothing that fits this system" "$line" \
      "an index with all of PyPI, and glibc 2.28 or newer (ldd --version tells)" \
      "check the index that $log names (and the connection to it) $again"
  fi
  line=$(log_line 'ERROR') || line=$(sed '/^WARNING/d' "$log" | tail -n 1)
  stop "pip failed" "${line:-not a word in $log}" "every package of requirements-dev.txt, in agreement with the others" \
    "read $log, mend what it names $again"
}

[[ $(uname -sm) == "Linux x86_64" ]] || stop "no packages for this system" "$(uname -sm)" \
  "Linux x86_64: TensorFlow Text 2.15, which TF Model Garden needs, is not published for ARM" \
  "use a Linux x86_64 machine or container"

# One at a time: two `make` commands in one checkout would build over each other.
exec 9<requirements.txt
flock -n 9 || { echo "another command is preparing .venv; waiting for it" && flock 9; }
! up_to_date || exit 0

find_python
rm -rf "$venv"
free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
((free_mb >= needed_mb)) || stop "too little disk space" "$free_mb MB free in $PWD" "$needed_mb MB" \
  "free some space, or clone to a disk that has it"

echo "preparing .venv with $python: two to three minutes, 3 GB; details in $log"
trap '[[ -f $stamp ]] || rm -rf "$venv"' EXIT
trap 'exit 130' INT
{
  "$python" -m venv "$venv" && mkdir "$downloads" &&
    run_pip install --requirement requirements-build.txt &&
    run_pip install --no-build-isolation --requirement requirements-dev.txt &&
    run_pip check
} 2>&1 | tee "$log" | show_progress || explain

rm -rf "$downloads"
built_from "$venv/bin/python" >"$stamp"
echo ".venv is ready after $SECONDS seconds"
