"""Every command that writes files: what it needs, what it writes, and what of that is whole."""

import functools
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from tensorflow.core.protobuf.fingerprint_pb2 import FingerprintDef

from cmnas_tf.runs import checkpoints
from tests.end_to_end.processes import ROOT, behind
from tests.forked import Forked, Said
from tests.serving import stand_in
from tests.tiny_people import PLUGIN, TINIEST, write_people

Files = dict[str, bytes | None]
PEOPLE = "--data_dir={there}/people"
RUN = (PEOPLE, "--run_dir={out}/run", *TINIEST, "--epochs=2", "--checkpoint_every=1")


class Writer(NamedTuple):
    """A command that writes into a folder.

    Attributes:
      words: its name and its flags; ``{there}`` is the folder of what is there, ``{out}`` its own,
        ``{server}`` the address of a model server.
      begins_with: of what is there, what its own folder holds a copy of before.
      whole: whether all that it writes appears at once; if not, each file does.
      differs: names of files that are others each time: logs and times.
      alone: whether it does all by itself, not by commands that it runs.
      needs: a module of a package that is not everywhere.
    """

    words: tuple[str, ...]
    begins_with: tuple[str, ...] = ()
    whole: bool = True
    differs: tuple[str, ...] = ()
    alone: bool = True
    needs: str = ""


FEW = (
    "--noprogress",
    "--train_identities=4",
    "--test_identities=2",
    "--image_height=32",
    "--image_width=16",
)
TRAINED = "--run_dir={there}/run"
WRITERS = {
    "make_synthetic": Writer(("make_synthetic", "--data_dir={out}/people", "--processes=1", *FEW)),
    "prepare": Writer(("prepare", PEOPLE, "--shards_dir={out}/shards", "--noprogress")),
    "search": Writer(
        ("search", *RUN, "--warmup_epochs=1"),
        whole=False,
        differs=("latency.json",),
    ),
    "train": Writer(("train", *RUN), whole=False),
    "evaluate": Writer(
        ("evaluate", PEOPLE, "--run_dir={out}/run", "--noprogress"),
        begins_with=("run",),
        whole=False,
    ),
    "export": Writer(
        ("export", TRAINED, "--export_dir={out}", "--version=2", "--gallery={there}/g.npz")
    ),
    "export_tflite": Writer(("export_tflite", TRAINED, PEOPLE, "--export_dir={out}/tflite")),
    "export_onnx": Writer(
        ("export_onnx", TRAINED, PEOPLE, "--export_dir={out}/onnx"),
        # tf2onnx calls equal constants by the name of any one of them, by chance, and names are
        # not equally long: measured.json tells the sizes.
        differs=("visible.onnx", "infrared.onnx", "measured.json"),
        needs="tf2onnx",
    ),
    "export_openvino": Writer(
        ("export_openvino", TRAINED, PEOPLE, "--export_dir={out}/openvino"), needs="openvino"
    ),
    "export_torch": Writer(("export_torch", TRAINED, "--export_dir={out}/torch")),
    "import_weights": Writer(
        (
            *("import_weights", "--file={there}/torch/weights.safetensors"),
            *("--output={out}/weights.safetensors", "--architecture={there}/run"),
            *("--width=0.0625", "--image_height=32", "--image_width=16"),
        )
    ),
    "embed": Writer(
        (
            *("embed", TRAINED, "--images={there}/images", "--output={out}/images.parquet"),
            *("--part_images=1", "--noprogress"),
        ),
        whole=False,
        needs="pyarrow",
    ),
    "build_index": Writer(
        ("build_index", TRAINED, "--gallery={out}/g.npz", "--add={there}/more", "--noprogress"),
        begins_with=("g.npz",),
    ),
    "build_faiss_index": Writer(
        ("build_faiss_index", "--gallery={there}/g.npz", "--output={out}/index")
    ),
    "report": Writer(("report", "{there}/run", "--page={out}/report.html")),
    "client": Writer(
        (
            *("client", "identify", "--server={server}", "--images={there}/gallery"),
            *("--modality=visible", "--k=2", "--noprogress"),
            *("--embeddings={out}/embeddings.npz", "--picture={out}/matches.png"),
            *("--gallery={there}/gallery/gallery.npz", "--gallery_dir={there}/gallery"),
        ),
        whole=False,
    ),
    "trials": Writer(
        (
            *("trials", "--dataset=regdb", "--data_dir={there}/regdb", "--run_dir={out}/trials"),
            *(*TINIEST, "--epochs=1", "--splits=1"),
        ),
        whole=False,
        alone=False,
    ),
    "demo": Writer(
        ("demo", "--run_dir={out}/demo"),
        whole=False,
        differs=("latency.json",),
        alone=False,
    ),
    "study": Writer(
        (
            *("study", PEOPLE, "--run_dir={out}/study", "--seeds=1"),
            *("--arms=shared,separate", "--subject=separate", "--against=shared", "--threads=1"),
            *behind("train", *TINIEST, "--epochs=1", "--strategy=one_device"),
            *behind("evaluate", "--noprogress"),
        ),
        whole=False,
        differs=("train_seconds.json", "results.json", "log.txt"),
        alone=False,
    ),
}

