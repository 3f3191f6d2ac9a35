"""What a user meets who gives a command something it cannot use: one sentence, an exit code of 2,
and nothing half-written."""

import json
import shutil

import pytest
import tensorflow as tf

from cmnas_tf.architecture import Architecture
from cmnas_tf.commands import command_line
from cmnas_tf.commands.cmnas import load
from cmnas_tf.files import write_json
from cmnas_tf.options import described
from cmnas_tf.runs.run_folder import RunFolder
from tests.models.genotypes import EVERYTHING
from tests.runs.saving import save
from tests.tiny_people import TINY, write_people

MARKET = ("--dataset=market1501",)
CLASSIFICATION = (*MARKET, "--objective=classification")
ABSENT = ("--data_dir=absent", "--run_dir=absent")


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Synthetic SYSU-MM01, RegDB and Market-1501 with 4 + 2 people; not to be changed."""
    root = tmp_path_factory.mktemp("data")
    for dataset in ("sysu_mm01", "regdb", "market1501"):
        write_people(root / dataset, dataset=dataset, train_identities=4, test_identities=2)
    return root


@pytest.fixture
def tree(trees, tmp_path):
    """A copy of the synthetic SYSU-MM01, to be spoiled."""
    return shutil.copytree(trees / "sysu_mm01", tmp_path / "data")


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def refused(monkeypatch, capsys):
    """Runs a command that must be refused; gives its message."""

    def run(command, *flags):
        monkeypatch.setattr("sys.argv", [command, *map(str, flags)])
        with pytest.raises(SystemExit) as exit_:
            command_line.run(*load(command))
        said = capsys.readouterr()
        assert exit_.value.code == 2
        assert said.out == ""
        assert "Traceback" not in said.err
        _, _, message = said.err.partition("\nerror: ")
        assert message
        return message

    return run


@pytest.mark.parametrize("command", ["search", "train"])
def test_data_that_cannot_be_used(refused, trees, tree, run_dir, tmp_path, command):
    """Said before the run's folder is made."""
    (tmp_path / "empty").mkdir()
    for folder, message in (
        (tmp_path / "none", "none does not exist"),
        (tmp_path / "empty", "empty is empty"),
        (trees / "regdb", "looks like regdb, not like sysu_mm01"),
    ):
        where = f"--data_dir={folder}", f"--run_dir={run_dir}"
        said = refused(command, *TINY, "--dataset=sysu_mm01", *where)
        assert message in said
    for camera in (3, 6):
        shutil.rmtree(tree / f"cam{camera}" / "0002")
    said = refused(command, *TINY, f"--data_dir={tree}", f"--run_dir={run_dir}")
    assert "training identities" in said
    assert "no infrared image" in said
    assert "[2]" in said
    assert not run_dir.exists()


@pytest.mark.parametrize(("command", "cache"), [("search", "none"), ("train", "decoded")])
def test_an_unreadable_image(refused, tree, run_dir, command, cache):
    """Every visible image is cut off, so the first batch has one; no checkpoint is written."""
    for camera in (1, 2, 4, 5):
        for path in (tree / f"cam{camera}").glob("*/*.jpg"):
            path.write_bytes(path.read_bytes()[:200])
    flags = (*TINY, f"--cache={cache}", f"--data_dir={tree}", f"--run_dir={run_dir}")
    said = refused(command, *flags)
    assert f"Cannot read {tree}/cam1/0001/0001.jpg: not a complete JPEG" in said
    assert "more like it" in said
    assert "--skip_unreadable" in said
    assert RunFolder(run_dir).checkpoints().paths() == []


@pytest.mark.parametrize("command", ["search", "train"])
def test_batches_that_cannot_be_drawn(refused, trees, run_dir, command):
    data = f"--data_dir={trees / 'sysu_mm01'}"
    flags = (f"--run_dir={run_dir}", "--identities_per_batch=5", "--strategy=one_device")
    said = refused(command, *TINY, data, *flags)
    assert "--identities_per_batch=5, but there are only 4 identities" in said
    assert not run_dir.exists()


def test_a_split_that_leaves_too_few_identities(refused, trees, run_dir):
    data = f"--data_dir={trees / 'sysu_mm01'}"
    said = refused("search", *TINY, data, f"--run_dir={run_dir}", "--split=identities")
    assert "--identities_per_batch=4, but there are only 2 identities" in said
    assert not run_dir.exists()


