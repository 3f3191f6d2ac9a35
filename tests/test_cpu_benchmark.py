"""``python -m benchmarks``: its file, its table, and each variant that only it has, once."""

import json
import os
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from benchmarks import __main__ as cli
from benchmarks import galleries, operations, ranking
from benchmarks.comparisons import COMPARISONS, Comparison
from benchmarks.figure import Figure
from benchmarks.turns import Timing

ROOT = Path(__file__).parents[1]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where results go; of two comparisons that take no time one misses what is wanted."""
    took = {"short": 1.0, "long": 3.0}

    def comparison(name):
        figure = Figure(lambda seen: seen[name].seconds[0], 2, explained="as told")
        return Comparison((name,), {f"{name}_seconds": figure})

    monkeypatch.setattr(cli, "COMPARISONS", {name: comparison(name) for name in took})
    monkeypatch.setattr(cli, "take_turns", lambda names, *_: {n: Timing([took[n]]) for n in names})
    return tmp_path / "results.json"


def run(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, words)])
    cli.main()


def test_a_comparison_replaces_its_own_part_alone(file, monkeypatch, capsys):
    run(monkeypatch, "--output", file)
    first = cli.read(file)
    assert first["short"]["figures"] == {"short_seconds": 1.0} and not first["short"]["missed"]
    assert first["long"]["missed"] == {"long_seconds": "as told"}
    assert "long_seconds: as told" in capsys.readouterr().out
    first["short"]["machine"]["date"] = "long ago"
    file.write_text(json.dumps({"form": cli.FORM, "comparisons": first}))
    run(monkeypatch, "long", "--output", file)
    second = cli.read(file)
    assert second["short"]["machine"]["date"] == "long ago"
    assert list(second) == ["short", "long"]
    (file.parent / "other.json").write_text("[]")
    table = cli.side_by_side(file.parent)
    assert [line.split() for line in table.splitlines()[-2:]] == [
        ["short_seconds", "1.000", "<=", "2"],
        ["long_seconds", "3.000", "<=", "2"],
    ]
    assert "other" not in table


@pytest.mark.parametrize("content", ['{"fused_over_naive_norm": 0.5}', "[]", '{"form": 3}'])
def test_a_file_of_another_version_is_left_alone(content, file, monkeypatch, capsys):
    file.write_text(content)
    with pytest.raises(SystemExit):
        run(monkeypatch, "--output", file)
    assert "results of this version (form 2); move it away" in capsys.readouterr().err
    assert file.read_text() == content


def test_the_rebuilt_loop_of_torchreid_gives_what_is_measured_beside_it(monkeypatch):
    for name, size in (("QUERIES", 60), ("GALLERY", 200), ("IDENTITIES", 20)):
        monkeypatch.setattr(ranking, name, size)
    monkeypatch.setitem(sys.modules, "numba", types.SimpleNamespace(njit=lambda function: function))
    monkeypatch.delitem(sys.modules, "benchmarks.torchreid_ranking", raising=False)
    from benchmarks import torchreid_ranking

    assert callable(torchreid_ranking.of_market())
    measured = ranking.rank
    monkeypatch.setattr(ranking, "rank", lambda *test: measured(*test)._replace(mean_ap=0.5))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        torchreid_ranking.of_market()
    monkeypatch.delitem(sys.modules, "benchmarks.torchreid_ranking")


ONCE = """
import sys
from benchmarks import worker
for target in sys.argv[1:]:
    try:
        found = worker.prepared(target)()
        if callable(found):
            found()
        print("ran", target, flush=True)
    except worker.Unavailable as reason:
        print("unavailable", target, reason, flush=True)
