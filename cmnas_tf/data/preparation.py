"""Whether a data set is fit for use: what it holds, what is published, and what must be mended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cmnas_tf import settings as settings_module
from cmnas_tf.data import LAYOUTS, read_dataset
from cmnas_tf.data.checks import identity_faults, unmatched
from cmnas_tf.data.index import Count, Dataset
from cmnas_tf.data.shard_writer import require_absent, write_shards
from cmnas_tf.data.verify import Content, duplicates, read_contents
from cmnas_tf.errors import BadInput
from cmnas_tf.progress import progress_bar
from cmnas_tf.tables import table


@dataclass(frozen=True)
class Examined:
    """A data set, in one trial or several, with the content of its files.

    Attributes:
      trials: the data set by trial.
      contents: of every file that any of these lists.
    """

    trials: Mapping[int, Dataset]
    contents: Mapping[str, Content]

    @property
    def faults(self) -> list[str]:
        """What must be mended before the data set is used, each a sentence."""
        found = [f"{path}: {c.fault}" for path, c in self.contents.items() if c.fault]
        for trial, dataset in self.trials.items():
            found += [
                f"{train} (to train on) and {test} (to test with) are the same file"
                for train, test in duplicates(dataset, self.contents)
            ]
            found += self._of_trial(trial, list(identity_faults(dataset)))
        return list(dict.fromkeys(found))

    @property
    def notes(self) -> list[str]:
        """What was noticed besides, each a sentence."""
        return [
            note
            for trial, dataset in self.trials.items()
            for note in self._of_trial(trial, [*dataset.notes, *unmatched(dataset)])
        ]

    def _of_trial(self, trial: int, sentences: Sequence[str]) -> list[str]:
        prefix = f"trial {trial}: " if len(self.trials) > 1 else ""
        return [prefix + sentence for sentence in sentences]

    def __str__(self) -> str:
        first = next(iter(self.trials.values()))
        layout = LAYOUTS[first.layout]
        several = len(self.trials) > 1
        lines = [["trial"] * several + ["", "images", "identities", "published"]]
        for trial, dataset in self.trials.items():
            counts = dataset.counts()
            for part in dict.fromkeys([*counts, *layout.published]):
                found, published = counts.get(part, Count(0, 0)), layout.published.get(part)
                numbers = [str(found.images), str(found.identities)]
                lines.append([str(trial)] * several + [part, *numbers, _compared(found, published)])
        text = [f"{layout.title} in {first.root}: {len(self.contents)} files", "", table(lines)]
        for title, sentences in (("noticed", self.notes), ("to be mended", self.faults)):
            if sentences:
                text += ["", f"{title}:", *(f"  {sentence}" for sentence in sentences)]
        return "\n".join(text)


def _compared(found: Count, published: Count | None) -> str:
    if published is None:
        return "not published"
    if found == published:
        return "agrees"
    return f"differs: {published.images} images of {published.identities} identities"


def examine(settings: settings_module.Prepare) -> Examined:
    """Reads the lists and every file of a data set.

    Args:
      settings: of the command.

    Raises:
      BadInput: the lists cannot be read, or ``--shards_dir`` exists.
    """
    data, preparation = settings.data, settings.preparation
    if preparation.shards_dir:
        require_absent(preparation.shards_dir)
    numbers = range(1, LAYOUTS[data.dataset].trials + 1) if preparation.all_trials else [data.trial]
    trials = {number: read_dataset(data.dataset, data.data_dir, number) for number in numbers}
    paths = {path: None for d in trials.values() for path in (d.train + d.test).paths}
    with progress_bar(len(paths), "file", settings.progress.progress) as bar:
        contents = read_contents(data.data_dir, paths, bar.update)
    return Examined(trials, contents)


def write(settings: settings_module.Prepare, examined: Examined) -> str:
    """Writes what was examined as shards.

    Args:
      settings: of the command.
      examined: one trial of a data set without faults.

    Returns:
      What was written, for people to read.
    """
    data, preparation = settings.data, settings.preparation
    with progress_bar(len(examined.contents), "image", settings.progress.progress) as bar:
        manifest = write_shards(
            examined.trials[data.trial],
            data.trial,
            preparation.shards_dir,
            preparation.shard_megabytes * 10**6,
            LAYOUTS[data.dataset].companions,
            bar.update,
        )
    shards = manifest["shards"]
    megabytes = sum(shard["bytes"] for shard in shards) / 1e6
    return (
        f"{len(shards)} shards of {megabytes:.1f} MB in all written to {preparation.shards_dir}; "
        f"give it as --data_dir, with --dataset={data.dataset} --trial={data.trial}"
    )


def require_fit(examined: Examined) -> None:
    """Raises BadInput if anything must be mended."""
    faults = len(examined.faults)
    if faults:
        raise BadInput(
            f"The data set is not fit for use: mend what is listed above ({faults} findings), and "
            "run this command again."
        )
