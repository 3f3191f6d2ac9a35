"""`make install` on machines that lack something, and the pins it installs.

The interpreters here are small shell scripts on a PATH of their own, so that nothing is downloaded.
"""

import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
TOOLS = ["awk", "bash", "cat", "cp", "cut", "df", "dirname", "flock", "grep", "mkdir", "rm", "sed"]
TOOLS += ["sha256sum", "sleep", "tail", "tee", "uname"]

# Stands for Python: `-` gives the version, `-m venv` copies itself, `-m pip` says what is set here.
FAKE_PYTHON = """#!/bin/bash
case "$1 ${2:-}" in
"- ") cat >/dev/null; echo "@version@" ;;
"-m venv") echo "venv" >>calls; mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
"-m pip") echo "$*" >>calls; cat <<'SAYS'
@pip_says@
SAYS
@pip_ends@ ;;
esac
"""


class Checkout:
    """A copy of what `make install` reads, with a PATH that holds nothing but `bin`."""

    def __init__(self, folder: Path):
        self.folder = folder / "check out"
        self.bin = folder / "bin"
        self.bin.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        (self.folder / "bin").mkdir(parents=True)
        shutil.copy(ROOT / "bin/prepare_venv.sh", self.folder / "bin")
        for pins in ROOT.glob("requirements*.txt"):
            shutil.copy(pins, self.folder)

    def command(self, name: str, script: str) -> Path:
        path = self.bin / name
        path.unlink(missing_ok=True)
        path.write_text(script)
        path.chmod(0o755)
        return path

    def python(self, name="python3.11", version="3.11", pip_says="", pip_ends="exit 0") -> Path:
        script = FAKE_PYTHON.replace("@version@", version).replace("@pip_says@", pip_says)
        return self.command(name, script.replace("@pip_ends@", pip_ends))

    def install(self, **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["bin/prepare_venv.sh"],
            cwd=self.folder,
            env={"PATH": str(self.bin), **environment},
            capture_output=True,
            text=True,
        )

    def fails(self, **environment: str) -> str:
        """The one message of a failed run, which leaves no environment behind."""
        run = self.install(**environment)
        assert run.returncode == 1
        assert [line.split()[0] for line in run.stderr.splitlines()] == [
            "cannot",
            "found:",
            "needed:",
            "next:",
        ]
        assert not (self.folder / ".venv").exists()
        return run.stderr

    @property
    def calls(self) -> list[str]:
        path = self.folder / "calls"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def builds(self) -> int:
        return self.calls.count("venv")


@pytest.fixture
def checkout(tmp_path):
    return Checkout(tmp_path)


def test_builds_once_and_then_does_nothing(checkout):
    checkout.python()
    first = checkout.install()
    assert (first.returncode, first.stderr) == (0, "")
    assert ".venv is ready" in first.stdout
    installed = [call.split("--no-cache-dir ")[1] for call in checkout.calls if "pip" in call]
    assert installed == [
        "install --requirement requirements-build.txt",
        "install --no-build-isolation --requirement requirements-dev.txt",
        "check",
    ]
    second = checkout.install()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert checkout.builds == 1


def test_what_pip_says_stays_in_the_log(checkout):
    checkout.python(pip_says="WARNING: an odd place is ignored")
    run = checkout.install()
    assert "odd place" not in run.stdout + run.stderr
    assert "odd place" in (checkout.folder / ".venv-install.log").read_text()


def test_changed_pin_builds_anew(checkout):
    checkout.python()
    checkout.install()
    with (checkout.folder / "requirements.txt").open("a") as pins:
        pins.write("einops==0.8.1\n")
    checkout.install()
    assert checkout.builds == 2


def test_rewritten_but_equal_pins_change_nothing(checkout):
    checkout.python()
    checkout.install()
    (checkout.folder / "requirements.txt").touch()
    checkout.install()
    assert checkout.builds == 1


def test_half_made_environment_is_built_anew(checkout):
    checkout.python()
    leftover = checkout.folder / ".venv/lib/leftover"
    leftover.mkdir(parents=True)
    assert checkout.install().returncode == 0
    assert not leftover.exists()