@pytest.mark.parametrize("command", ["search", "train"])
def test_a_batch_that_cannot_be_divided_over_the_devices(refused, trees, run_dir, command):
    """There are two devices here; said before the run's folder is made."""
    flags = f"--data_dir={trees / 'sysu_mm01'}", f"--run_dir={run_dir}", "--strategy=mirrored"
    said = refused(command, *TINY, *flags, "--identities_per_batch=3")
    assert "--identities_per_batch=3 cannot be divided over 2 devices" in said
    assert "give 2 or 4, or use 1 of the devices" in said
    assert not run_dir.exists()


@pytest.mark.parametrize("command", ["search", "train", "evaluate"])
def test_processes_that_cannot_work_together(refused, trees, run_dir, monkeypatch, command):
    """None listed, and a list that does not say which of them this one is."""
    data = f"--data_dir={trees / 'sysu_mm01'}"
    flags = (data, f"--run_dir={run_dir}", "--strategy=multi_worker")
    assert "finds no cluster in the environment variable TF_CONFIG" in refused(command, *flags)
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["here:2001"]}}')
    for strategy in ("multi_worker", "auto"):
        said = refused(command, *flags, f"--strategy={strategy}")
        assert "the task's type is None" in said
    assert not run_dir.exists()


@pytest.mark.parametrize(
    ("command", "flag", "message"),
    [
        ("search", "--epoch=3", "Unknown command line flag 'epoch'. Did you mean: epochs"),
        ("train", "--relaxation=gumbel", "Unknown command line flag 'relaxation'"),
        ("search", "--epochs=many", "--epochs"),
        ("search", "--epochs=0", "--epochs=0 is out of range; it must be at least 1"),
        ("search", "--warmup_epochs=60", "--warmup_epochs=60 leaves no epoch"),
        ("train", "--flip_probability=1.5", "it must be between 0 and 1"),
        ("train", "--backbone=resnet20", "resnet20"),
        ("train", "--dataset=market", "--dataset='market' is not allowed"),
        ("train", "--recipe=tiny", "--recipe='tiny' is not allowed"),
        ("search", "--candidates=3", "--candidates=3 means nothing to --algorithm=darts"),
        ("search", "--algorithm=random --candidates=200", "--candidates=200 share --epochs=60"),
        ("train", "--decay_epochs=40,late", "--decay_epochs=40,late must be numbers"),
        ("evaluate", "--shots=5", "--shots=5 is not allowed; it must be one of 1, 10"),
        ("evaluate", "run", "Arguments that are no flags: run"),
        ("evaluate", "--flagfile=none.flags", "none.flags"),
    ],
)
def test_flags_that_cannot_be_used(refused, command, flag, message):
    assert message in refused(command, *ABSENT, *flag.split())


@pytest.mark.parametrize("command", ["search", "train"])
def test_flags_that_are_missing(refused, command):
    assert "--run_dir is missing. Folder of this run" in refused(command, *TINY)
    assert "--data_dir is missing. Folder of the data" in refused(command, "--run_dir=absent")


@pytest.mark.parametrize("value", ["nan", "inf"])
@pytest.mark.parametrize("flag", ["margin", "backbone_learning_rate", "decay_epochs"])
def test_numbers_that_are_not_finite(refused, trees, run_dir, flag, value):
    data = f"--data_dir={trees / 'sysu_mm01'}"
    said = refused("train", *TINY, data, f"--run_dir={run_dir}", f"--{flag}={value}")
    assert f"--{flag}" in said
    assert not run_dir.exists()


@pytest.mark.parametrize("seed", [2**32, 2**63])
def test_seeds_that_no_generator_takes(refused, trees, run_dir, seed):
    data = f"--data_dir={trees / 'sysu_mm01'}"
    said = refused("train", *TINY, data, f"--run_dir={run_dir}", f"--seed={seed}")
    assert f"--seed={seed}" in said
    assert not run_dir.exists()


