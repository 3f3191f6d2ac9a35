"""An exported model gives the network's embeddings, alone and whole, or there is none."""

import io
import json
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cmnas_tf.architecture import BACKBONES, Architecture, ResNetPlan
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.commands import command_line, export
from cmnas_tf.commands.cmnas import COMMANDS, GROUPS
from cmnas_tf.commands.export import summary
from cmnas_tf.data.decode import resize
from cmnas_tf.devices.frozen_weights import ASSUMED
from cmnas_tf.errors import BadInput
from cmnas_tf.models.specification import Specification
from cmnas_tf.network_parts import NetworkParts
from cmnas_tf.serving import encoder
from cmnas_tf.serving.export import export_saved_model
from cmnas_tf.serving.exported_model import versions_in
from cmnas_tf.serving.model_card import model_card
from cmnas_tf.serving.parity import compare
from cmnas_tf.serving.serving_module import ServingModule
from cmnas_tf.training.trained import load_network
from tests.disks import room_for
from tests.models.genotypes import EVERYTHING
from tests.serving.networks import write_checkpoint, write_run, write_search

DOORS = Path(__file__).parents[2] / "export"
HEIGHT, WIDTH = 32, 16
MODALITIES = ("visible", "infrared")
TOLERANCE = 1e-5


@pytest.fixture(scope="module", autouse=True)
def one_block_a_stage():
    """All that is left of ResNet-18: a network is as quickly exported as it is small."""
    with pytest.MonkeyPatch.context() as patch:
        plan = ResNetPlan((1, 1, 1, 1), bottleneck=False)
        patch.setitem(BACKBONES.entries, "resnet18", plan)
        yield


@pytest.fixture(scope="module")
def specification(one_block_a_stage):
    architecture = Architecture.separate_until("layer1", "resnet18")
    return Specification(architecture, 5, HEIGHT, WIDTH, width_factor=0.125)


@pytest.fixture(scope="module")
def run(specification, tmp_path_factory):
    """A run whose average is not its last step's weights."""
    given = {"settings": {"dataset": "regdb", "seed": 3}, "versions": {"cmnas_tf": "0.0.9"}}
    return write_run(tmp_path_factory.mktemp("run"), specification, **given)


@pytest.fixture(scope="module")
def model(run):
    return load_network(run)


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 20_000, 400_000])
def test_a_full_disk_leaves_no_version(size, model, tmp_path):
    """Wherever in it: TensorFlow says so by errors of its own, one for each way to write."""
    with pytest.raises(OSError, match="File too large"), room_for(size):
        export_saved_model(model, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """The one exported version that the tests look at."""
    return export_saved_model(model, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def signatures(folder):
    return tf.saved_model.load(str(folder)).signatures


@pytest.fixture(scope="module")
def network(model):
    return model.network


def images(count, height=HEIGHT, width=WIDTH, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, height, width, 3), np.uint8)


def encoded(image, form="png"):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, form)
    return stream.getvalue()


