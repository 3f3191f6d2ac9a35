"""The Dockerfile agrees with the project: its Pythons, files and commands are there."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from cmnas_tf.commands.cmnas import COMMANDS
from cmnas_tf.commands.command_line import CONFIGS

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "Dockerfile").read_text()
STEPS = [
    tuple(line.split(maxsplit=1)) for line in TEXT.splitlines() if line and not line.startswith("#")
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
    ]
    declared = dict(value.split("=") for value in values("ARG"))
    assert declared == {"PYTHON": "3.11", "GPU": ""}
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


def test_kubernetes_runs_in_the_folder_of_the_image():
    assert "workingDir: /cmnas_tf" in (CONFIGS / "kubernetes_search.yaml").read_text()