@pytest.mark.parametrize(
    ("command", "prefix"), [("train", ""), ("search", ""), ("search", "architecture_")]
)
def test_an_objective_without_terms(refused, trees, run_dir, command, prefix):
    """Said at once, not when the architecture's first update comes."""
    names = ("cross_entropy", "triplet", "correlation", "mmd")
    flags = [f"--{prefix}{name}_weight=0" for name in names]
    flags += ["--warmup_epochs=0"] if command == "search" else []
    data = f"--data_dir={trees / 'sysu_mm01'}"
    said = refused(command, *TINY, data, f"--run_dir={run_dir}", *flags)
    assert "weight" in said
    assert not run_dir.exists()


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("train", ["--mmd_weight=0.1"]),
        ("search", ["--search_space=reid_cells", "--cells=1", "--mmd_weight=0.1"]),
        ("search", ["--search_space=reid_cells", "--cells=1", "--architecture_mmd_weight=0.1"]),
    ],
)
def test_terms_between_modalities_when_there_is_one(refused, trees, run_dir, command, flags):
    """Without a weight that is given they are left out."""
    data = (*MARKET, f"--data_dir={trees / 'market1501'}", f"--run_dir={run_dir}")
    said = refused(command, *TINY[1:], *data, *flags)
    assert "mmd compare two modalities, but the images are all visible" in said
    assert "--mmd_weight" in said
    assert not run_dir.exists()


def test_a_search_space_for_other_images(refused, trees, run_dir):
    """Norms want two modalities, cells one."""
    market = (*MARKET, f"--data_dir={trees / 'market1501'}", f"--run_dir={run_dir}")
    sysu = (*TINY[1:], f"--data_dir={trees / 'sysu_mm01'}", f"--run_dir={run_dir}")
    said = refused("search", *TINY, *market)
    assert "all visible" in said and "--search_space=reid_cells" in said
    said = refused("search", *sysu, "--search_space=reid_cells")
    assert "Say which: --modality=visible or --modality=infrared" in said
    said = refused("search", *TINY[1:], *market, "--modality=infrared")
    assert "--modality=infrared: the images are all visible" in said
    assert not run_dir.exists()


@pytest.mark.slow
def test_images_with_too_few_rows_for_the_parts(refused, trees, run_dir):
    market = (*MARKET, f"--data_dir={trees / 'market1501'}", f"--run_dir={run_dir}")
    low = ("--search_space=reid_cells", "--cells=1,1", "--image_height=24")
    said = refused("search", *TINY[1:], *market, *low)
    assert "24 pixels high" in said and "--image_height=25 or more" in said
    assert not run_dir.exists()


@pytest.mark.slow
def test_the_run_folder(refused, trees, run_dir, tmp_path):
    """A file, one of something else, one of another run."""
    data = f"--data_dir={trees / 'sysu_mm01'}"
    (tmp_path / "notes.txt").write_text("mine")
    said = refused("train", *TINY, data, f"--run_dir={tmp_path}")
    assert "holds files of something else" in said
    assert "is a file" in refused("train", *TINY, data, f"--run_dir={tmp_path / 'notes.txt'}")
    write_run(run_dir, "train", seed=1)
    before = {path: path.read_bytes() for path in run_dir.rglob("*.*")}
    said = refused("train", *TINY, data, f"--run_dir={run_dir}")
    assert "holds a run with other settings" in said
    assert "--seed=1 then, 0 now" in said
    said = refused("search", *TINY, data, f"--run_dir={run_dir}")
    assert "holds a run of train, not of search" in said
    assert {path: path.read_bytes() for path in before} == before


def write_run(folder, command, **changes):
    """The folder of a run with a checkpoint."""
    _, options = load(command)
    made = command_line.read(options, [command, *TINY, *ABSENT])
    settings = {**described([made.run, made.data, made.network, made.recipe]), **changes}
    run = {"command": command, "data": "", "settings": settings, "devices": 1}
    write_json(folder / "run.json", run)
    save(folder / "checkpoints", 1, {"network": {"x": tf.Variable([1.0])}}, {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No architecture file"),
        (
            Architecture.shared("resnet34").to_json,
            "is an architecture of resnet34, not of resnet18",
        ),
        (lambda: "0 1 1", "has 3 entries; resnet18 has 20 sites"),
        (lambda: '{"backbone": "resnet18"', "is not a usable architecture file"),
    ],
)
def test_architectures_that_cannot_be_used(refused, trees, run_dir, tmp_path, content, message):
    path = tmp_path / "architecture.json"
    if content is not None:
        made = content()
        path.write_text(made if isinstance(made, str) else json.dumps(made))
    data = f"--data_dir={trees / 'sysu_mm01'}"
    said = refused("train", *TINY, data, f"--run_dir={run_dir}", f"--architecture={path}")
    assert message in said
    assert not run_dir.exists()


