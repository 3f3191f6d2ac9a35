"""What a node of a cluster says of what it cannot do; ``test_embed_in_bulk`` has a real one."""

import socket
from pathlib import Path

import pytest

from cmnas_tf.devices import ray_nodes
from cmnas_tf.errors import BadInput


def test_a_node_names_itself(monkeypatch):
    """Where it cannot read or write, where its versions are others; a fault of ours stays one."""
    monkeypatch.setattr(ray_nodes, "use_threads", lambda *_: None)  # those of the tests

    def on_node(function, item, versions=None):
        return ray_nodes._on_node(function, item, 1, versions or ray_nodes.versions())

    assert on_node(str, 7) == "7"
    node = f"On the node {socket.gethostname()}: "
    for function, versions, message in (
        (Path.read_bytes, None, node + r".*No such file or directory: '/nowhere'"),
        (
            str,
            "cmnas_tf 0.1",
            node + "It has cmnas_tf .* with TensorFlow .*, not cmnas_tf 0.1. Ins",
        ),
    ):
        with pytest.raises(BadInput, match=message):
            on_node(function, Path("/nowhere"), versions)
    with pytest.raises(ZeroDivisionError):
        on_node(lambda item: 1 // item, 0)


def test_no_cluster_is_said_soon():
    pytest.importorskip("ray")
    for address in ("localhost:1", "nowhere"):
        with pytest.raises(BadInput, match=f"ray_address={address} cannot be used: .*`ray start`"):
            ray_nodes.RayNodes(address)