def expected(network, pixels, modality):
    """From [N, 32, 16, 3] uint8: ImageNet normalisation and unit rows in float64 NumPy."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalised = ((pixels / 255.0 - mean) / std).astype(np.float32)
    embedding = network.embed(normalised, modality).embedding.numpy().astype(np.float64)
    return embedding / np.linalg.norm(embedding, axis=1, keepdims=True)


@pytest.mark.parametrize("modality", MODALITIES)
def test_embeddings_are_the_networks(signatures, network, modality):
    pixels = images(5)
    files = tf.constant([encoded(image) for image in pixels])
    wanted = expected(network, pixels, modality)
    of_pixels = signatures[f"embed_{modality}_pixels"](pixels=pixels)["embedding"]
    of_files = signatures[f"embed_{modality}"](image_bytes=files)["embedding"]
    assert of_pixels.dtype == of_files.dtype == tf.float32
    np.testing.assert_allclose(of_pixels, wanted, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(of_files, wanted, rtol=0, atol=TOLERANCE)


def test_each_modality_goes_its_own_way(signatures):
    """The branches differ, so the same image has two embeddings."""
    files = tf.constant([encoded(image) for image in images(3)])
    visible, infrared = (
        signatures[name](image_bytes=files)["embedding"].numpy()
        for name in ("embed_visible", "embed_infrared")
    )
    assert np.abs(visible - infrared).max(axis=1).min() > 0.01


@pytest.mark.parametrize("of_row", [[0, 1, 1, 0, 1], [0] * 5, [1]])
def test_a_batch_of_both_modalities(signatures, network, of_row):
    """Each row goes the way of its modality, also where a modality has no row."""
    pixels = images(len(of_row))
    both = [expected(network, pixels, modality) for modality in MODALITIES]
    wanted = np.stack([both[m][row] for row, m in enumerate(of_row)])
    given = {
        "image_bytes": tf.constant([encoded(image) for image in pixels]),
        "modality": tf.constant([MODALITIES[m] for m in of_row]),
    }
    for name in ("embed", "serving_default"):
        np.testing.assert_allclose(
            signatures[name](**given)["embedding"], wanted, rtol=0, atol=TOLERANCE
        )


def test_modalities_that_do_not_fit_are_refused(signatures):
    files = tf.constant([encoded(image) for image in images(2)])
    for modalities, message in (
        (["visible", "thermal"], r"one of the network.*visible, infrared\..*\[1\] \[thermal\]"),
        (["visible"], r"row for each image.*\[2\] \[modality\] \[1\]"),
    ):
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            signatures["embed"](image_bytes=files, modality=tf.constant(modalities))


@pytest.mark.parametrize("modality", MODALITIES)
def test_an_image_does_not_depend_on_its_batch(signatures, modality):
    pixels = images(7)
    embed = signatures[f"embed_{modality}_pixels"]
    together = embed(pixels=pixels)["embedding"]
    alone = np.concatenate([embed(pixels=image[None])["embedding"] for image in pixels])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)


def test_images_of_any_size(signatures, network):
    """One batch of files may hold several sizes; each is resized as in training."""
    sizes = [(HEIGHT, WIDTH), (71, 33), (20, 11), (9, 64)]
    pixels = [images(1, *size)[0] for size in sizes]
    resized = np.stack([resize(image, HEIGHT, WIDTH) for image in pixels])
    wanted = expected(network, resized, "visible")
    files = tf.constant([encoded(image) for image in pixels])
    answer = signatures["embed_visible"](image_bytes=files)["embedding"]
    np.testing.assert_allclose(answer, wanted, rtol=0, atol=TOLERANCE)
    for image, row in zip(pixels, wanted, strict=True):
        answer = signatures["embed_visible_pixels"](pixels=image[None])["embedding"]
        np.testing.assert_allclose(answer, row[None], rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("form", ["png", "jpeg", "bmp"])
def test_grey_files_are_three_equal_channels(signatures, network, form):
    """Infrared cameras often write one channel; Pillow decodes the file independently."""
    file = encoded(images(1)[0, :, :, 0], form)
    grey = np.asarray(Image.open(io.BytesIO(file)))
    assert grey.shape == (HEIGHT, WIDTH)
    wanted = expected(network, np.stack([grey] * 3, axis=-1)[None], "infrared")
    answer = signatures["embed_infrared"](image_bytes=tf.constant([file]))["embedding"]
    np.testing.assert_allclose(answer, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("file", [b"", b"not an image", encoded(images(1)[0], "jpeg")[:200]])
def test_a_file_that_is_no_image_is_refused(signatures, file):
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures["embed_visible"](image_bytes=tf.constant([file]))


def test_nothing_is_stored_that_embedding_does_not_need(folder, network):
    """Kernels and biases, and the neck, which no convolution precedes: no optimizer, no counter.

    With the stem and layer 1 separate there are 1 + 2 convolutions with a kernel and a bias for
    each modality, and 2 + 2 + 2 blocks' convolutions and 3 shortcuts with one of each. The
    neck keeps four vectors, and the constant that its normalisation adds is a fifth.
    """
    stored = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    shapes = stored.get_variable_to_shape_map()
    ranks = [len(shape) for name, shape in shapes.items() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    separate, shared = 1 + 2, 3 * 2 + 3
    assert ranks.count(4) == 2 * separate + shared
    assert 2 * separate + shared <= ranks.count(1) <= 2 * separate + shared + 5
    assert ranks.count(4) + ranks.count(1) == len(ranks)
    assert not (folder / "keras_metadata.pb").exists()


@pytest.mark.slow
def test_a_program_without_this_package_gets_the_same(folder, network, tmp_path):
    """In a fresh process that knows TensorFlow and NumPy only."""
    pixels = images(4)
    np.save(tmp_path / "pixels.npy", pixels)
    for row, image in enumerate(pixels):
        (tmp_path / f"{row}.png").write_bytes(encoded(image))
    program = """if True:
        import sys
        import numpy as np
        import tensorflow as tf
        call = tf.saved_model.load(sys.argv[1]).signatures
        pixels = np.load("pixels.npy")
        files = tf.constant([open(f"{row}.png", "rb").read() for row in range(len(pixels))])
        for modality in ("visible", "infrared"):
            of_files = call[f"embed_{modality}"](image_bytes=files)
            of_pixels = call[f"embed_{modality}_pixels"](pixels=pixels)
            np.save(f"{modality}_files.npy", of_files["embedding"])
            np.save(f"{modality}_pixels.npy", of_pixels["embedding"])
        assert not {"cmnas_tf", "export", "official"} & set(sys.modules)
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [sys.executable, "-c", program, str(folder)]
    subprocess.run(command, check=True, cwd=tmp_path, env=environment, capture_output=True)
    for modality in MODALITIES:
        wanted = expected(network, pixels, modality)
        for form in ("files", "pixels"):
            answer = np.load(tmp_path / f"{modality}_{form}.npy")
            np.testing.assert_allclose(answer, wanted, rtol=0, atol=TOLERANCE)


