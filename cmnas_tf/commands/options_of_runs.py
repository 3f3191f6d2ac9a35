"""Options that several commands have: where a run is kept, on which images, which network."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cmnas_tf.data import LAYOUTS, layout_in
from cmnas_tf.data.grey16 import Range
from cmnas_tf.errors import BadInput
from cmnas_tf.interrupt import stop_with_parent
from cmnas_tf.options import Options, advanced, option, path_option
from cmnas_tf.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from cmnas_tf.data.index import Dataset
    from cmnas_tf.training.trained import TrainedNetwork

_USUAL = "sysu_mm01"
RUN_DIR = "Folder of this run: checkpoints, logs, results."


@dataclass(frozen=True, kw_only=True)
class Run(Options):
    """The run: where it is kept, and its seed."""

    run_dir: str = path_option(RUN_DIR, required=True, affects_result=False)
    seed: int = option(0, "Seed of all randomness.", minimum=0, maximum=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class DataFolder(Options):
    """The images."""

    data_dir: str = path_option(
        "Folder of the data set, laid out as its authors deliver it, or of its shards. A search or "
        "a training takes several, separated by commas, and keeps their people apart.",
        required=True,
        several=True,
        affects_result=False,
    )
    dataset: str = option(
        "",
        "Layout of the data set; own_images: listed in images.csv; own_folders: in folders. By "
        f"default what `data_dir` looks like, or {_USUAL}. One for each of several data sets.",
        choices=LAYOUTS,
        several=True,
    )
    trial: int = advanced(1, "Trial of a data set with several splits (RegDB).", minimum=1)

    @property
    def layout(self) -> str:
        """The layout that is given, or else that of the folder."""
        found = self.dataset or (layout_in(self.data_dir) if self.data_dir else None)
        return found or _USUAL

    def load_listed(self) -> "Dataset":
        """The data set with all the images that it lists."""
        from cmnas_tf.data import load_dataset

        return load_dataset(self.layout, self.data_dir, self.trial)


@dataclass(frozen=True, kw_only=True)
class Data(DataFolder):
    """The images."""

    skip_unreadable: bool = advanced(
        False, "Leave out and count images that cannot be decoded, instead of stopping."
    )

    def load_joined(self, grey16: Range) -> "Dataset":
        """The data set to train on, or the training images of several; see :meth:`load`."""
        from cmnas_tf.data.joining import join_datasets

        folders = self.data_dir.split(",")
        if len(folders) == 1 or Path(self.data_dir).exists():
            return self.load("train", grey16)
        names = self.dataset.split(",") if self.dataset else [""] * len(folders)
        if len(names) != len(folders):
            raise BadInput(f"dataset={self.dataset} must name one for each folder, or none.")
        given = zip(folders, names, strict=True)
        each = [replace(self, data_dir=folder, dataset=name) for folder, name in given]
        # `trial` is that of those that come with several.
        each = [d if LAYOUTS[d.layout].trials > 1 else replace(d, trial=1) for d in each]
        return join_datasets([data.load("train", grey16) for data in each])

    def load(self, part: str, grey16: Range = ()) -> "Dataset":
        """The data set; where it is asked for without the unreadable images of a part."""
        found = self.load_listed()
        if not self.skip_unreadable:
            return found

        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        from cmnas_tf.data.verify import unreadable, without

        # TensorFlow decodes them, and takes no number of threads or devices after its first use.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn, stop_with_parent) as other:
            bad = other.submit(unreadable, getattr(found, part), found.root, grey16).result()
        return without(found, part, bad)


@dataclass(frozen=True, kw_only=True)
class TrainedSource(Options):
    """Which trained network."""

    run_dir: str = path_option(RUN_DIR, affects_result=False)
    checkpoint: str = path_option(
        "Checkpoint to use, or a folder of a run; by default the newest one of `run_dir`.",
        affects_result=False,
    )
    weights: str = option(
        "average",
        "Use the moving average or the last step's weights.",
        choices=("average", "live"),
    )

    def load(self, precision: str = "float32") -> "TrainedNetwork":
        """The network; of the run `run_dir`, if that is given, whatever checkpoint is.

        Raises:
          BadInput: none is named, there is none, or it does not hold a whole derived network.
        """
        from cmnas_tf.training.trained import load_network

        source = self.checkpoint or self.run_dir
        if not source:
            raise BadInput("Give `run_dir` of a training, or `checkpoint`.")
        found = load_network(source, self.weights, precision)
        return replace(found, run=RunFolder(self.run_dir)) if self.run_dir else found
