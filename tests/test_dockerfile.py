"""The Dockerfile agrees with the project: its Pythons, files and commands are there."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from cmnas_tf.commands import command_line
from cmnas_tf.commands.cmnas import COMMANDS
from cmnas_tf.commands.command_line import CONFIGS
from cmnas_tf.commands.study import StudyCommand

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
STEPS = [
    tuple(line.split(maxsplit=1))
    for line in re.sub(r"\s*\\\n\s*", " ", TEXT).splitlines()
    if line and not line.startswith("#")
]
ABOUT = "\n".join(line[1:] for line in TEXT.splitlines() if line.startswith("#"))
EXAMPLES = [
    shlex.split(re.split(r"\s{3,}", re.sub(r"\s*\\\n\s*", " ", found))[0])
    for found in re.findall(r"^ +(docker (?:.*\\\n)*.*)$", ABOUT, re.M)
]


def values(instruction):
    return [value for name, value in STEPS if name == instruction]


def test_the_examples_build_each_line_with_and_without_gpus():
    builds = [words for words in EXAMPLES if words[1] == "build"]
    given = [re.findall(r"--build-arg (\w+)=(\S+)", shlex.join(words)) for words in builds]
    assert [dict(found) for found in given] == [
        {},
        {"GPU": "yes"},
        {"PYTHON": "3.12"},
        {"PYTHON": "3.12", "GPU": "yes"},
        {"GPU": "yes", "RAY": "yes"},
    ]
    declared = dict(value.split("=") for value in values("ARG"))
    assert declared == {"PYTHON": "3.11", "GPU": "", "RAY": ""}
    assert values("FROM") == ["python:${PYTHON}-slim"]


@pytest.mark.parametrize("python", ["3.11", "3.12"])
def test_make_install_takes_these_pythons(python):
    assert "bin/prepare_venv.sh" in values("RUN")
    script = (ROOT / "bin" / "prepare_venv.sh").read_text()
    (function,) = re.findall(r"^pins_for\(\) \{.*?^\}", script, re.M | re.S)
    done = subprocess.run(
        ["bash", "-c", f"{function}\npins_for {python}"], capture_output=True, text=True, check=True
    )
    assert (ROOT / done.stdout.strip()).is_file()


def test_what_it_copies_is_there_and_needed_before_the_install():
    copied = [value.split()[0] for value in values("COPY")]
    assert copied == ["bin", "requirements*.txt", "."]
    assert all(list(ROOT.glob(name)) for name in copied if name != ".")
    order = [step for step in STEPS if step[0] in ("COPY", "RUN")]
    assert order.index(("RUN", "bin/prepare_venv.sh")) == 2
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ".venv" in ignored and not {"bin", "cmnas_tf", "export", "configs"} & set(ignored)


def test_gpus_get_the_extra_of_the_installed_tensorflow():
    (install,) = (value for value in values("RUN") if "and-cuda" in value)
    assert install.startswith('test -z "$GPU" || pip install ')
    (version,) = re.findall(r"\$\((.*)\)", install)
    found = subprocess.run(
        ["bash", "-c", version.replace("pip show tensorflow", "echo Version: 2.15.1")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "2.15.1\n"


def test_ray_is_that_of_the_pins():
    (install,) = (value for value in values("RUN") if "ray[" in value)
    assert install.startswith('test -z "$RAY" || ')
    (version,) = re.findall(r"ray\[data,default\]==\$\((.*)\)", install)
    found = subprocess.run(["bash", "-c", version], capture_output=True, text=True, cwd=ROOT)
    assert re.fullmatch(r"2\.\d+\.\d+\n", found.stdout)
    job = yaml.safe_load((CONFIGS / "kubernetes_study.yaml").read_text())
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == found.stdout.strip()


def test_the_commands_are_the_projects():
    assert values("ENTRYPOINT") == ['["python", "-m", "cmnas_tf"]']
    assert values("WORKDIR") == ["/cmnas_tf"]
    assert values("CMD") == ['["doctor"]']
    runs = [words[words.index("cmnas") + 1 :] for words in EXAMPLES if words[1] == "run"]
    assert len(runs) == 2
    for command, *flags in runs:
        assert command in COMMANDS
        for flag in flags:
            if flag.startswith("--flagfile="):
                assert (CONFIGS / f"{flag.partition('=')[2]}.flags").is_file()


@pytest.mark.parametrize("name", ["kubernetes_search.yaml", "kubernetes_study.yaml"])
def test_kubernetes_runs_in_the_folder_of_the_image(name):
    text = (CONFIGS / name).read_text()
    assert text.count("workingDir: /cmnas_tf") == text.count("image: ")


def test_the_study_on_kubernetes_asks_for_what_its_nodes_have(monkeypatch):
    """And for paths that are mounted on each."""
    monkeypatch.chdir(ROOT)
    spec = yaml.safe_load((CONFIGS / "kubernetes_study.yaml").read_text())["spec"]
    (argv,) = re.findall(r"^cd /cmnas_tf && exec python -m cmnas_tf (.*)", spec["entrypoint"])
    study = command_line.read(StudyCommand, shlex.split(argv))
    assert study.executing.executor == "ray"
    cluster = spec["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    for group in (cluster["headGroupSpec"], workers):
        (container,) = group["template"]["spec"]["containers"]
        mounted = [mount["mountPath"] for mount in container["volumeMounts"]]
        for path in (study.run_dir, study.data.data_dir):
            assert any(path.startswith(f"{folder}/") for folder in mounted)
    has = container["resources"]["limits"]
    assert study.threads.threads <= int(has["cpu"])
    assert study.executing.gpus_per_cell <= has["nvidia.com/gpu"]