@pytest.mark.slow
def test_the_parity_check_sees_a_changed_branch(folder, run, specification):
    """Another running mean in one infrared branch: the infrared signatures differ, no others."""
    changed = load_network(run)
    changed.network.backbone.layer1[0].bn1.infrared.moving_mean.assign_add([0.1] * 8)
    ways = ServingModule(changed.network, specification).signatures
    cases = compare(tf.saved_model.load(str(folder)).signatures, changed, ways)["cases"]
    # Four batches each; the files of one modality are compared with their pixels, too.
    assert len(cases) == 4 * len(ways) + 4 * 2
    for case in cases:
        mixed = case["signature"] in ("embed", "serving_default") and case["images"] > 1
        differs = mixed or "infrared" in case["signature"]
        differs &= case["against"] == "network"
        assert (case["max_abs_difference"] > 1e-4) == differs, case
        assert differs or case["max_abs_difference"] < TOLERANCE


def test_what_the_version_says_of_itself(folder, model, network):
    """The network has, classifier left out, as many trained numbers as Keras counts, less 5 x 64
    of the classifier."""
    extra = folder / "assets.extra"
    assert folder.name == "1"
    assert {file.name for file in folder.parent.iterdir()} == {"1"}
    assert Architecture.load(extra / "architecture.json") == model.specification.architecture
    card = json.loads((extra / "model_card.json").read_text())
    trained = sum(int(tf.size(variable)) for variable in network.trainable_variables)
    assert card["network"]["parameters"] == trained - 5 * 64
    assert (card["network"]["height"], card["network"]["embedding_size"]) == (HEIGHT, 64)
    assert card["checkpoint"]["sha256"] == model.checkpoint.digest
    assert card["checkpoint"]["weights"] == "average"
    assert card["training"]["dataset"] == "regdb"
    assert card["versions"]["training"] == {"cmnas_tf": "0.0.9"}
    assert card["signatures"]["embed_infrared_pixels"] == {
        "modality": "infrared",
        "inputs": [{"name": "pixels", "dtype": "uint8", "shape": [None, None, None, 3]}],
        "outputs": [{"name": "embedding", "dtype": "float32", "shape": [None, 64]}],
    }
    assert card["served"] == {"folded": True, "frozen": False, "images": 0, "wait_ms": 2.0} | {
        "max_images": 256,
        "max_pixels": 2**26,
    }
    assert card["gallery"] is None
    parity = json.loads((extra / "parity.json").read_text())
    assert parity["max_abs_difference"] <= parity["tolerance"] == TOLERANCE
    shown = summary(folder)
    assert str(folder) in shown and f"{folder.parent}:/models/reid:ro" in shown
    docker = shlex.split(shown.splitlines()[-1])
    assert docker[-1].startswith("--grpc_max_threads=") and f"{ASSUMED}=1" in docker
    ports = [docker[n + 1] for n, word in enumerate(docker) if word == "-p"]
    assert ports == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    assert all(name in shown for name in card["signatures"])


