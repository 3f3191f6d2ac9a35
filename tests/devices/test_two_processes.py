"""Two processes on this machine: the result of one, and what becomes of one without the other."""

import contextlib
import functools
import json
import os
import signal
import socket

import numpy as np
import pytest

from cmnas_tf.devices import distribution
from cmnas_tf.runs.loop import Loop
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.training import trainer
from tests.tiny_people import TINY, write_people
from tests.training.commands import Command, newest

pytestmark = pytest.mark.slow

FLAGS = (*TINY, "--epochs=2", "--checkpoint_every=1")
STEPS = 18  # 8 people with 8 visible images each, in batches of 4 x 2: nine steps an epoch
SIGTERM, SIGKILL = signal.SIGTERM, signal.SIGKILL


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("people") / "sysu")


class Pair:
    """Two workers of one command.

    Args:
      name: of the command.
      folder: for their logs.
      flags, each: for both, and for each.
      faults: of each, see :class:`Command`.
    """

    def __init__(self, name, folder, *flags, each=((), ()), faults=(None, None)):
        addresses = [f"localhost:{port}" for port in free_ports(2)]
        self.workers = [
            Command(
                name,
                *flags,
                *each[index],
                log=folder / f"{name}{index}.{addresses[0]}.log",
                fault=faults[index],
                tf_config={
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": index},
                },
            )
            for index in range(2)
        ]

    def wait(self):
        """Exit codes, and what each worker wrote."""
        codes, said = zip(*(worker.wait() for worker in self.workers), strict=True)
        return list(codes), said


def signalling(step, number):
    """Sends its own process a signal in a step, counted from 0, when that is computed."""
    check = Loop._check_finite

    def check_and_signal(self, terms, now, *arguments):
        if now == step:
            os.kill(os.getpid(), number)
        check(self, terms, now, *arguments)

    Loop._check_finite = check_and_signal


def counting_messages(to):
    """Writes what a training step is made of: of each message between workers, how many numbers."""
    as_graph = trainer.as_graph

    def counted(function, strategy, by_xla):
        graph = as_graph(function, strategy, by_xla)

        def run(*values):
            operations = graph.get_concrete_function(*values).graph.get_operations()
            messages = [o.inputs[0] for o in operations if o.type == "CollectiveReduceV2"]
            to.write_text(json.dumps([message.shape.num_elements() for message in messages]))
            return graph(*values)

        return run

    trainer.as_graph = counted


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def saved(run_dir):
    """How many steps are saved."""
    paths = RunFolder(run_dir).checkpoints().paths()
    return int(paths[-1].stem.removeprefix("step-")) if paths else 0


@pytest.fixture(scope="module")
def trained(people, tmp_path_factory):
    """The folder of a training of two workers."""
    folder = tmp_path_factory.mktemp("trained")
    run = (f"--data_dir={people}", f"--run_dir={folder / 'run'}")
    codes, said = Pair("train", folder, *FLAGS, *run).wait()
    assert codes == [0, 0], said
    assert "worker 1 of 2" in said[1]
    return folder / "run"


def test_two_processes_train_what_two_devices_of_one_train(people, trained, tmp_path):
    run = (f"--data_dir={people}", f"--run_dir={tmp_path / 'run'}", "--logical_devices=2")
    code, said = Command("train", *FLAGS, *run, log=tmp_path / "log").wait()
    assert code == 0, said
    one, two = newest(tmp_path / "run"), newest(trained)
    assert one.step == two.step == STEPS
    assert set(one.tensors) == set(two.tensors)
    for name, expected in one.tensors.items():
        atol = 1e-5 * np.abs(expected).max()
        np.testing.assert_allclose(two.tensors[name], expected, atol=atol, err_msg=name)
    assert json.loads((trained / "run.json").read_text())["devices"] == 2
    assert two.metadata["devices"] == 2


def test_killed_and_stopped_workers_go_on_to_the_undisturbed_end(people, trained, tmp_path):
    """First one is killed, then the other is asked to stop, then the chief is killed. Whoever is
    left says so and ends; asked to stop, both save the same step."""
    run_dir = tmp_path / "run"
    run = (*FLAGS, f"--data_dir={people}", f"--run_dir={run_dir}")

    def disturbed(index, step, number):
        faults = [None, None]
        faults[index] = functools.partial(signalling, step, number)
        return Pair("train", tmp_path, *run, faults=faults).wait()

    codes, said = disturbed(1, 4, SIGKILL)
    assert codes == [4, -SIGKILL], said
    assert "error: Another worker of TF_CONFIG ended, or cannot be reached" in said[0]
    assert "start all workers again" in said[0]
    assert 3 <= saved(run_dir) <= 5

    step = saved(run_dir) + 2
    codes, said = disturbed(1, step, SIGTERM)
    assert codes == [128 + SIGTERM] * 2, said
    for text in said:
        assert f"Stopped by SIGTERM after step {step + 1}, which is saved" in text
    assert saved(run_dir) == step + 1

    step = saved(run_dir) + 2
    codes, said = disturbed(0, step, SIGKILL)
    assert codes == [-SIGKILL, 4], said
    assert step - 1 <= saved(run_dir) <= step < STEPS

    codes, said = Pair("train", tmp_path, *run).wait()
    assert codes == [0, 0], said
    assert newest(run_dir).digest == newest(trained).digest


