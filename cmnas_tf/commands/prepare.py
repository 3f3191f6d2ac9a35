"""``cmnas prepare``: is a data set whole? And, where wanted, the same as shards."""

from dataclasses import dataclass

from cmnas_tf.commands.options_of_runs import DataFolder
from cmnas_tf.commands.words import in_flags
from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.grey16 import Grey16
from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, advanced, option, path_option
from cmnas_tf.runs.how_it_runs import Progress


@dataclass(frozen=True, kw_only=True)
class Prepare(Options):
    """Looks through a data set: counts, faults, and where wanted the same as shards."""

    all_trials: bool = option(
        False, "Look at every trial of the data set (RegDB), not at `trial` alone."
    )
    all: bool = option(False, "Name every file with a finding, not one of each kind.")
    shards_dir: str = path_option(
        "Write the images and lists as TFRecord shards to this folder, which must not exist."
    )
    shard_megabytes: int = advanced(
        128, "Size that no shard of several images exceeds, in megabytes (10^6 bytes).", minimum=1
    )
    data: DataFolder = DataFolder()
    grey16: Grey16 = Grey16()
    progress: Progress = Progress()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.all_trials and self.shards_dir:
            raise BadInput(
                f"shards_dir={self.shards_dir} takes one trial, and `all_trials` means several; "
                "give `trial` in the place of `all_trials`."
            )


def main(command: Prepare) -> None:
    """Prints what the data set holds and what is wrong with it; refuses it if it must be mended."""
    from cmnas_tf.data import preparation
    from cmnas_tf.data.shard_writer import require_absent

    data, shown = command.data, command.progress.progress
    if command.shards_dir:
        require_absent(command.shards_dir)
    every = range(1, LAYOUTS[data.layout].trials + 1)
    trials = every if command.all_trials else [data.trial]
    grey16_range = command.grey16.grey16_range
    examined = preparation.examine(data.layout, data.data_dir, trials, shown, grey16_range)
    print(in_flags(examined.text(command.all), Prepare.options()))
    preparation.require_fit(examined)
    print("\nfit for use")
    if command.shards_dir:
        written = preparation.write(examined, command.shards_dir, command.shard_megabytes, shown)
        print(in_flags(written, Prepare.options()))
