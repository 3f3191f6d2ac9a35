"""The documents: their commands, code and links are those of the program."""

import ast
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import tensorflow as tf

import cmnas_tf as reid
from cmnas_tf.architecture import BACKBONES, Architecture
from cmnas_tf.commands import command_line
from cmnas_tf.commands.cmnas import COMMANDS, load
from cmnas_tf.data import LAYOUTS
from cmnas_tf.errors import BadInput
from cmnas_tf.models import two_stream
from cmnas_tf.models.backbones import BUILDERS
from cmnas_tf.searching import ALGORITHMS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
DOCUMENTS = sorted({*DOCS.glob("*.md"), *(ROOT / name for name in ("README.md", "BUILD.md"))})
DOCUMENTS += [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", ROOT / "export/serving/README.md"]

every_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT))
)

# Flags that documents name and no command has: of other programs, and of the worked examples.
FOREIGN = {
    "README.md": {"enable_batching", "grpc_max_threads", "memory", "ssl_config_file"},
    "BUILD.md": {"constraint", "extra-index-url", "no-build-isolation", "no-deps", "random-order"},
    "CONTRIBUTING.md": {"no-deps"},
    "search.md": {"logdir"},
    "slurm.md": {"address", "build-arg", "gres", "head"},
    "troubleshooting.md": {"num-cpus"},
    "moving.md": {
        *("data_root", "batch_size", "num_pos", "sp_lambda", "cmmd_lambda", "lr", "steps"),
        *("img_h", "img_w", "ema_decay", "shot", "config_path", "weights", "save-dir"),
    },
    "results.md": {"limit_s", "small"},
    "extending.md": {"draw"},
}


def blocks(document: Path, *languages: str) -> list[str]:
    """The blocks of code of a document in one of the languages; "" is none."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)
    return [text for language, text in found if language in languages]


def command_lines(document: Path) -> list[list[str]]:
    """The words of every call of the program in the shell blocks: the command, then its flags."""
    found = []
    for block in blocks(document, "", "sh", "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            calls = re.split(r"(?:^|\s)(?:cmnas |\S*python -m cmnas_tf[ .])", line)
            words = shlex.split(calls[1], comments=True) if len(calls) > 1 else []
            if words and not words[0].startswith("-"):
                found.append(words[: words.index("&")] if "&" in words else words)
    return found


CALLS = [
    pytest.param(words, id=f"{document.name}-{number}-{words[0]}")
    for document in DOCUMENTS
    for number, words in enumerate(command_lines(document))
]


@pytest.mark.parametrize("words", CALLS)
def test_a_command_line_is_one(words, monkeypatch):
    """Its command, flags, values and flagfiles exist."""
    monkeypatch.chdir(ROOT)
    name, *flags = words
    assert name in COMMANDS
    _, command = load(name)
    command_line.read(command, [name, *flags])


def test_a_command_line_that_is_none():
    """What the test above relies upon."""
    with pytest.raises(BadInput, match="epohcs"):
        command_line.read(load("train")[1], ["x", "--epohcs=3", "--data_dir=a", "--run_dir=b"])


@cache
def known_flags() -> set[str]:
    options = [option for name in COMMANDS for option in load(name)[1].options()]
    off = {f"no{option.name}" for option in options if option.type is bool}
    return {option.name for option in options} | off


@every_document
def test_a_flag_in_a_sentence_exists(document):
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    found = set(re.findall(r"(?<![\w-])--([a-z][\w.-]*\w)", text))
    common = {"help", "flagfile", "search.flagfile", "search.FLAG", "train.FLAG", "evaluate.FLAG"}
    assert not found - known_flags() - common - FOREIGN.get(document.name, set())


@every_document
def test_python_in_a_document_compiles(document):
    for block in blocks(document, "python"):
        compile(block, document.name, "exec")


@pytest.mark.slow
def test_python_of_the_first_guide_runs(one_block, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (block,) = blocks(DOCS / "get_started.md", "python")
    names: dict = {}
    exec(block, names)
    assert isinstance(names["scores"], reid.Scores)
    assert "all_single_shot" in capsys.readouterr().out
    assert (tmp_path / "runs/train/checkpoints").is_dir()


def test_the_loss_in_the_guide_is_that_of_the_package():
    """It computes the same, statement by statement."""
    (printed,) = [b for b in blocks(DOCS / "extending.md", "python") if "register_loss(" in b]
    source = (ROOT / "cmnas_tf/losses/hetero_center.py").read_text()
    assert computed_by(printed) == computed_by(source)


def computed_by(source: str) -> list[str]:
    (call,) = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == "__call__"
    ]
    return [ast.unparse(node) for node in call.body if not _is_docstring(node)]


def _is_docstring(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


@pytest.mark.parametrize(
    ("mark", "registry", "name"),
    [("register_dataset(", LAYOUTS, "my_people"), ("ALGORITHMS", ALGORITHMS, "first_come")],
)
def test_a_registration_in_the_guide_is_one(mark, registry, name):
    (printed,) = [b for b in blocks(DOCS / "extending.md", "python") if mark in b]
    try:
        exec(printed, {"__name__": __name__})
        assert name in registry
    finally:
        registry.unregister(name)


def test_the_backbone_in_the_guide_is_a_network():
    (printed,) = [b for b in blocks(DOCS / "extending.md", "python") if "register_backbone" in b]
    try:
        exec(printed, {"__name__": __name__})
        network = two_stream(Architecture.separate_until("stage2", "plain3"), 5, "plain3")
        images = tf.zeros([2, 32, 16, 3])
        assert network((images, images)).logits.shape == (4, 5)
    finally:
        BACKBONES.unregister("plain3")
        BUILDERS.unregister("plain")


@cache
def anchors(document: Path) -> set[str]:
    """Those that a reader of Markdown gives to the headings."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in headings}


@every_document
def test_links_lead_somewhere(document):
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", link):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if target.parent == DOCS / "commands":  # made with the site
            continue
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
        if document.parent == DOCS:
            assert target.is_relative_to(DOCS), f"{link} is no part of the site"


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 700


def test_every_public_name_is_in_the_reference():
    shown = re.findall(r"^::: cmnas_tf\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert sorted(shown) == reid.__all__


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    pytest.importorskip("mkdocs", reason="the extra `docs` is not installed: see `make docs`")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", f"--site-dir={tmp_path / 'site'}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    site = tmp_path / "site"
    assert {page.stem for page in site.glob("commands/*.html")} == {"index", *COMMANDS}
    assert "--hetero_center_weight" in (site / "commands/train.html").read_text()
    assert "commands imports training" in (site / "architecture.html").read_text()
    tutorial = (site / "tutorial.html").read_text()
    assert 'href="tutorial_parts.html"' in tutorial and 'href="tutorial.ipynb"' in tutorial
    pictures = re.findall(r'src="(tutorial_\d+\.\w+)"', tutorial)
    assert len(pictures) == 3 and all((site / name).is_file() for name in pictures)
    # Searched from a disk, too, where browsers start no workers and read no JSON.
    assert (site / "search/search_index.js").is_file()
    assert "javascripts/iframe-worker.js" in (site / "index.html").read_text()
    for page in site.rglob("*.html"):  # which are read without a network
        assert not re.search(r'<(?:script|link|img)[^>]*(?:src|href)="https?:', page.read_text())
