"""Images in bulk become the embeddings that a gallery of them has, each once, whatever happens."""

import json
import signal
from functools import partial

import numpy as np
import pytest
from PIL import Image

from cmnas_tf.data import load_dataset
from cmnas_tf.data.shard_writer import write_shards
from cmnas_tf.errors import BadInput
from cmnas_tf.serving import embed_in_bulk as module
from cmnas_tf.serving.build_gallery import build_gallery
from cmnas_tf.serving.embed_in_bulk import embed_in_bulk
from cmnas_tf.serving.embedded import Embedded
from cmnas_tf.serving.faiss_index import FaissIndex, build_faiss_index
from cmnas_tf.serving.gallery import Gallery
from cmnas_tf.serving.rank_in_bulk import rank_in_bulk
from cmnas_tf.serving.searchable import load_gallery
from cmnas_tf.training.trained import load_network
from tests import tiny_people
from tests.end_to_end import faults
from tests.forked import Forked, Said
from tests.serving.networks import small, write_run

pytest.importorskip("pyarrow")
COUNT = 75  # more than two batches of one modality


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), small())


@pytest.fixture(scope="module")
def model(run):
    return load_network(run)


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    """A folder of images, not to be changed."""
    return write_people(tmp_path_factory.mktemp("people"))


def write_people(folder):
    random = np.random.default_rng(0)
    for number in range(COUNT):
        modality = ("visible", "visible", "infrared")[number % 3]
        file = folder / modality / f"cam{number % 4}" / str(number % 7) / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (32, 16, 3), np.uint8)).save(file)
    return folder


@pytest.fixture(scope="module")
def gallery(model, people, tmp_path_factory):
    """What ``build_gallery`` makes of them."""
    file = tmp_path_factory.mktemp("gallery") / "g.npz"
    build_gallery(model, file, people)
    return file


def embed(model, images, output, **options):
    return embed_in_bulk(model, images, output, **{"part_images": 20, "progress": False} | options)


def written(file):
    """Another one when it is written again."""
    return file.stat().st_ino, file.stat().st_mtime_ns


def assert_same(found, wanted):
    for name, column in vars(wanted).items():
        np.testing.assert_array_equal(getattr(found, name), column, err_msg=name)


def test_embeddings_are_those_of_a_gallery(model, people, gallery, tmp_path):
    """To the last bit, though the batches are others; a file and an index of them are the same."""
    found = embed(model, people, tmp_path / "p.parquet")
    assert str(found) == f"{tmp_path}/p.parquet: 75 of 75 images in 4 parts"
    assert [len(part) for part in found.parts()] == [20, 20, 20, 15]
    assert_same(load_gallery(found.path), Gallery.load(gallery))
    build_gallery(model, tmp_path / "g.npz", found.path)
    assert (tmp_path / "g.npz").read_bytes() == gallery.read_bytes()
    half = embed(model, people, tmp_path / "h.parquet", dtype="float16")
    wanted = Gallery.load(gallery).embeddings.astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(load_gallery(half.path).embeddings, wanted)


def test_an_index_takes_it_a_part_at_a_time(model, people, gallery, tmp_path):
    pytest.importorskip("faiss")
    found = embed(model, people, tmp_path / "p.parquet")
    queries = Gallery.load(gallery).embeddings[:5]
    for kind in ("flat", "ivf", "hnsw"):
        built = build_faiss_index(found.path, tmp_path / kind, kind, effort=75)
        wanted = build_faiss_index(gallery, tmp_path / f"{kind}_of_file", kind, effort=75)
        assert built.recall == wanted.recall == 1.0
        index = FaissIndex.load(tmp_path / kind, effort=75)
        for each in zip(index.search(queries, 9), wanted.index.search(queries, 9), strict=True):
            np.testing.assert_array_equal(*each)


def test_a_store_takes_it_a_part_at_a_time(model, people, gallery, tmp_path):
    """New entries, and some that replace others."""
    pytest.importorskip("lancedb")
    found = embed(model, people, tmp_path / "p.parquet")
    for replace_ in (False, True):
        build_gallery(model, tmp_path / "g.lance", found.path, replace=replace_)
        assert_same(load_gallery(tmp_path / "g.lance"), Gallery.load(gallery))