@pytest.mark.parametrize(
    ("node", "edges", "message"),
    [
        (
            "node3",
            {"input0": "conv_7x7", "node2": "skip_connect"},
            "The edge from input0 to node3 of the normal cell is 'conv_7x7'; it must be one of "
            "max_pool_3x3, avg_pool_3x3, skip_connect, sep_conv_3x3, dil_conv_3x3, part_aware.",
        ),
        (
            "node3",
            {"input0": "skip_connect", "node4": "skip_connect"},
            "An edge to node3 of the normal cell comes from 'node4'; it must come from one of "
            "input0, input1, node2.",
        ),
        (
            "node5",
            None,
            "The normal cell must have the nodes node2, node3, node4, node5; it has node2, node3, "
            "node4.",
        ),
    ],
    ids=["an unknown operation", "an edge from a later node", "a missing node"],
)
def test_genotypes_that_are_none(refused, trees, run_dir, tmp_path, node, edges, message):
    content = EVERYTHING.to_json()
    content["normal"][node] = edges
    if edges is None:
        del content["normal"][node]
    path = tmp_path / "genotype.json"
    path.write_text(json.dumps(content))
    market = (*CLASSIFICATION, f"--data_dir={trees / 'market1501'}", f"--run_dir={run_dir}")
    said = refused("train", *TINY[1:], *market, f"--architecture={path}")
    assert f"{path} is not a usable architecture file: {message}" in " ".join(said.split())
    assert not run_dir.exists()


def test_a_genotype_for_higher_images(refused, trees, run_dir, tmp_path):
    """Three stages divide by 16, and by 8 before the last reduction: its part-aware operation has 4
    rows from 25 pixels on."""
    EVERYTHING.save(tmp_path / "genotype.json")
    market = (*CLASSIFICATION, f"--data_dir={trees / 'market1501'}", f"--run_dir={run_dir}")
    low = ("--cells=1,1,1", "--image_height=24", f"--architecture={tmp_path / 'genotype.json'}")
    said = refused("train", *TINY[1:], *market, *low)
    assert "24 pixels high" in said and "--image_height=25 or more" in said
    assert not run_dir.exists()


@pytest.mark.slow
def test_a_cost_of_norms(refused, trees, run_dir):
    data = (f"--data_dir={trees / 'sysu_mm01'}", f"--run_dir={run_dir}")
    said = refused("search", *TINY, *data, "--latency_weight=0.1")
    assert "--latency_weight is for a search for cells" in said
    assert not run_dir.exists()


def test_another_architecture_under_the_same_name(refused, trees, run_dir, tmp_path):
    """The file changed since the run began: its checkpoints do not fit, and the run's own copy of
    the architecture stays what it was."""
    path = tmp_path / "architecture.json"
    Architecture.shared("resnet18").save(path)
    write_run(run_dir, "train", architecture=str(path))
    Architecture.shared("resnet18").save(run_dir / "architecture.json")
    before = (run_dir / "architecture.json").read_bytes()
    Architecture.separate("resnet18").save(path)
    data = f"--data_dir={trees / 'sysu_mm01'}"
    refused("train", *TINY, data, f"--run_dir={run_dir}", f"--architecture={path}")
    assert (run_dir / "architecture.json").read_bytes() == before


def test_an_unknown_stage(refused, trees, run_dir):
    data = f"--data_dir={trees / 'sysu_mm01'}"
    said = refused("train", *TINY, data, f"--run_dir={run_dir}", "--architecture=until:layer9")
    assert "No stage 'layer9'" in said


def test_checkpoints_that_cannot_be_evaluated(refused, trees, run_dir, tmp_path):
    """None, one that does not exist, a search's, a truncated one; no results are written."""
    data = f"--data_dir={trees / 'sysu_mm01'}"
    assert "Give --run_dir of a training, or --checkpoint" in refused("evaluate", data)
    said = refused("evaluate", data, f"--checkpoint={tmp_path / 'none.safetensors'}")
    assert "No checkpoint" in said
    assert "none.safetensors" in said
    assert f"No checkpoint {run_dir}" in refused("evaluate", data, f"--run_dir={run_dir}")
    run_dir.mkdir()
    assert "holds no checkpoint" in refused("evaluate", data, f"--run_dir={run_dir}")
    state = {"network": {"x": tf.Variable([1.0])}}
    path = save(run_dir / "checkpoints", 1, state, {"settings": {}})
    said = refused("evaluate", data, f"--run_dir={run_dir}")
    assert "is a checkpoint of a search; train the architecture it found" in said
    path.write_bytes(path.read_bytes()[:-3])
    assert "truncated" in refused("evaluate", data, f"--checkpoint={path}")
    assert [entry.name for entry in run_dir.iterdir()] == ["checkpoints"]