def test_environment_whose_python_is_gone_is_built_anew(checkout):
    checkout.python()
    checkout.install()
    (checkout.folder / ".venv/bin/python").unlink()
    checkout.install()
    assert checkout.builds == 2


def test_moved_checkout_is_built_anew(checkout):
    checkout.python()
    checkout.install()
    checkout.folder = checkout.folder.rename(checkout.folder.with_name("moved"))
    checkout.install()
    assert checkout.builds == 2


def test_two_at_a_time_build_once(checkout):
    checkout.python()
    env = {"PATH": str(checkout.bin)}
    runs = [subprocess.Popen(["bin/prepare_venv.sh"], cwd=checkout.folder, env=env) for _ in "ab"]
    assert [run.wait() for run in runs] == [0, 0]
    assert checkout.builds == 1


def test_takes_the_first_python_that_is_fit(checkout):
    checkout.command("python3.11", "#!/bin/bash\nexit 127\n")  # a shim without a version behind it
    checkout.python("python3.10", "3.10 without its venv module")
    checkout.python("python3", "3.12")
    checkout.python("python", "3.10")
    run = checkout.install()
    assert run.returncode == 0
    assert f"with {checkout.bin}/python:" in run.stdout


def test_base_python_decides(checkout):
    checkout.python()
    checkout.install()
    other = checkout.python("another", "3.10")
    assert "another" in checkout.install(BASE_PYTHON=str(other)).stdout
    assert checkout.install(BASE_PYTHON=str(other)).stdout == ""
    assert checkout.install().stdout == ""  # the one that is there stays
    assert checkout.builds == 2


def test_bad_base_python_leaves_the_environment_alone(checkout):
    checkout.python()
    checkout.install()
    run = checkout.install(BASE_PYTHON="/no/such/python")
    assert run.returncode == 1
    assert "/no/such/python: does not run" in run.stderr
    assert (checkout.folder / ".venv/prepared").exists()


def test_no_python_at_all(checkout):
    message = checkout.fails()
    assert "no python3.11, python3.10, python3 or python on PATH" in message
    assert "next:   install Python 3.11" in message


def test_only_other_pythons(checkout):
    checkout.python("python3", "3.13")
    checkout.python("python", "2.7 without its venv module")
    message = checkout.fails()
    assert f"{checkout.bin}/python3: 3.13; {checkout.bin}/python: 2.7" in message
    assert "next:   install Python 3.11" in message


def test_python_without_venv(checkout):
    checkout.python(version="3.11 without its venv module")
    assert "apt install python3.11-venv" in checkout.fails()


def test_the_real_python_passes_its_own_check(checkout):
    checkout.command(
        "python3.11", f'#!/bin/bash\n[[ $1 == - ]] || exit 1\nexec "{sys.executable}" -\n'
    )
    assert "pip failed" in checkout.fails()  # past the check, and stopped at `-m venv`


def test_other_system(checkout):
    checkout.python()
    checkout.command("uname", "#!/bin/bash\necho Darwin arm64\n")
    message = checkout.fails()
    assert "found:  Darwin arm64" in message
    assert "Linux x86_64" in message


def test_too_little_disk_space(checkout):
    checkout.python()
    checkout.command("df", "#!/bin/bash\necho Mounted\necho /dev/disk 9000 5600 3400 62% /\n")
    message = checkout.fails()
    assert f"3400 MB free in {checkout.folder}" in message
    assert "needed: 3500 MB" in message
    assert checkout.builds == 0


RETRY = (
    "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError("
    "'<pip.HTTPSConnection object at 0x7f1c>: Failed to establish a new connection: "
    "[Errno -2] Name or service not known')': /simple/absl-py/"
)
NONE = "ERROR: No matching distribution found for absl-py==1.4.0"


