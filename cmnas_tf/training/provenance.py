"""What a result says of its origin."""

import platform
from importlib import metadata
from typing import Any

import cmnas_tf
from cmnas_tf import settings as settings_module

_PACKAGES = ("tensorflow", "keras", "tensorflow-addons", "tf-models-official", "numpy")


def provenance(settings: Any) -> dict[str, Any]:
    """Settings that shape the result, seed among them, and versions; JSON-ready."""
    return {"settings": settings_module.shaping_result(settings), "versions": versions()}


def versions() -> dict[str, str]:
    """Versions of this package, of Python and of the packages that compute."""
    packages = {name: metadata.version(name) for name in _PACKAGES}
    return {"cmnas_tf": cmnas_tf.__version__, "python": platform.python_version(), **packages}
