"""Memory that the ranking of a full-size data set takes, in a process of its own."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.retrieval import rerank

pytestmark = pytest.mark.slow

# As in SYSU-MM01, all cameras, 10 shots: 3,803 queries, and 3,010 gallery images drawn from 301
# folders of 20 images each.
PROGRAM = """
import json, pathlib, sys
import numpy as np
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.sysu_mm01 import SysuProtocol
from cmnas_tf.retrieval.measure import measure

def peak():  # not getrusage, which also counts what the parent had when it forked
    status = pathlib.Path("/proc/self/status").read_text().split()
    return 1024 * int(status[status.index("VmHWM:") + 1])

folders = [(pid, camera) for pid in range(96) for camera in (1, 2, 4, 5)][:301]
rows = [Image(f"3/{n}", n % 76, 3, "infrared") for n in range(3803)]
rows += [Image(f"{c}/{p}/{n}", p, c, "visible") for p, c in folders for n in range(20)]
images = Images.of(rows)
dataset = Dataset("sysu_mm01", ".", images[:0], images)
embeddings = np.random.default_rng(0).standard_normal((len(images), 2048), np.float32)
embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
before = peak()
trials, rerank = json.loads(sys.argv[1])
(measured,) = measure(embeddings, dataset, SysuProtocol(shots=10, trials=trials), rerank)
sizes = [result.counts.counted + result.counts.skipped for result in measured.trials.values()]
print(json.dumps({"before": before, "peak": peak(), "queries": sizes}))
"""


def measured(trials, rerank=None):
    """What a fresh process says of ranking in so many trials."""
    command = [sys.executable, "-c", PROGRAM, json.dumps([trials, rerank])]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_ten_trials_take_less_than_2_gb():
    """The whole process, with Python, NumPy and the embeddings (2,048 numbers each)."""
    found = measured(trials=10)
    assert found["queries"] == [3803] * 10
    assert found["peak"] < 2e9


def test_re_ranking_takes_no_more_than_it_asks_for(monkeypatch):
    monkeypatch.setattr(rerank, "available_memory", lambda: 0)
    with pytest.raises(BadInput) as refused:
        rerank.require_memory(3803, 3010)
    needed = int(re.search(r"takes ([\d,]+) bytes", str(refused.value))[1].replace(",", ""))
    found = measured(trials=1, rerank={"distance": "squared_euclidean"})
    assert 4 * 6813**2 < found["peak"] - found["before"] < needed
