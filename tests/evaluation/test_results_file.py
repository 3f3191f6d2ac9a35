"""Results files that can be read, and those that are refused by name."""

import json

import pytest

from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.results_file import SCHEMA, read_results
from tests.evaluation.records import record


def test_reads_what_an_evaluation_writes(tmp_path):
    """By the file's name and by the folder of its run."""
    (tmp_path / "results.json").write_text(json.dumps(record()))
    for path in (tmp_path / "results.json", str(tmp_path / "results.json"), tmp_path):
        assert read_results(path) == record()


def without(*keys):
    """A record that lacks a key somewhere."""
    content = inner = record()
    for key in keys[:-1]:
        inner = inner[key]
    del inner[keys[-1]]
    return json.dumps(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ('{"schema": 1, "results"', "is not JSON"),
        ("\0\xff", "is not JSON"),
        ("[]", "is not a results file"),
        ('{"backbone": "resnet50", "choices": {}}', "is not a results file"),
        (without("schema"), f"has schema 0, and this program reads schema {SCHEMA}"),
        (json.dumps({**record(), "schema": SCHEMA + 1}), f"has schema {SCHEMA + 1}, and"),
        (without("dataset"), "lacks a part"),
        (without("training", "commit"), "lacks a part"),
        (without("results", "infrared_to_visible", "rank20"), "lacks a part"),
        (json.dumps({**record(), "protocol": []}), "lacks a part"),
        (json.dumps({**record(), "results": {"all": 3}}), "lacks a part"),
    ],
)
def test_files_that_are_refused(tmp_path, content, message):
    path = tmp_path / "some.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(BadInput, match=rf"some\.json {message}"):
        read_results(path)


def test_no_file(tmp_path):
    with pytest.raises(BadInput, match=r"none\.json does not exist; .*results\.json"):
        read_results(tmp_path / "none.json")
    with pytest.raises(BadInput, match=rf"{tmp_path}/results\.json does not exist"):
        read_results(tmp_path)