WRITE_NOTHING = {"rank", "results", "doctor", "local_server", "browse"}
# The demonstration's flag files, found before the project's own where it is run.
DEMO = {
    "data": (*FEW[1:], "--images_per_camera=2"),
    "search": (*TINIEST, "--epochs=1", "--warmup_epochs=0"),
    "train": (*TINIEST[1:], "--epochs=1"),
}


def everything(out: Path, writer: Writer) -> Files:
    """All files, but TensorBoard's logs, and what is in them where that is always the same."""
    found = {path.relative_to(out): path for path in out.rglob("*") if path.is_file()}
    return {
        str(name): None if name.name in writer.differs else _content(path, out)
        for name, path in found.items()
        if "tensorboard" not in name.parts
    }


def _content(path, out):
    content = path.read_bytes()
    if path.name == "fingerprint.pb":  # to which TensorFlow 2.20 adds a number of chance
        fingerprint = FingerprintDef.FromString(content)
        if "uuid" in fingerprint.DESCRIPTOR.fields_by_name:
            fingerprint.ClearField("uuid")
        return fingerprint.SerializeToString(deterministic=True)
    return content.replace(os.fsencode(out), b"OUT")


def in_use(found: Files) -> Files:
    """The files of these that others take notice of."""
    return {name: content for name, content in found.items() if _noticed(Path(name))}


def _noticed(name):
    return name.suffix != ".lock" and not any(part.startswith(".") for part in name.parts)


def unreadable(out: Path) -> list[Path]:
    """The files of runs that others take notice of and that are not whole."""
    readers = {"*.json": lambda path: json.loads(path.read_text()), "step-*": checkpoints.read}
    found = []
    for pattern, read in readers.items():
        for path in filter(lambda path: _noticed(path.relative_to(out)), out.rglob(pattern)):
            try:
                read(path)
            except ValueError:
                found.append(path)
    return found


class Workplace:
    """What is there for the commands, and a place for each to write in.

    Args:
      folder: all of it.
      server: that has the stand-in as a model.
    """

    def __init__(self, folder: Path, server: str):
        self.there, self._folder, self._places = folder / "there", folder, 0
        self._server = server
        write_people(self.there / "people")
        write_people(self.there / "regdb", dataset="regdb")
        stand_in.write_gallery(self.there / "gallery")
        (self.there / "configs").mkdir()
        for name, flags in DEMO.items():
            (self.there / f"configs/demo_{name}.flags").write_text("\n".join(flags))
        for number, name in enumerate(("images", "more")):
            for person in range(3):
                image = self.there / name / f"visible/cam1/{person}/{number}.png"
                image.parent.mkdir(parents=True)
                Image.new("RGB", (16, 32), (80 * person, 100 * number, 50)).save(image)
        for writer in (
            WRITERS["train"],
            WRITERS["evaluate"]._replace(begins_with=()),
            Writer(("build_index", TRAINED, "--gallery={out}/g.npz", "--add={there}/images")),
            WRITERS["export_torch"],
        ):
            code, said = self.run(writer, self.there)
            assert code == 0, said

    def place(self, writer: Writer) -> Path:
        """A new folder that holds what the command begins with."""
        self._places += 1
        place = self._folder / str(self._places)
        place.mkdir()
        for name in writer.begins_with:
            copy = shutil.copytree if (self.there / name).is_dir() else shutil.copy
            copy(self.there / name, place / name)
        return place

    def start(self, writer: Writer, out: Path, said: Said, fault=None) -> Forked:
        places = {"there": self.there, "out": out, "server": self._server}
        words = [word.format(**places) for word in writer.words]
        before = functools.partial(_prepare, self.there, fault)
        return Forked(*words, out=said.path, err=said.path, before=before)

    def run(self, writer: Writer, out: Path, fault=None) -> tuple[int | None, str]:
        """Its exit code, minus the number of the signal that killed it, and what it said."""
        with Said() as said:
            return self.start(writer, out, said, fault).join(300), said.text()


def _prepare(there, fault):
    os.chdir(there)
    os.environ["PYTHONPATH"] = (
        f"{ROOT}{os.pathsep}{PLUGIN}"  # for the commands that it runs in turn
    )
    if fault is not None:
        fault()