def test_images_that_cannot_be_read_are_named(model, gallery, tmp_path, monkeypatch):
    """One is damaged, one a device's size, one gone between listing and reading."""
    people = write_people(tmp_path / "people")
    (people / "visible/cam0/4/4.png").write_bytes(b"no image")
    with (people / "infrared/cam1/5/5.png").open("wb") as file:
        file.truncate(2**40)
    listed = module.list_images

    def then_one_vanishes(images):
        found = listed(images)
        (people / "visible/cam0/0/0.png").unlink(missing_ok=True)
        return found

    monkeypatch.setattr(module, "list_images", then_one_vanishes)
    found = embed(model, people, tmp_path / "p.parquet")
    said = str(found).splitlines()
    assert said[0].endswith("p.parquet: 72 of 75 images in 4 parts")
    assert len(said) == 4 and "visible/cam0/0/0.png: there is no such file" in said
    assert [one["path"] for one in found.manifest["refused"]] == [
        "infrared/cam1/5/5.png",
        "visible/cam0/0/0.png",
        "visible/cam0/4/4.png",
    ]
    wanted = Gallery.load(gallery)
    left = ~np.isin(wanted.names, [one["path"] for one in found.manifest["refused"]])
    assert_same(load_gallery(found.path), wanted[left])
    alone = embed(model, people, tmp_path / "q.parquet", part_images=1)  # some parts are empty
    assert_same(load_gallery(alone.path), load_gallery(found.path))


def test_a_storage_that_is_gone_ends_it_and_what_is_done_is_kept(
    model, gallery, tmp_path, monkeypatch
):
    people = write_people(tmp_path / "people")
    write = module.write_part

    def then_it_goes(file, *rest):
        write(file, *rest)
        people.rename(tmp_path / "elsewhere")

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_part", then_it_goes)
        with pytest.raises(OSError, match=r"There is no folder .*people here\. Mount it"):
            embed(model, people, tmp_path / "p.parquet")
    with pytest.raises(BadInput, match=r"holds no embeddings, or not all\. Rerun"):
        Embedded.load(tmp_path / "p.parquet")
    (tmp_path / "elsewhere").rename(people)
    first = tmp_path / "p.parquet/part-00000.parquet"
    before = written(first)
    found = embed(model, people, tmp_path / "p.parquet")
    assert written(first) == before
    assert_same(load_gallery(found.path), Gallery.load(gallery))


@pytest.mark.slow
def test_killed_in_the_middle_it_resumes(run, people, gallery, tmp_path):
    """Parts that are there stay as they are, and no image is embedded twice."""
    output = tmp_path / "p.parquet"
    words = ("embed", f"--run_dir={run}", f"--images={people}", f"--output={output}")
    words += ("--part_images=20", "--noprogress")
    with Said() as said:
        killed = Forked(
            *words,
            out=said.path,
            err=said.path,
            before=partial(faults.killed_at_change, output, 14),
        )
        assert killed.join() == -signal.SIGKILL, said.text()
    done = {file: written(file) for file in output.glob("part-*")}
    assert len(done) == 2
    with Said() as said:
        assert Forked(*words, out=said.path, err=said.path).join() == 0, said.text()
    assert {file: written(file) for file in done} == done
    assert_same(load_gallery(output), Gallery.load(gallery))


def test_a_table_and_a_url(model, people, gallery, tmp_path):
    """In the table's order, with its times; its other columns are passed over."""
    fsspec = pytest.importorskip("fsspec")
    wanted = Gallery.load(gallery)
    lines = ["camera,path,id,modality,time,more"]
    for name, id, camera, modality in zip(
        wanted.names, wanted.ids, wanted.cameras, wanted.modalities, strict=True
    ):
        word = {"visible": "RGB", "infrared": "thermal"}[modality]
        lines.append(f"{camera},{name},{id},{word},2026-11-28T09:{camera}0,1")
    (people / "list.csv").write_text("\n".join(lines[:1] + lines[:0:-1]) + "\n")
    found = embed(model, people / "list.csv", tmp_path / "p.parquet")
    (people / "list.csv").unlink()
    assert_same(load_gallery(found.path), wanted[np.arange(COUNT)[::-1]])
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(found.path)  # as any program reads it
    assert table.column_names == ["path", "id", "camera", "modality", "time", "vector"]
    assert table["time"][0].as_py() == f"2026-11-28T09:{wanted.cameras[-1]}0"
    memory = fsspec.filesystem("memory")
    memory.put(str(people), "/bucket/people", recursive=True)
    found = embed(model, "memory://bucket/people", tmp_path / "u.parquet")
    assert_same(load_gallery(found.path), wanted)
    memory.rm("/bucket", recursive=True)
    for url, message in (
        ("memory://bucket/people", "holds no images"),
        ("nowhere://x", "nowhere://x cannot be opened: Protocol not known"),
    ):
        with pytest.raises(BadInput, match=message):
            embed(model, url, tmp_path / "other.parquet")


