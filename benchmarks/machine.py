"""What a benchmark's figures were measured on."""

import datetime
from typing import Any

from cmnas_tf.machine import cores, processor
from cmnas_tf.runs.provenance import commit, versions


def machine() -> dict[str, Any]:
    """Date, processor, cores, versions and commit; JSON-ready."""
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "processor": processor(),
        "cores": cores(),
        "versions": versions(),
        "commit": commit(),
    }
