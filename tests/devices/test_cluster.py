"""TF_CONFIG: what is read from it, and what is said of one that cannot be used."""

import json
import socket
import subprocess
from pathlib import Path

import pytest
import yaml

from cmnas_tf.commands import command_line
from cmnas_tf.commands.search import Search
from cmnas_tf.devices.cluster import Cluster
from cmnas_tf.errors import BadInput

TWO = ["here:2001", "there:2002"]


def read(cluster=None, task=None):
    given = {"cluster": cluster, "task": task}
    text = json.dumps({name: value for name, value in given.items() if value is not None})
    return Cluster.of_environment({"TF_CONFIG": text})


def test_workers_in_their_order():
    found = read({"worker": TWO}, {"type": "worker", "index": 1})
    assert found == Cluster(("here:2001", "there:2002"), 1)
    assert str(found) == "worker 1 of 2, with here:2001"


def test_a_chief_comes_first_wherever_it_is_written():
    jobs = {"worker": TWO, "chief": ["chief:2000"]}
    addresses = ("chief:2000", "here:2001", "there:2002")
    assert read(jobs, {"type": "chief", "index": 0}) == Cluster(addresses, 0)
    assert read(jobs, {"type": "worker", "index": 0}) == Cluster(addresses, 1)
    assert read(jobs, {"type": "worker", "index": 1}) == Cluster(addresses, 2)


@pytest.mark.parametrize(
    "environment",
    [{}, {"TF_CONFIG": ""}, {"TF_CONFIG": "{}"}, {"TF_CONFIG": '{"cluster": {}, "task": {}}'}],
)
def test_no_cluster(environment):
    assert Cluster.of_environment(environment) is None


@pytest.mark.parametrize("text", ["{", "[]", "7", '{"cluster": ["here:2001"]}', '{"cluster": 3}'])
def test_what_cannot_be_read_is_shown_with_the_right_form(text):
    with pytest.raises(BadInput) as error:
        Cluster.of_environment({"TF_CONFIG": text})
    assert f"TF_CONFIG={text} cannot be read" in str(error.value)
    assert '"task": {"type": "worker", "index": 0}' in str(error.value)


@pytest.mark.parametrize(
    ("cluster", "task", "message"),
    [
        ({"worker": TWO}, None, "the task's type is None, which the cluster does not list"),
        ({"worker": TWO}, {"type": "chief", "index": 0}, "the task's type is 'chief'"),
        ({"worker": TWO}, {"type": ["worker"], "index": 0}, r"the task's type is \['worker'\]"),
        ({"worker": TWO}, {"type": "worker"}, "index is None; the cluster has 2 of worker"),
        ({"worker": TWO}, {"type": "worker", "index": 2}, "index is 2; the cluster has 2 of"),
        ({"worker": TWO}, {"type": "worker", "index": -1}, "index is -1"),
        ({"worker": TWO}, {"type": "worker", "index": "0"}, "index is '0'"),
        ({"worker": []}, {"type": "worker", "index": 0}, "index is 0; the cluster has 0"),
        ({"worker": ["here"]}, {"type": "worker", "index": 0}, "'here' is no host:port"),
        ({"worker": "here:2001"}, {"type": "worker", "index": 0}, "'h' is no host:port"),
        ({"worker": [TWO[0], TWO[0]]}, {"type": "worker", "index": 0}, "listed twice"),
        ({"chief": TWO}, {"type": "chief", "index": 0}, "more than one chief"),
        ({"ps": TWO}, {"type": "ps", "index": 0}, "jobs ps; it takes worker, and one chief"),
    ],
)
def test_what_contradicts_itself_is_named(cluster, task, message):
    with pytest.raises(BadInput, match=rf"TF_CONFIG=.*: .*{message}"):
        read(cluster, task)


def test_a_port_that_is_taken_is_named_and_one_that_is_not_passes():
    """Also if its owner shares it, as TensorFlow's servers do."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        server.bind(("", 0))
        server.listen()
        cluster = Cluster((f"localhost:{server.getsockname()[1]}",), 0)
        with pytest.raises(BadInput, match=rf"{cluster.addresses[0]}, where it cannot listen .*us"):
            cluster.check_port()
    cluster.check_port()


def test_a_port_with_connections_of_a_process_that_ended_is_free():
    with socket.socket() as server, socket.socket() as client:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(("localhost", 0))
        server.listen()
        address = server.getsockname()
        client.connect(address)
        server.accept()[0].close()  # who closes first waits, and the port with it
    Cluster((f"localhost:{address[1]}",), 0).check_port()


def test_a_port_that_does_not_exist():
    with pytest.raises(BadInput, match="here:70000, where it cannot listen"):
        Cluster(("here:70000",), 0).check_port()


def test_the_pods_of_the_kubernetes_manifest_are_a_cluster(monkeypatch):
    """What its shell makes of the index of a pod, and that the command knows the flags."""
    monkeypatch.chdir(Path(__file__).parents[2])
    text = Path("configs/kubernetes_search.yaml").read_text(encoding="utf-8")
    _, job = yaml.safe_load_all(text)
    shell, option, script = job["spec"]["template"]["spec"]["containers"][0]["command"]
    shown = script.replace("exec ", 'echo "$TF_CONFIG"; echo ')
    for index in range(job["spec"]["completions"]):
        environment = {"JOB_COMPLETION_INDEX": str(index)}
        done = subprocess.run(
            [shell, option, shown], env=environment, capture_output=True, text=True, check=True
        )
        config, command = done.stdout.splitlines()
        cluster = Cluster.of_environment({"TF_CONFIG": config})
        assert cluster.index == index
        assert len(cluster.addresses) == job["spec"]["completions"]
        assert cluster.addresses[index].startswith(f"cmnas-search-{index}.cmnas-search:")
        _, flag, module, *arguments = command.split()
        assert (flag, module) == ("-m", "cmnas_tf.search")
        command_line.read(Search, [module, *arguments])
