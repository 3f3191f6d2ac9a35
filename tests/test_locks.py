"""The locks hold what is pinned, with hashes, and nothing else."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([\w.-]+)==([^\s;\\#]+)", re.MULTILINE)


def pins(*names):
    found = [pin for name in names for pin in PIN.findall((ROOT / name).read_text())]
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


@pytest.mark.parametrize(
    ("lock", "pinned"),
    [
        ("requirements-build.lock", ["requirements-build.txt"]),
        (
            "requirements.lock",
            ["requirements.txt", "requirements-build.txt", "requirements-dev.txt"],
        ),
        (
            "requirements-2.20.lock",
            ["requirements-2.20.txt", "requirements-build.txt", "requirements-dev.txt"],
        ),
    ],
)
def test_what_is_pinned_is_locked(lock, pinned):
    wanted, locked = pins(*pinned), pins(lock)
    # What only older Pythons need is not in the lock of newer ones.
    older = {name for name in wanted if name not in locked}
    assert older <= ({"tomli", "exceptiongroup"} if "2.20" in lock else set())
    assert {name: wanted[name] for name in locked} == locked
    entries = re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip())
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", entry) for entry in entries)