MEASURED = {"dataset": {"layout": "regdb"}, "protocol": {}, "results": {"r": 1}, "chance": {}}


def test_results_are_shown_only_with_the_checkpoint_they_were_measured_on(model, specification):
    module = ServingModule(model.network, specification)
    checkpoint = {"sha256": model.checkpoint.digest, "weights": "average"}

    assert model_card(model, module)["results"] is None
    for change in ({}, {"sha256": "other"}, {"weights": "live"}):
        content = {**MEASURED, "checkpoint": {**checkpoint, **change}}
        found = model_card(model, module, content)["results"]
        assert found == (None if change else MEASURED)


@pytest.mark.slow
def test_where_results_come_from(model, run, specification, tmp_path):
    """From the model's run, or from beside a checkpoint that has none; and those that are given."""
    checkpoint = {"sha256": model.checkpoint.digest, "weights": "average"}
    other = {**MEASURED, "results": {"r": 2}, "checkpoint": checkpoint}
    alone = tmp_path / "alone" / "a.safetensors"
    alone.parent.mkdir()
    shutil.copy(model.checkpoint.path, alone)
    for place in (run, alone.parent):
        file = place / "results.json"
        file.write_text(json.dumps({**MEASURED, "checkpoint": checkpoint}))
    module = ServingModule(model.network, specification)
    cards = [model_card(found, module) for found in (model, load_network(alone))]
    exported = export_saved_model(model, tmp_path / "models", results=other)
    (run / "results.json").unlink()
    cards.append(json.loads((exported / "assets.extra/model_card.json").read_text()))
    assert [card["results"]["results"] for card in cards] == [{"r": 1}, {"r": 1}, {"r": 2}]


def test_the_card_of_a_network_of_cells_is_json(tmp_path):
    plan = CellPlan(EVERYTHING, (1,))
    specification = Specification(Architecture.shared(plan), 3, HEIGHT, WIDTH, width_factor=1 / 32)
    model = load_network(write_checkpoint(tmp_path / "a.safetensors", specification))
    module = ServingModule(model.network, specification)
    card = json.loads(json.dumps(model_card(model, module)))
    assert CellPlan.from_json(card["network"]["backbone"]) == plan
    assert "architecture" not in card["network"]


