#!/usr/bin/env bash
# Builds .venv from the pinned packages, or finds it up to date and does nothing (`make install`).
#
# The Python chooses the line of packages: 3.11 and 3.10 take TensorFlow 2.15 (requirements.txt), 3.12 and
# 3.13 take TensorFlow 2.20 (requirements-2.20.txt). BASE_PYTHON=/path/to/python3.12 names it; without that
# the first fit one on PATH is taken, 3.11 before all others: on its line every test runs, and with every
# witness. Who has only what newer systems bring (Ubuntu 24.04: 3.12, Debian 13: 3.13) gets the second line
# without a word more.
# .venv/prepared is written last and says what the environment was built from. A .venv without it, or
# with another one, is built anew, so an interrupted or outdated environment is never used.
# What pip says goes to .venv-install.log.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv=.venv
stamp=$venv/prepared
downloads=$venv/downloads
log=.venv-install.log
needed_mb=4500  # measured at the fullest moment, downloads and all: 4410 MB on the second line, 3450 on the first
tried=(python3.11 python3.10 python3.12 python3.13 python3 python)
no_network='NewConnectionError|Timeout|timed out|ProxyError|SSLError|Connection (broken|reset|aborted)|unreachable'

stop() { # what is wrong, what was found, what is needed, the next move
  printf 'cannot prepare .venv: %s\n  found:  %s\n  needed: %s\n  next:   %s\n' "$@" >&2
  exit 1
}

version_of() { # "3.11" if the Python $1 can make environments, else why it cannot
  "$1" - 2>/dev/null <<'PYTHON' || echo "does not run"
import sys
version = "%d.%d" % sys.version_info[:2]
for name in "venv", "ensurepip", "ssl", "zlib":
    try:
        __import__(name)
    except ImportError:
        version += " without its %s module" % name
        break
print(version)
PYTHON
}

pins_for() { # the pins of the line that Python version $1 takes; fails without one
  case $1 in
  3.1[01]) echo requirements.txt ;;
  3.1[23]) echo requirements-2.20.txt ;;
  *) return 1 ;;
  esac
}

built_from() { # what an environment made by the Python $1 is stamped with
  local version pins
  version=$(version_of "$1")
  pins=$(pins_for "$version") || return 0
  echo "Python $version, $pins $(cat requirements-build.txt "$pins" requirements-dev.txt | sha256sum | cut -c 1-16), in $PWD"
}

up_to_date() {
  [[ -f $stamp && $(<"$stamp") == "$(built_from "$venv/bin/python")" ]] &&
    [[ -z ${BASE_PYTHON:-} || $(<"$stamp") == "$(built_from "$BASE_PYTHON")" ]]
}

find_python() { # sets `python`, its `version` and the `pins` of its line, and what was `seen` before it
  local candidates next
  if [[ -n ${BASE_PYTHON:-} ]]; then
    candidates=$BASE_PYTHON
  else
    candidates=$(type -aP "${tried[@]}" || true)
  fi
  seen=""
  while read -r python && [[ -n $python ]]; do
    version=$(version_of "$python")
    ! pins=$(pins_for "$version") || return 0
    seen+="${seen:+; }$python: $version"
  done <<<"$candidates"

  next="install Python 3.11 or 3.12, or name one: make install BASE_PYTHON=/path/to/python3.12"
  if [[ $seen =~ (3\.1[0-3])" without its "(venv|ensurepip) ]]; then
    next="install its venv module (Debian, Ubuntu: apt install python${BASH_REMATCH[1]}-venv)"
  elif [[ $seen =~ (3\.1[0-3])" without its "(ssl|zlib) ]]; then
    next="build Python ${BASH_REMATCH[1]} again where its headers are (Debian, Ubuntu: apt install libssl-dev zlib1g-dev)"
  fi
  stop "no fit Python" "${seen:-none of ${tried[*]} on PATH}" \
    "Python 3.10 to 3.13 with venv, ssl and zlib; TensorFlow 2.15 and 2.20 have no packages for any other" \
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
  stop "pip failed" "${line:-not a word in $log}" "every package of $pins, in agreement with the others" \
    "read $log, mend what it names $again"
}

[[ $(uname -sm) == "Linux x86_64" ]] || stop "no packages for this system" "$(uname -sm)" \
  "Linux x86_64, which the pins are for; TensorFlow Text 2.15, which TF Model Garden needs, has no others" \
  "use a Linux x86_64 machine or container"

# One at a time: two `make` commands in one checkout would build over each other.
exec 9<requirements.txt
flock -n 9 || { echo "another command is preparing .venv; waiting for it" && flock 9; }
! up_to_date || exit 0

find_python
before=$(cut -d , -f 1 "$stamp" 2>/dev/null || true)
[[ -z $before || $before == "Python $version" ]] ||
  echo "replacing the .venv of $before by one of Python $version;" \
    "make install BASE_PYTHON=${before/P*n /python} builds it again"
rm -rf "$venv"
free_mb=$(df -Pm . | awk 'NR == 2 { print $4 }')
((free_mb >= needed_mb)) || stop "too little disk space" "$free_mb MB free in $PWD" "$needed_mb MB" \
  "free some space, or clone to a disk that has it"

[[ -z $seen ]] || echo "passed over: $seen"
echo "preparing .venv with $python and $pins: two to three minutes, 3 GB; details in $log"
trap '[[ -f $stamp ]] || rm -rf "$venv"' EXIT
trap 'exit 130' INT
{
  "$python" -m venv "$venv" && mkdir "$downloads" &&
    run_pip install --requirement requirements-build.txt &&
    run_pip install --no-build-isolation --requirement "$pins" --requirement requirements-dev.txt &&
    run_pip check
} 2>&1 | tee "$log" | show_progress || explain

rm -rf "$downloads"
built_from "$venv/bin/python" >"$stamp"
echo ".venv is ready after $SECONDS seconds"
