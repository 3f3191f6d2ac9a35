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
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

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
        "install --no-build-isolation --requirement requirements.txt"
        " --requirement requirements-dev.txt",
        "check",
    ]
    second = checkout.install()
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert checkout.builds == 1


@pytest.mark.parametrize(
    ("version", "pins"),
    [
        ("3.10", "requirements.txt"),
        ("3.11", "requirements.txt"),
        ("3.12", "requirements-2.20.txt"),
        ("3.13", "requirements-2.20.txt"),
    ],
)
def test_a_python_takes_the_pins_of_its_line(checkout, version, pins):
    checkout.python("python3", version)
    run = checkout.install()
    assert f"preparing .venv with {checkout.bin}/python3 and {pins}:" in run.stdout
    assert any(f"--requirement {pins} " in call for call in checkout.calls)


def test_pip_keeps_nothing_outside_the_checkout(checkout):
    """So a full home, cache or /tmp is nothing to it."""
    checkout.python()
    checkout.install(PIP_CACHE_DIR="/dev/full", TMPDIR="/dev/full")
    pip = [call for call in checkout.calls if "pip" in call]
    assert pip and all("--no-cache-dir" in call for call in pip)


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


def test_changed_pin_of_the_other_line_changes_nothing(checkout):
    checkout.python()
    checkout.install()
    with (checkout.folder / "requirements-2.20.txt").open("a") as pins:
        pins.write("einops==0.8.1\n")
    checkout.install()
    assert checkout.builds == 1


def test_environment_of_the_other_line_is_replaced_and_named(checkout):
    other = checkout.python("python3.12", "3.12")
    checkout.install()
    checkout.python()
    assert checkout.install().stdout == ""  # it does
    with (checkout.folder / "requirements-2.20.txt").open("a") as pins:
        pins.write("einops==0.8.1\n")
    said = checkout.install().stdout
    assert "replacing the .venv of Python 3.12 by one of Python 3.11" in said
    assert "make install BASE_PYTHON=python3.12 builds it again" in said
    said = checkout.install(BASE_PYTHON=str(other)).stdout
    assert "replacing the .venv of Python 3.11 by one of Python 3.12" in said
    assert "replacing" not in checkout.install(BASE_PYTHON=str(checkout.python())).stderr
    assert checkout.builds == 4


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
    checkout.python("python3.12", "3.12 without its ssl module")
    checkout.python("python3", "3.14")
    checkout.python("python", "3.10")
    run = checkout.install()
    assert run.returncode == 0
    assert f"with {checkout.bin}/python and" in run.stdout
    assert f"passed over: {checkout.bin}/python3.11: does not run; " in run.stdout
    assert f"; {checkout.bin}/python3.12: 3.12 without its ssl module; " in run.stdout


def test_the_first_line_comes_first(checkout):
    for name, version in {"python3": "3.13", "python3.12": "3.12", "python3.11": "3.11"}.items():
        checkout.python(name, version)
    run = checkout.install()
    assert "and requirements.txt:" in run.stdout and "passed over" not in run.stdout


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
    names = "python3.11 python3.10 python3.12 python3.13 python3 python"
    assert f"none of {names} on PATH" in message
    assert "next:   install Python 3.11 or 3.12" in message


def test_only_other_pythons(checkout):
    checkout.python("python3", "3.14")
    checkout.python("python", "2.7 without its venv module")
    message = checkout.fails()
    assert f"{checkout.bin}/python3: 3.14; {checkout.bin}/python: 2.7" in message
    assert "next:   install Python 3.11" in message


@pytest.mark.parametrize(
    ("version", "next_move"),
    [
        ("3.11 without its venv module", "apt install python3.11-venv"),
        ("3.12 without its ensurepip module", "apt install python3.12-venv"),
        ("3.13 without its ssl module", "build Python 3.13 again"),
    ],
)
def test_python_without_a_module(checkout, version, next_move):
    checkout.python(version=version)
    message = checkout.fails()
    assert f"python3.11: {version}" in message and next_move in message


def test_a_module_that_python_lacks_is_named(checkout, tmp_path):
    (tmp_path / "ssl.py").write_text("import no_such_library")
    checkout.command("python3.12", f'#!/bin/bash\nexec "{sys.executable}" "$@"\n')
    running = f"{sys.version_info[0]}.{sys.version_info[1]}"
    message = checkout.fails(PYTHONPATH=str(tmp_path))
    assert f"python3.12: {running} without its ssl module" in message


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
    checkout.command("df", "#!/bin/bash\necho Mounted\necho /dev/disk 9000 4600 4400 52% /\n")
    message = checkout.fails()
    assert f"4400 MB free in {checkout.folder}" in message
    assert "needed: 4500 MB" in message
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


