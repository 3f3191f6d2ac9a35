"""The files for Kubernetes fit each other and those for docker, and the roll-out is allowed."""

import re
import shlex
from itertools import pairwise

import pytest
import yaml
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from cmnas_tf.serving.exported_model import MODEL_NAME
from tests.serving.test_serving_files import FOLDER, IMAGE, check_flags, parsed

MANIFESTS = {
    manifest["kind"]: manifest
    for manifest in yaml.safe_load_all((FOLDER / "kubernetes.yaml").read_text())
}
POD = MANIFESTS["Deployment"]["spec"]["template"]
(SERVER,) = POD["spec"]["containers"]
PORTS = {"grpc": 8500, "rest": 8501}  # which the image gives the server
MODELS = parsed("models.config", ModelServerConfig).model_config_list.config[0]
CANARY = parsed("canary.config", ModelServerConfig).model_config_list.config[0]


def test_the_server_is_that_of_docker():
    (docker,) = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"].values()
    assert SERVER["image"] == docker["image"] == IMAGE
    assert SERVER["resources"]["limits"]["memory"] == docker["mem_limit"].upper() + "i"
    check_flags(SERVER["args"])
    its, dockers = (
        {word for word in words if "model_config_file_poll" not in word}
        for words in (SERVER["args"], docker["command"])
    )
    assert its - dockers == {
        "--allow_version_labels_for_unavailable_models",
        "--enable_grpc_healthcheck_service",
        f"--tensorflow_intra_op_parallelism={SERVER['resources']['limits']['cpu']}",
    }
    assert dockers <= its
    assert [port.rsplit(":", 1)[1] for port in docker["ports"]] == [*map(str, PORTS.values())]
    volumes = [volume.rsplit(":", 2)[1:] for volume in docker["volumes"]]
    read_only = [
        [mount["mountPath"], "ro"] for mount in SERVER["volumeMounts"] if mount.get("readOnly")
    ]
    assert volumes == read_only


def test_ports_are_those_of_the_server():
    assert {port["name"]: port["containerPort"] for port in SERVER["ports"]} == PORTS
    service = MANIFESTS["Service"]["spec"]
    assert {port["targetPort"]: port["port"] for port in service["ports"]} == PORTS
    assert "type" not in service  # inside the cluster alone
    rules = MANIFESTS["NetworkPolicy"]["spec"]["ingress"]
    assert all({port["port"] for port in rule["ports"]} <= set(PORTS) for rule in rules)


def test_a_label_that_answers_starts_a_server_and_its_health_keeps_it():
    label = SERVER["startupProbe"]["httpGet"]
    assert label["port"] == "rest"
    assert label["path"] == f"/v1/models/{MODEL_NAME}/labels/stable/metadata"
    assert "--enable_grpc_healthcheck_service" in SERVER["args"]
    for kind in ("readinessProbe", "livenessProbe"):
        assert SERVER[kind]["grpc"] == {"port": PORTS["grpc"], "service": "PredictionService"}


def test_all_select_the_same_pods():
    label = {"app.kubernetes.io/name": MODEL_NAME}
    assert POD["metadata"]["labels"] == label
    assert MANIFESTS["Service"]["spec"]["selector"] == label
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert MANIFESTS[kind]["spec"]["selector"] == {"matchLabels": label}
    assert MANIFESTS["NetworkPolicy"]["spec"]["podSelector"] == {"matchLabels": label}


def test_volumes_are_there():
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert kustomization["resources"] == ["kubernetes.yaml"]
    (generated,) = kustomization["configMapGenerator"]
    assert generated["options"] == {"disableNameSuffixHash": True}
    files = dict(([*name.split("="), name])[:2] for name in generated["files"])
    assert files == {"models.config": "canary.config", "monitoring.config": "monitoring.config"}
    assert all((FOLDER / name).is_file() for name in files.values())

    volumes = {volume["name"]: volume for volume in POD["spec"]["volumes"]}
    assert [mount["name"] for mount in SERVER["volumeMounts"]] == [*volumes]
    assert volumes["configuration"]["configMap"] == {"name": generated["name"]}
    claim = MANIFESTS["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["versions"]["persistentVolumeClaim"] == {"claimName": claim, "readOnly": True}


def test_the_server_may_do_no_more_than_it_needs():
    assert POD["spec"]["automountServiceAccountToken"] is False
    assert POD["spec"]["securityContext"]["runAsNonRoot"]
    assert SERVER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(SERVER["resources"]["requests"]) == {"cpu", "memory"}


def state(config):
    """The versions that are served, and the version of each label."""
    return set(config.model_version_policy.specific.versions), dict(config.version_labels)


def test_the_models_are_those_of_docker():
    assert CANARY.name == MODELS.name
    assert CANARY.base_path == MODELS.base_path
    assert CANARY.model_platform == MODELS.model_platform
    assert set(CANARY.version_labels) == {"stable", "canary"}


def check_steps(states):
    """As ServerCore::ReloadConfig: labels move before versions are loaded, to loaded ones alone."""
    for (loaded, _), (versions, labels) in pairwise(states):
        assert set(labels.values()) <= loaded & versions


def steps():
    rows = re.findall(r"^\| .*? \| ([\d, ]+) \| (\d) \| (\d) \|$", readme(), re.MULTILINE)
    return [
        ({int(v) for v in versions.split(",")}, {"stable": int(stable), "canary": int(canary)})
        for versions, stable, canary in rows
    ]


def readme():
    return (FOLDER / "README.md").read_text()


def test_the_roll_out_of_the_readme_is_allowed_and_so_is_the_way_back():
    before, loaded, tried, given, after = steps()
    assert before == state(CANARY)
    assert after == ({2}, {"stable": 2, "canary": 2})
    check_steps([before, loaded, tried, given, after])
    check_steps([tried, loaded])
    check_steps([given, loaded])
    check_steps([after, given, loaded])


def test_loading_and_moving_at_once_is_not_allowed():
    before, _, tried, *_ = steps()
    with pytest.raises(AssertionError):
        check_steps([before, tried])


def test_the_command_lines_of_the_readme():
    blocks = re.findall(r"```\n(.*?)```", readme(), re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    called = [words[1:] for words in lines if words[0] == "kubectl"]
    assert ["apply", "-k", "export/serving"] in called
    named = {word for words in called for word in words if re.match(r"\w+/reid$", word)}
    assert named == {"deployment/reid", "service/reid"}
    assert {MANIFESTS[kind]["metadata"]["name"] for kind in ("Deployment", "Service")} == {"reid"}
    paths = [word for words in lines if words[0] == "curl" for word in words if "8501" in word]
    labels = {label for path in paths for label in re.findall(r"/labels/(\w+)", path)}
    assert labels <= set(CANARY.version_labels)
    models = {path.split("/")[3].split(":")[0] for path in paths if "/v1/models/" in path}
    assert models == {MODEL_NAME}