@pytest.mark.parametrize("pooling", ["gem", "gem_trained"])
def test_agw_is_exported_as_it_is(tmp_path, pooling):
    """Proven by the export itself, for both modalities; the card names and counts its parts."""
    parts = NetworkParts(separate_stem=True, non_local=(0, 1, 0, 1), pooling=pooling)
    stem = Architecture.separate_until("stem", "resnet18")
    specification = Specification(stem, 3, HEIGHT, WIDTH, width_factor=1 / 16, parts=parts)
    model = load_network(write_checkpoint(tmp_path / "a.safetensors", specification))
    assert model.network.backbone.stages["layer2"][0].non_local.norm.gamma.numpy().all()
    beside = export_saved_model(model, tmp_path / "models") / "assets.extra"
    assert json.loads((beside / "parity.json").read_text())["max_abs_difference"] <= TOLERANCE
    card = json.loads((beside / "model_card.json").read_text())["network"]
    assert card["parts"] == {"separate_stem": True, "non_local": [0, 1, 0, 1], "pooling": pooling}
    plain = Specification(stem, 3, HEIGHT, WIDTH, width_factor=1 / 16).build()
    body = sum(math.prod(v.shape) for v in plain.trainable_variables) - 3 * 32  # the classifier
    non_local = [4 * c * (c // 2) + 3 * (c // 2) + 3 * c for c in (8, 32)]
    besides = 7 * 7 * 3 * 4 + sum(non_local) + (pooling == "gem_trained")
    assert card["parameters"] == body + besides


@pytest.mark.slow
def test_numbers_that_no_server_can_count_to_are_passed_over_with_a_word(tmp_path, caplog):
    for name in ("3", "v4", "9223372036854775806", "99999999999999999999"):
        (tmp_path / name).mkdir()
    for _ in range(2):
        assert set(versions_in(tmp_path)) == {3, 2**63 - 2}
    (said,) = caplog.messages
    assert said.startswith(f"{tmp_path}/99999999999999999999 is passed over")


def test_versions_are_numbered_and_never_replaced(run, network, tmp_path):
    """The next version follows the highest there is; here it holds the last step's weights."""
    for name in ("notes", "007", ".9.abc.tmp"):
        (tmp_path / name).mkdir()
    live = load_network(run, "live")
    with pytest.raises(
        BadInput, match=r"version=7 is already in .*`version` out to write version 8"
    ):
        export_saved_model(live, tmp_path, version=7)
    folder = export_saved_model(live, tmp_path)
    assert folder == tmp_path / "8"
    pixels = images(2)
    wanted = expected(live.network, pixels, "visible")
    embed = tf.saved_model.load(str(folder)).signatures["embed_visible_pixels"]
    np.testing.assert_allclose(embed(pixels=pixels)["embedding"], wanted, rtol=0, atol=TOLERANCE)
    assert np.abs(wanted - expected(network, pixels, "visible")).max() > 0.01


@pytest.mark.slow
def test_a_model_that_differs_is_not_exported(model, tmp_path, monkeypatch):
    """Here: one that forgets to normalise its input."""
    monkeypatch.setattr(encoder, "normalize", lambda pixels: tf.cast(pixels, tf.float32))
    with pytest.raises(BadInput, match=r"differs .* in 24 of 32 batches by more than 1e-05 "):
        export_saved_model(model, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_an_interrupted_export_leaves_nothing(model, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tf.saved_model, "load", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export_saved_model(model, tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported(run, tmp_path):
    """A wrong path, a search's checkpoint, no folder to write to; nothing is left behind."""
    (tmp_path / "file").touch()
    search, base = write_search(tmp_path / "search"), tmp_path / "models"
    for flags, message in (
        ([f"--checkpoint={tmp_path / 'absent'}", f"--export_dir={base}"], "No checkpoint .*absent"),
        ([f"--run_dir={search}", f"--export_dir={base}"], "is a checkpoint of a search"),
        ([f"--run_dir={tmp_path}", f"--export_dir={base}"], "holds no checkpoint"),
        ([f"--run_dir={run}"], "--export_dir is missing"),
        (
            [f"--run_dir={run}", f"--export_dir={tmp_path / 'file'}"],
            "export_dir='.*file' is no fol",
        ),
    ):
        with pytest.raises(BadInput, match=message):
            export.main(command_line.read(export.Export, ["export", *flags]))
    with pytest.raises(BadInput, match=r"^export_dir='' is no folder"):
        export_saved_model(load_network(run), "")
    assert not base.exists()


HEAVY = {"tensorflow", "official", "grpc", "faiss", "cv2", "PIL", "matplotlib"}


@pytest.mark.parametrize("name", [*GROUPS["Deployment"], "export_torch"])
def test_help_is_quick(name):
    """TensorFlow and its kin take seconds to import and are not needed to print the flags."""
    program = (
        "import sys\n"
        "from cmnas_tf.commands.cmnas import run\n"
        f"try: run({name!r}, ['cmnas', '--help'])\n"
        f"finally: assert not {HEAVY} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Required:" in done.stdout


@pytest.mark.parametrize(
    ("name", "flag", "missing", "extra"),
    [
        ("export", "--export_dir=x", "official", "serving"),
        ("local_server", "--model_base_path=x", "grpc", "serving"),
    ],
)
def test_a_package_that_is_not_installed(name, flag, missing, extra):
    program = (
        "import sys\n"
        "from cmnas_tf.commands.cmnas import run\n"
        f"sys.modules[{missing!r}] = None\n"
        f"run({name!r}, ['cmnas', {flag!r}])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 2
    assert f'Install it: pip install "cmnas_tf[{extra}]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_every_module_of_export_is_the_door_of_a_command():
    """``python -m export.X`` in a checkout is ``cmnas X``."""
    for door in (path for path in DOORS.glob("*.py") if path.stem != "__init__"):
        (name,) = re.findall(r'^    run\("(\w+)"\)$', door.read_text(), re.MULTILINE)
        assert name in COMMANDS and name == door.stem.replace("export_saved_model", "export")
