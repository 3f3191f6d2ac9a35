"""Options that several commands have: where a run is kept, on which images, which network."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cmnas_tf.data import LAYOUTS, layout_in
from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, option
from cmnas_tf.runs.run_folder import RunFolder

if TYPE_CHECKING:
    from cmnas_tf.data.index import Dataset
    from cmnas_tf.training.trained import TrainedNetwork

_USUAL = "sysu_mm01"
RUN_DIR = "Folder of this run: checkpoints, logs, results."


@dataclass(frozen=True, kw_only=True)
class Run(Options):
    """One run: where it is kept, and what makes it repeatable."""

    run_dir: str = option("", RUN_DIR, required=True, path=True, affects_result=False)
    seed: int = option(0, "Seed of all randomness.", minimum=0, maximum=2**32 - 1)


@dataclass(frozen=True, kw_only=True)
class DataFolder(Options):
    """Which images."""

    data_dir: str = option(
        "",
        "Folder of the data set, laid out as its authors deliver it, or of its shards.",
        required=True,
        path=True,
        affects_result=False,
    )
    dataset: str = option(
        "",
        "Layout of the data set; images of your own: listed in images.csv, or in folders. By "
        f"default the one that `data_dir` looks like, else {_USUAL}.",
        choices=LAYOUTS,
    )
    trial: int = option(
        1, "Trial of a data set with several splits (RegDB).", minimum=1, advanced=True
    )

    @property
    def layout(self) -> str:
        """The layout that is given, or else that of the folder."""
        found = self.dataset or (layout_in(self.data_dir) if self.data_dir else None)
        return found or _USUAL


@dataclass(frozen=True, kw_only=True)
class Data(DataFolder):
    """Which images."""

    skip_unreadable: bool = option(
        False,
        "Leave out and count images that cannot be decoded, instead of stopping.",
        advanced=True,
    )

    def load_listed(self) -> "Dataset":
        """The data set with all the images that it lists."""
        from cmnas_tf.data import load_dataset

        return load_dataset(self.layout, self.data_dir, self.trial)

    def load(self, part: str) -> "Dataset":
        """The data set; where it is asked for without the unreadable images of a part."""
        found = self.load_listed()
        if not self.skip_unreadable:
            return found

        from cmnas_tf.data.verify import readable

        return readable(found, part)


@dataclass(frozen=True, kw_only=True)
class TrainedSource(Options):
    """Which trained network."""

    run_dir: str = option("", RUN_DIR, path=True, affects_result=False)
    checkpoint: str = option(
        "",
        "Checkpoint to use, or a folder of a run; by default the newest one of `run_dir`.",
        path=True,
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