@pytest.mark.parametrize(
    "pip_says, message",
    [
        (f"{RETRY}\n{NONE}", "could not reach the package index"),
        (NONE, "has nothing that fits this system"),
        ("ERROR: [Errno 28] No space left on device", "the disk filled up"),
        ("ERROR: Failed building wheel for promise", "pip failed"),
        ("promise 2.3 requires six, which is not installed.\nWARNING: odd", "pip failed"),
    ],
)
def test_failure_of_pip_is_explained(checkout, pip_says, message):
    checkout.python(pip_says=pip_says, pip_ends="exit 1")
    said = checkout.fails()
    assert message in said
    if message == "pip failed":
        assert f"found:  {pip_says.splitlines()[0]}\n" in said


def test_killed_pip_leaves_nothing_to_trust(checkout):
    checkout.python(pip_ends="kill -KILL $$")
    assert "pip failed" in checkout.fails()
    checkout.python()
    assert checkout.install().returncode == 0


def test_interrupt_leaves_nothing_to_trust(checkout):
    # Ctrl-C reaches the whole process group, as here: the fake pip interrupts its own.
    checkout.python(pip_ends="trap 'exit 130' INT; kill -INT 0; sleep 9")
    run = subprocess.Popen(
        ["bin/prepare_venv.sh"],
        cwd=checkout.folder,
        env={"PATH": f"{checkout.bin}:{os.defpath}"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # The tests themselves may run in the background of a shell, which ignores SIGINT there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert run.communicate()[1] == ""
    assert run.returncode in (130, -signal.SIGINT)
    assert not (checkout.folder / ".venv").exists()


@pytest.mark.slow
def test_real_pip_without_a_network(checkout):
    checkout.command("python3.11", f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')
    message = checkout.fails(
        PIP_INDEX_URL="http://127.0.0.1:9/simple",  # the discard port: nobody listens
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
        PIP_CONFIG_FILE=os.devnull,
        PIP_RETRIES="1",
    )
    assert "could not reach the package index" in message
    assert "Connection refused" in message


def pins() -> list[tuple[str, str, str]]:
    """Name, version and environment marker of every pinned package."""
    found = []
    for path in sorted(ROOT.glob("requirements*.txt")):
        for line in path.read_text().splitlines():
            line = re.sub(r"\s*#.*", "", line)
            if line and not line.startswith("-r requirements"):
                pinned = re.fullmatch(
                    r"([a-z0-9-]+)==([0-9][\w.]*)(?:; (python_version < \"3.11\"))?", line
                )
                assert pinned, f"{path.name}: not pinned: {line}"
                found.append(pinned.groups(default=""))
    return found


def test_every_package_is_pinned_once():
    names = [name for name, _, _ in pins()]
    assert len(names) == len(set(names)) > 100


def test_named_versions():
    wanted = {
        "tensorflow": "2.15.1",
        "keras": "2.15.0",
        "tensorflow-addons": "0.23.0",
        "tf-models-official": "2.15.0",
        "tensorflow-serving-api": "2.15.1",
        "numpy": "1.26.4",
        "absl-py": "1.4.0",
        "tensorflow-metadata": "1.17.3",
    }
    pinned = {name: version for name, version, _ in pins()}
    assert wanted.items() <= pinned.items()
    assert int(pinned["setuptools"].split(".")[0]) < 82


@pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv",
    reason="only the environment of `make install` holds the pins",
)
def test_environment_holds_the_pins_and_nothing_else():
    wanted = {
        name: version for name, version, marker in pins() if not marker or Marker(marker).evaluate()
    }
    installed = {
        re.sub(r"[-_.]+", "-", package.name).lower(): package.version
        for package in importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
    }
    del installed["pip"]  # comes with the interpreter
    cuda = {name for name in installed if name.startswith("nvidia-")}  # see "GPU" in BUILD.md
    assert {name: installed[name] for name in installed.keys() - cuda} == wanted


def test_make_runs_lint_then_every_test():
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    plan = subprocess.run(
        ["make", "--dry-run", "test"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    places = [
        plan.index(step) for step in ("venv.sh", "ruff check", "ruff format", "mypy", "pytest")
    ]
    assert places == sorted(places)
    assert "slow" not in plan