"""


@pytest.mark.slow
def test_each_kind_of_variant_runs_or_says_what_it_needs():
    """Steps are rehearsed with the GPU's benchmark; the largest ranking takes minutes; of exported
    models one is enough."""
    variants = [variant for one in COMPARISONS.values() for variant in one.variants]
    kinds = {variant.partition("?")[0]: variant for variant in variants}
    left_out = ("benchmarks.steps:", "torch_steps:step", "a_hundred_thousand", "g:exported")
    chosen = [v for kind, v in kinds.items() if not any(word in kind for word in left_out)]
    small = {"BENCHMARK_BATCH": "2x2x64x32", "BENCHMARK_BACKBONE": "resnet18"}
    done = subprocess.run(
        [sys.executable, "-c", ONCE, *chosen],
        cwd=ROOT,
        env={**os.environ, **small},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    assert [target for _, target, *_ in lines] == chosen
    for word, target, *reason in lines:
        needs = ("openvino?", "onnxruntime?", "torch")
        assert word == "ran" or (any(each in target for each in needs) and "install" in reason[0])


def test_no_comparison_is_called_like_another_command():
    assert not {"gpu", "memory", "table"} & set(COMPARISONS)


def test_every_figure_follows_from_what_is_measured():
    for comparison in COMPARISONS.values():
        seen = {v: Timing([float(n), 2.0 * n], 10**9) for n, v in enumerate(comparison.variants, 1)}
        for name, figure in comparison.figures.items():
            value = figure.value(seen)
            assert value is not None and np.isfinite(value), name
        for timing in seen.values():
            timing.unavailable = "not here"
        if len(seen) > 1 and "gigabytes" not in str(list(comparison.figures)):
            ratios = [n for n in comparison.figures if "memory" not in n]
            assert {comparison.figures[name].value(seen) for name in ratios} == {None}


@pytest.mark.parametrize(
    ("kind", "needs"), [("flat", "faiss"), ("hnsw", "faiss"), ("store", "lancedb")]
)
def test_the_benchmark_of_galleries_finds_what_is_near(kind, needs, tmp_path, monkeypatch):
    """All in this process; the results of other kinds are kept."""
    pytest.importorskip(needs)
    monkeypatch.setattr(
        galleries, "_in_a_process", lambda part, *of: getattr(galleries, part)(of[0], Path(of[1]))
    )
    (tmp_path / "results.json").write_text('{"other": 1}')
    words = ("--size=16", f"--kinds={kind}", f"--output={tmp_path / 'results.json'}")
    monkeypatch.setattr(sys, "argv", ["galleries", "400", *words])
    galleries.main()
    kept = json.loads((tmp_path / "results.json").read_text())
    assert list(kept) == ["other", f"{kind}, 400 x 16"]
    seen = kept[f"{kind}, 400 x 16"]
    assert [found["recall"] for found in seen["efforts"].values()][-1] > 0.99
    assert ("changed_s" in seen) == (kind == "store") and seen["disk_mb"] > 0


@pytest.mark.slow
def test_the_benchmark_of_several_devices_times_a_step_and_a_checkpoint():
    """Of two devices, in a process that can still cut the CPU up; with a small network."""
    small = {"BENCHMARK_BATCH": "2x2x64x32", "BENCHMARK_BACKBONE": "resnet18"}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling", "2"],
        cwd=ROOT,
        env={**os.environ, **small, "TF_CONFIG": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.splitlines()[-1])
    assert set(seen) == {"step_seconds", "copy_seconds", "write_seconds"}
    assert all(seconds > 0 for seconds in seen.values())


def pooled_rows(rows: str):
    """A variant with an option, of one operation a run, whose end is to be waited for."""
    pool = tf.function(lambda image: tf.nn.max_pool2d(image, 2, 2, "VALID"), autograph=False)
    image = tf.zeros([1, int(rows), 64, 8])
    return lambda: pool(image).numpy


def test_operations_are_counted_by_the_run():
    """Of two variants that differ in an option: a thousand times as many pixels take longer."""
    short, long = (
        operations._profiled(f"{__name__}:pooled_rows?rows={rows}", "MaxPool")["MaxPool"]
        for rows in (2, 2048)
    )
    assert 0 < short < long