FILES = ("requirements-build.txt", "requirements-dev.txt")  # of both lines
DOCS = "requirements-docs.txt"  # of both lines, and not part of what `make install` makes
OPTIONAL = "requirements-optional.txt"  # of the first line, and not part of it either
LINES = {"2.15": "requirements.txt", "2.20": "requirements-2.20.txt"}
RUNNING = "2.15" if sys.version_info < (3, 12) else "2.20"

every_line = pytest.mark.parametrize("line", LINES)


def pins(line: str, *others: str) -> list[tuple[str, str, str]]:
    """Name, version and environment marker of every package pinned for a line."""
    found = []
    for name in (*FILES, LINES[line], *others):
        for text in (ROOT / name).read_text().splitlines():
            text = re.sub(r"\s*#.*", "", text)
            if text and not text.startswith("-r requirements"):
                pinned = re.fullmatch(
                    r"([a-z0-9-]+)==([0-9][\w.+]*)(?:; (python_version < \"3.11\"))?", text
                )
                assert pinned, f"{name}: not pinned: {text}"
                found.append(pinned.groups(default=""))
    return found


@every_line
def test_every_package_is_pinned_once(line):
    """But that one may be needed for running and for testing: at the same version then."""
    found = pins(line, DOCS, OPTIONAL)
    names = [name for name, _, _ in set(found)]
    assert len(names) == len(set(names)) > 100


def test_all_files_of_pins_belong_to_a_line():
    of_a_line = {*FILES, DOCS, OPTIONAL, *LINES.values()}
    assert {path.name for path in ROOT.glob("requirements*.txt")} == of_a_line


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (
            "2.15",
            {
                "tensorflow": "2.15.1",
                "keras": "2.15.0",
                "tensorflow-addons": "0.23.0",
                "tf-models-official": "2.15.0",
                "tensorflow-serving-api": "2.15.1",
                "numpy": "1.26.4",
                "absl-py": "1.4.0",
                "tensorflow-metadata": "1.17.3",
            },
        ),
        (
            "2.20",
            {
                "tensorflow": "2.20.0",
                "tf-keras": "2.20.1",
                "tf-models-official": "2.20.0",
                "tensorflow-serving-api": "2.20.0",
                "absl-py": "1.4.0",
            },
        ),
    ],
)
def test_named_versions(line, wanted):
    pinned = {name: version for name, version, _ in pins(line)}
    assert wanted.items() <= pinned.items()
    assert int(pinned["setuptools"].split(".")[0]) < 82


def test_the_second_line_does_without_addons():
    assert "tensorflow-addons" not in {name for name, _, _ in pins("2.20")}


@every_line
def test_the_pins_lie_within_the_bounds_of_the_package(line):
    """Those of pyproject.toml, as its markers choose them for the line's Pythons."""
    pinned = {name: version for name, version, _ in pins(line, DOCS, OPTIONAL)}
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 has no reader of TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    bounds = [
        *project["dependencies"],
        *extras["serving"],
        *extras["faiss"],
        *extras["report"],
        *extras["browse"],
        *extras["store"],
        *extras["ray"],
        *extras["docs"],
        *extras["torch"],
        *extras["onnx"],
        *extras["dev"],
    ]
    for python in {"2.15": ("3.10", "3.11"), "2.20": ("3.12", "3.13")}[line]:
        assert python in SpecifierSet(project["requires-python"])
        for bound in map(Requirement, bounds):
            if bound.marker and not bound.marker.evaluate({"python_version": python}):
                continue
            if bound.name != "cmnas_tf":  # its own extras
                assert pinned[bound.name] in bound.specifier, bound


@pytest.mark.skipif(
    Path(sys.prefix) != ROOT / ".venv",
    reason="only the environment of `make install` holds the pins",
)
def test_environment_holds_the_pins_and_nothing_else():
    wanted = {
        name: version
        for name, version, marker in pins(RUNNING)
        if not marker or Marker(marker).evaluate()
    }
    installed = {
        re.sub(r"[-_.]+", "-", package.name).lower(): package.version
        for package in importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
    }
    del installed["pip"]  # comes with the interpreter
    cuda = {name for name in installed if name.startswith("nvidia-")}  # see docs/devices.md
    more = {name for name, *_ in pins(RUNNING, DOCS, OPTIONAL)} - wanted.keys()
    assert {name: installed[name] for name in installed.keys() - cuda - more} == wanted


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
