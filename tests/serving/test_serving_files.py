"""The files for TensorFlow Serving say what a server can read, and fit each other."""

import re
import shlex
import socket
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from cmnas_tf.devices.frozen_weights import ASSUMED
from cmnas_tf.serving.exported_model import MODEL_NAME
from tests.serving.conftest import binary_server, held_port

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "export" / "serving"
# That of the first line, whose TensorFlow loads the exports of both (tests/end_to_end).
(VERSION,) = re.findall(r"^tensorflow==(\S+)", (ROOT / "requirements.txt").read_text(), re.M)
IMAGE = f"tensorflow/serving:{VERSION}"
# Of those of tensorflow_serving/model_servers/main.cc, tag 2.15.1.
FLAGS = {
    "port",
    "rest_api_port",
    "model_name",
    "model_base_path",
    "model_config_file",
    "model_config_file_poll_wait_seconds",
    "file_system_poll_wait_seconds",
    "monitoring_config_file",
    "grpc_max_threads",
    "enable_grpc_healthcheck_service",
    "allow_version_labels_for_unavailable_models",
    "tensorflow_intra_op_parallelism",
}

Field = descriptor_pb2.FieldDescriptorProto


def message(name, fields, **inner):
    """A message class of the proto files that tensorflow-serving-api does not hold.

    Args:
      name: of the message.
      fields: types by name; the name of a message stands for it.
      inner: fields of messages within it, by name.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{name}.proto", syntax="proto3", dependency=[wrappers_pb2.DESCRIPTOR.name]
    )
    for kind, its_fields in {name: fields, **inner}.items():
        described = file.message_type.add(name=kind)
        for number, (field, type_) in enumerate(its_fields.items(), start=1):
            added = described.field.add(name=field, number=number, label=Field.LABEL_OPTIONAL)
            if isinstance(type_, str):
                added.type, added.type_name = Field.TYPE_MESSAGE, f".{type_}"
            else:
                added.type = type_
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def parsed(name, kind):
    return text_format.Parse((FOLDER / name).read_text(), kind())


def test_models():
    (config,) = parsed("models.config", ModelServerConfig).model_config_list.config
    assert (config.name, config.base_path) == (MODEL_NAME, f"/models/{MODEL_NAME}")
    assert config.model_platform == "tensorflow"
    assert config.model_version_policy.latest.num_versions == 1


def test_monitoring():
    """The fields of tensorflow_serving/config/monitoring_config.proto."""
    prometheus = {"enable": Field.TYPE_BOOL, "path": Field.TYPE_STRING}
    fields = {"prometheus_config": "PrometheusConfig"}
    kind = message("MonitoringConfig", fields, PrometheusConfig=prometheus)
    monitoring = parsed("monitoring.config", kind)
    assert monitoring.prometheus_config.enable
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_compose():
    (service,) = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"].values()
    assert service["image"] == IMAGE
    check_flags(service["command"])
    assert service["environment"] == {ASSUMED: "1"}
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    volumes = [volume.rsplit(":", 2)[1:] for volume in service["volumes"]]
    assert volumes == [[f"/models/{MODEL_NAME}", "ro"], ["/serving", "ro"]]
    assert service["mem_limit"]


def test_the_command_lines_of_the_readme():
    blocks = re.findall(r"```\n(.*?)```", (FOLDER / "README.md").read_text(), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    (docker,) = (words for words in lines if words[0] == "docker")
    assert f"{ASSUMED}=1" in docker
    flags = docker[docker.index(IMAGE) + 1 :]
    check_flags(flags)
    volumes = [docker[n + 1].split(":") for n, word in enumerate(docker) if word == "-v"]
    assert [where for _, *where in volumes] == [[f"/models/{MODEL_NAME}", "ro"], ["/serving", "ro"]]
    ports = [docker[n + 1] for n, word in enumerate(docker) if word == "-p"]
    assert all(port.startswith("127.0.0.1:") for port in ports) and len(ports) == 2
    (binary,) = (words for words in lines if "tensorflow_model_server" in words)
    assert binary[:2] == [f"{ASSUMED}=1", "tensorflow_model_server"]
    check_flags(binary[2:])
    assert f"--model_name={MODEL_NAME}" in binary


def check_flags(words):
    """They are the server's, name files that are here, and let more calls in than its default."""
    assert "--grpc_max_threads=64" in words
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        assert name in FLAGS, word
        if name.endswith("_file"):
            assert (FOLDER / Path(value).name).is_file(), word


STARTS = """
import socket, sys, time
ports = [int(word.split("=")[1]) for word in sys.argv[1:3]]
print("this server listens and ends" if len(set(ports)) == 2 else "one port")
for port in ports:
    server = socket.create_server(("0.0.0.0", port))  # which shares the address, as servers do
    server.listen()
"""


def test_why_a_binary_does_not_start_is_shown(tmp_path, capsys):
    """Its ports are free for it, and what it wrote is not lost."""
    binary = tmp_path / "binary"
    binary.write_text(f"#!{sys.executable}\n{STARTS}")
    binary.chmod(0o700)
    with pytest.raises(AssertionError, match="the server ended"):
        binary_server(str(binary), tmp_path).__enter__()
    assert capsys.readouterr().out == "this server listens and ends\n"


def test_a_held_port_is_given_to_nobody_else():
    """A server may have it nevertheless; who asks for any port gets another one."""
    with (
        held_port() as port,
        socket.create_server(("127.0.0.1", port)) as server,
        socket.create_connection(("127.0.0.1", port), timeout=10),
    ):
        server.accept()[0].close()
    with held_port() as first, held_port() as second:
        assert first != second