def test_shards_are_embedded_as_a_table_of_their_images(model, tmp_path):
    """Those of all parts of the data set, in its order."""
    folder = tiny_people.write_people(tmp_path / "people")
    dataset = load_dataset("sysu_mm01", folder)
    write_shards(dataset, tmp_path / "shards", shard_bytes=20_000)
    lines = ["path,id,camera,modality"]
    for part in (dataset.train, dataset.test):
        columns = part.paths, part.pids, part.cameras, part.modalities
        lines += [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    (folder / "list.csv").write_text("\n".join(lines))
    wanted = embed(model, folder / "list.csv", tmp_path / "c.parquet")
    found = embed(model, tmp_path / "shards", tmp_path / "p.parquet")
    assert_same(load_gallery(found.path), load_gallery(wanted.path))


HEAD = "path,id,camera,modality\n"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "is no table of images: .* must name the columns path,id,camera,modality,time"),
        (HEAD, "lists no image"),
        ("path,id,modality\na.png,1,visible\n", "camera.* must name the columns"),
        (HEAD + "a.png,1,1,visible\nb.png,1,1,sonar\n", "'sonar'.*A modality is one of visible, "),
        (HEAD + "a.png,1,1,visible\na.png,2,1,visible\n", "lists no image, or one twice"),
        (HEAD + "a.png,1,1\n", "is no table of images: .*Expected 4 columns, got 3"),
    ],
)
def test_a_table_of_another_form(model, tmp_path, table, message):
    (tmp_path / "list.csv").write_text(table)
    with pytest.raises(BadInput, match=message):
        embed(model, tmp_path / "list.csv", tmp_path / "p.parquet")
    with pytest.raises(BadInput, match=r"no_list\.csv"):
        embed(model, tmp_path / "no_list.csv", tmp_path / "p.parquet")


def test_what_does_not_belong_together_is_refused(model, people, tmp_path):
    found = embed(model, people, tmp_path / "p.parquet")
    other = load_network(write_run(tmp_path / "other", small(), seed=5))
    for given, options, message in (
        ((model, people, "p.npz"), {}, r"output='p\.npz' must be a folder that ends with"),
        (
            (model, people, found.path),
            {"dtype": "int8"},
            "dtype='int8' is not allowed; it must be one of float32, float16",
        ),
        ((model, people, found.path), {"dtype": "float16"}, "is of other images, another network"),
        ((model, people, found.path), {"part_images": 25}, "part-00003.parquet is of other images"),
        ((other, people, found.path), {}, "part-00000.parquet is of other images, another network"),
        ((model, people / "visible", tmp_path / "v.parquet"), {}, "does not lie where it should"),
    ):
        with pytest.raises(BadInput, match=message):
            embed(*given, **options)
    with pytest.raises(BadInput, match="was made by another network"):
        build_gallery(other, tmp_path / "g.npz", found.path)


def test_damage_is_seen(model, people, tmp_path):
    """A part is changed in 40 places, cut and removed; so is the manifest."""
    found = embed(model, people, tmp_path / "p.parquet")
    file, random = found.path / "part-00001.parquet", np.random.default_rng(0)
    content, wanted = file.read_bytes(), load_gallery(found.path)
    for place in random.integers(len(content), size=40):
        changed = bytes([content[place] ^ random.integers(1, 256)])
        file.write_bytes(content[:place] + changed + content[place + 1 :])
        try:
            assert_same(load_gallery(found.path), wanted)  # where a byte means nothing
        except BadInput as error:
            assert str(file) in str(error)
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(BadInput, match=r"is no part of embeddings that can be read.*Remove it"):
        load_gallery(found.path)
    file.unlink()
    assert_same(load_gallery(embed(model, people, found.path).path), wanted)
    manifest = found.path / "_manifest.json"
    manifest.write_text(json.dumps({**found.manifest, "parts": "4"}))
    with pytest.raises(BadInput, match="is not a manifest of embeddings"):
        load_gallery(found.path)


@pytest.mark.slow
def test_a_cluster_that_loses_a_node_embeds_each_image_once_and_ranks_them(
    model, people, gallery, tmp_path, caplog
):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from cmnas_tf.devices.ray_nodes import RayNodes

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        second = cluster.add_node(num_cpus=1)
        nodes = RayNodes(cluster.address)
        each, killed = nodes.each, []

        def losing_one(function, items):
            for done in each(function, items):
                if not killed:
                    killed.append(cluster.remove_node(second, allow_graceful=False))
                yield done

        nodes.each = losing_one
        found = embed(model, people, tmp_path / "p.parquet", part_images=5, nodes=nodes)
        assert_same(load_gallery(found.path), Gallery.load(gallery))
        alone, there = (
            rank_in_bulk(gallery, found.path, "market", on, progress=False).to_json()
            for on in (None, RayNodes(cluster.address))
        )
        assert there == alone
        with pytest.raises(BadInput, match="asks for 99 CPUs and 0 GPUs, which no node"):
            RayNodes(cluster.address, 99)
    finally:
        ray.shutdown()
        cluster.shutdown()
    with pytest.raises(BadInput, match="ray_address=localhost:1 cannot be used"):
        RayNodes("localhost:1")
