"""What a result says of its origin."""

import contextlib
import platform
import subprocess
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import cmnas_tf

_PACKAGES = ("tensorflow", "tf-keras", "tf-models-official", "numpy")


def provenance(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The options that affect the result, seed among them, versions and commit; JSON-ready."""
    return {"settings": dict(settings), "versions": versions(), "commit": commit()}


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the packages that compute, where installed."""
    found = {"cmnas_tf": cmnas_tf.__version__, "python": platform.python_version()}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def commit() -> str | None:
    """The git commit of this package's code, or None where it does not lie in a git checkout.

    It ends in ``-dirty`` where a tracked file of the checkout differs from the commit, or where the
    package has a file that is not in it.
    """
    package = Path(cmnas_tf.__file__)
    try:
        _git(package.parent, "ls-files", "--error-unmatch", package.name)  # or another project's
        found = _git(package.parent, "rev-parse", "HEAD")
        changed = _git(package.parent, "status", "--porcelain", "--untracked-files=no")
        added = _git(package.parent, "status", "--porcelain", "--untracked-files=all", ".")
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{found}-dirty" if changed or added else found


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
