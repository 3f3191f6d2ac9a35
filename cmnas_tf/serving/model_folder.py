"""The folder of an exported model: its versions, and what lies beside the graph of each."""

from pathlib import Path

MODEL_NAME = "reid"  # what clients call the model on the server
BESIDE = "assets.extra"  # the place a version has for files that are not part of the graph
WARMUP = "tf_serving_warmup_requests"  # the name that servers look for there


def versions_in(base: Path) -> dict[int, Path]:
    """The versions in a folder, by number; what has no number for a name is passed over."""
    entries = base.iterdir() if base.is_dir() else ()
    return {int(entry.name): entry for entry in entries if entry.name.isdecimal()}