def test_workers_with_other_flags_or_folders_are_refused_by_name(people, trained, tmp_path):
    """On each of them: another seed; and a folder that is not the one with the checkpoints."""
    run = (*FLAGS, f"--data_dir={people}")
    seeds = ((f"--run_dir={tmp_path / 'run'}",), (f"--run_dir={tmp_path / 'run'}", "--seed=1"))
    codes, said = Pair("train", tmp_path, *run, each=seeds).wait()
    assert codes == [2, 2], said
    for text in said:
        assert "differ in --seed: 0 on worker 0, 1 on worker 1. Start all" in text
    assert not (tmp_path / "run").exists()

    folders = ((f"--run_dir={trained}",), (f"--run_dir={tmp_path / 'run'}",))
    codes, said = Pair("train", tmp_path, *run, each=folders).wait()
    assert codes == [2, 2], said
    for text in said:
        assert f"the newest checkpoint: {STEPS} on worker 0, 0 on worker 1" in text


def test_workers_send_each_other_few_messages(people, tmp_path):
    """Labels and embeddings as they are gathered and, on the way back, their gradient; all running
    statistics at once, and all gradients."""
    run = (*FLAGS, f"--data_dir={people}", f"--run_dir={tmp_path / 'run'}", "--epochs=1")
    faults = [functools.partial(counting_messages, tmp_path / f"{i}.json") for i in range(2)]
    codes, said = Pair("train", tmp_path, *run, faults=faults).wait()
    assert codes == [0, 0], said
    state = newest(tmp_path / "run").tensors
    network = {name: v.size for name, v in state.items() if name.startswith("network/")}
    statistics = sum(size for name, size in network.items() if "moving_" in name)
    trained = sum(network.values()) - statistics - network["network/head.neck.beta"]
    for worker in range(2):
        messages = json.loads((tmp_path / f"{worker}.json").read_text())
        assert len(messages) == 5
        assert statistics in messages
        assert max(messages) == trained


def test_two_processes_measure_what_one_measures(people, trained, tmp_path):
    run = (f"--data_dir={people}", f"--run_dir={trained}", "--embed_batch=7", "--noprogress")
    code, said = Command("evaluate", *run, log=tmp_path / "log").wait()
    assert code == 0, said
    expected = json.loads((trained / "results.json").read_text())
    (trained / "results.json").unlink()
    codes, said = Pair("evaluate", tmp_path, *run).wait()
    assert codes == [0, 0], said
    found = json.loads((trained / "results.json").read_text())
    assert found["results"] == expected["results"]
    assert all("all_single_shot" in text for text in said)


def test_two_processes_search_at_random_what_two_devices_of_one_do(people, tmp_path):
    """The same architectures, as fit as each other; and again, when they are finished."""
    plan = (*TINY, "--algorithm=random", "--candidates=2", "--epochs=1", f"--data_dir={people}")
    one, two = tmp_path / "one", tmp_path / "two"
    log = tmp_path / "log"
    code, said = Command("search", *plan, f"--run_dir={one}", "--logical_devices=2", log=log).wait()
    assert code == 0, said
    for _ in range(2):
        codes, said = Pair("search", tmp_path, *plan, f"--run_dir={two}").wait()
        assert codes == [0, 0], said
        expected, found = (
            json.loads(RunFolder(folder).architecture.read_text()) for folder in (one, two)
        )
        assert found["devices"] == 2
        assert found["choices"] == expected["choices"]
        assert found["fitness"] == pytest.approx(expected["fitness"], abs=0.01)


def waiting(file):
    """Makes a file when signals end the process and it is about to wait for the other."""
    handled_by = distribution.signals_handled_by

    @contextlib.contextmanager
    def noted(handler):
        with handled_by(handler):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
            file.touch()
            yield

    distribution.signals_handled_by = noted


def test_one_waits_for_the_other_until_told_not_to(people, tmp_path):
    """TensorFlow waits where Python does not hear signals."""
    config = {
        "cluster": {"worker": [f"localhost:{port}" for port in free_ports(2)]},
        "task": {"type": "worker", "index": 1},
    }
    log, waits = tmp_path / "log", tmp_path / "waits"
    run = (*FLAGS, f"--data_dir={people}", f"--run_dir={tmp_path / 'run'}")
    fault = functools.partial(waiting, waits)
    process = Command("train", *run, log=log, tf_config=config, fault=fault)
    while process.running and not waits.exists():
        process.join(0.05)
    assert "begins when all are there" in log.read_text()
    assert process.join(0.5) is None  # nothing comes of it alone
    process.signal(signal.SIGINT)
    assert process.wait(20)[0] == -signal.SIGINT
    assert not (tmp_path / "run").exists()
