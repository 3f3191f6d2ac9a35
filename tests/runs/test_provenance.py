"""What a result says of its origin."""

import json
import subprocess
from importlib import metadata

import pytest

import cmnas_tf
from cmnas_tf.options import described
from cmnas_tf.runs.provenance import commit, provenance, versions
from cmnas_tf.training.recipe import Recipe


def test_what_a_result_follows_from_as_json():
    settings = {"seed": 7, **described([Recipe(epochs=9)])}
    found = provenance(settings)
    assert found["settings"] == settings and found["settings"] is not settings
    assert found["settings"]["seed"] == 7
    assert found["settings"]["epochs"] == 9
    assert found["settings"]["average_decay"] == 0.997
    assert found["settings"]["decay_epochs"] == [40.0, 70.0]
    assert not {"run_dir", "data_dir", "cache", "progress", "strategy"} & set(found["settings"])
    assert found["commit"] == commit()
    assert found["versions"] == versions()
    assert json.loads(json.dumps(found)) == found


def test_versions():
    found = versions()
    assert found["cmnas_tf"] == cmnas_tf.__version__
    assert found["tensorflow"] == metadata.version("tensorflow")
    assert set(found) >= {"python", "tf-keras", "numpy"}


def test_a_package_that_is_not_installed_has_no_version(monkeypatch):
    version = metadata.version

    def without_tf_keras(name):
        if name == "tf-keras":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    expected = {name: found for name, found in versions().items() if name != "tf-keras"}
    monkeypatch.setattr(metadata, "version", without_tf_keras)
    assert versions() == expected


def git(folder, *arguments):
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout whose package is the one that runs."""
    package = tmp_path / "cmnas_tf"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "README.md").touch()
    (tmp_path / ".gitignore").write_text("*.pyc\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=one")
    monkeypatch.setattr(cmnas_tf, "__file__", str(package / "__init__.py"))
    return tmp_path


def test_the_commit_of_the_code(checkout):
    """Data beside the package and what git ignores make no difference to the code."""
    head = git(checkout, "rev-parse", "HEAD")
    assert len(head) == 40
    (checkout / "SYSU-MM01").mkdir()
    (checkout / "SYSU-MM01" / "a.jpg").touch()
    (checkout / "cmnas_tf" / "a.pyc").touch()
    assert commit() == head


@pytest.mark.parametrize("file", ["README.md", "cmnas_tf/__init__.py", "cmnas_tf/new.py"])
def test_changes_that_are_not_committed(checkout, file):
    head = git(checkout, "rev-parse", "HEAD")
    (checkout / file).write_text("changed\n")
    assert commit() == f"{head}-dirty"
    git(checkout, "add", ".")
    assert commit() == f"{head}-dirty"
    git(checkout, "commit", "--quiet", "--message=two")
    assert commit() == git(checkout, "rev-parse", "HEAD") != head


def test_no_commit_of_another_project(checkout, monkeypatch):
    """The package is installed in an environment that lies in somebody's checkout."""
    installed = checkout / ".venv" / "cmnas_tf"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    monkeypatch.setattr(cmnas_tf, "__file__", str(installed / "__init__.py"))
    assert commit() is None


def test_no_git(checkout, monkeypatch):
    """First no repository, then no program."""
    (checkout / ".git").rename(checkout / "elsewhere")
    assert commit() is None
    (checkout / "elsewhere").rename(checkout / ".git")
    assert commit() is not None
    monkeypatch.setenv("PATH", "")
    assert commit() is None
