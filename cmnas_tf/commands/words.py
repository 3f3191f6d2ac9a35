"""The library's words and those of the command line: values, options, functions."""

import re
from collections.abc import Iterable
from typing import Any

from cmnas_tf.options import NAMED, Option

# What the library calls by its function, a person does by a command.
_COMMAND_OF = {
    "find_architecture": "cmnas search",
    "train_network": "cmnas train",
    "evaluate_network": "cmnas evaluate",
    "export_saved_model": "cmnas export",
    "write_dataset": "cmnas make_synthetic",
    "import_weights": "cmnas import_weights",
    "embed_in_bulk": "cmnas embed",
    "build_gallery": "cmnas build_index",
    "build_faiss_index": "cmnas build_faiss_index",
    "serve_locally": "cmnas local_server",
}


def shown(value: Any) -> str:
    """A value as it is written behind a flag."""
    if not isinstance(value, tuple):
        return str(value)
    return ",".join(str(v).removesuffix(".0") if isinstance(v, float) else str(v) for v in value)


def in_flags(message: str, options: Iterable[Option]) -> str:
    """A message of the library in the words of the command line.

    ``name=value`` and `` `name` `` become ``--name=value`` and ``--name`` where there is such an
    option, and `` `function` `` the command that calls it.
    """
    names = {known.name for known in options}

    def flag(found: re.Match[str]) -> str:
        name = found["quoted"] or found["assigned"]
        if name in names:
            return f"--{name}"
        return _COMMAND_OF.get(name, found[0]) if found["quoted"] else found[0]

    return NAMED.sub(flag, message)


def flag_behind(prefix: str, flag: str) -> str:
    """A flag with a prefix; ``--nox`` is ``--prefix.x=false`` then."""
    name, assigned, value = flag.lstrip("-").partition("=")
    if not assigned and name.startswith("no"):
        return f"--{prefix}.{name.removeprefix('no')}=false"
    return f"--{prefix}.{name}{assigned}{value}"
