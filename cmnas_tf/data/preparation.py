"""Whether a data set is fit for use: what it holds, what is published, and what must be mended."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike

from cmnas_tf.data.findings import Finding, Said, sentences
from cmnas_tf.data.grey16 import Range, values_of
from cmnas_tf.data.index import Count, Dataset
from cmnas_tf.data.layouts import LAYOUTS, identity_faults, read_dataset
from cmnas_tf.data.shard_writer import write_shards
from cmnas_tf.data.store import open_store
from cmnas_tf.data.verify import Content, duplicates, equal_pictures, read_contents
from cmnas_tf.errors import BadInput
from cmnas_tf.progress import progress_bar
from cmnas_tf.tables import table


@dataclass(frozen=True)
class Examined:
    """A data set by trial, one or several, and the content of every file that these list."""

    trials: Mapping[int, Dataset]
    contents: Mapping[str, Content]

    @property
    def faults(self) -> list[Said]:
        """What must be mended before the data set is used."""
        unreadable = [Finding(path, c.fault) for path, c in self.contents.items() if c.fault]
        same = self._by_trial(lambda dataset: duplicates(dataset, self.contents))
        return [*unreadable, *same, *self._by_trial(identity_faults)]

    @property
    def notes(self) -> list[Said]:
        """What was noticed besides."""
        found = self._by_trial(
            lambda dataset: [*dataset.notes, *equal_pictures(dataset, self.contents)]
        )
        deep = [path for path, content in self.contents.items() if content.grey16]
        store = open_store(next(iter(self.trials.values())).root)
        return [*found, *values_of(store, deep)]

    @property
    def queries(self) -> list[Said]:
        """By setting of the data set's protocol how many queries count, each a sentence."""
        return self._by_trial(query_counts)

    def _by_trial(self, found_in: Callable[[Dataset], Iterable[Said]]) -> list[Said]:
        """What is found in each trial; where there are several, a sentence says in which."""
        several = len(self.trials) > 1
        found = (
            f"trial {trial}: {one}" if several and isinstance(one, str) else one
            for trial, dataset in self.trials.items()
            for one in found_in(dataset)
        )
        return list(dict.fromkeys(found))

    def text(self, every: bool = False) -> str:
        """Counts and findings, for people to read.

        Args:
          every: whether to name every file with a finding, not one of each kind.
        """
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
        shown = {"tested": self.queries, "noticed": self.notes, "to be mended": self.faults}
        for title, findings in shown.items():
            if findings:
                text += ["", f"{title}:", *(f"  {said}" for said in sentences(findings, every))]
        return "\n".join(text)


def query_counts(dataset: Dataset) -> Iterator[str]:
    """A sentence for each setting of the data set's own protocol: how many of its queries count.

    Galleries that are drawn have images of the same people from the same cameras in every trial.
    """
    try:
        trials = LAYOUTS[dataset.layout].protocol().trials_of(dataset)
        counts = {trial.setting: trial.counts for trial in trials}
    except BadInput as error:
        yield str(error)
        return
    for setting, found in counts.items():
        yield f"{setting}: {found}"


def _compared(found: Count, published: Count | None) -> str:
    if published is None:
        return "not published"
    if found == published:
        return "agrees"
    return f"differs: {published.images} images of {published.identities} identities"


def examine(
    layout: str,
    root: str | PathLike[str],
    trials: Sequence[int] = (1,),
    progress: bool = False,
    grey16: Range = (),
) -> Examined:
    """Reads the lists of a data set's splits ``trials``, and every file of theirs once.

    Args:
      layout, root, grey16: see :func:`cmnas_tf.data.load_dataset` and ``Grey16``.

    Raises:
      BadInput: the lists cannot be read.
    """
    datasets = {trial: read_dataset(layout, root, trial) for trial in trials}
    paths = {path: None for d in datasets.values() for path in (d.train + d.test).paths}
    with progress_bar(len(paths), "file", progress) as bar:
        contents = read_contents(root, paths, bar.update, grey16)
    return Examined(datasets, contents)


def write(
    examined: Examined,
    shards_dir: str | PathLike[str],
    shard_megabytes: int = 128,
    progress: bool = False,
) -> str:
    """Writes what was examined, one trial without faults, as shards; says what was written.

    Args:
      shards_dir: must not exist, or BadInput is raised.
      shard_megabytes: size that no shard of several images exceeds, in megabytes (10^6 bytes).
    """
    (dataset,) = examined.trials.values()
    with progress_bar(len(examined.contents), "image", progress) as bar:
        manifest = write_shards(dataset, shards_dir, shard_megabytes * 10**6, bar.update)
    shards = manifest["shards"]
    megabytes = sum(shard["bytes"] for shard in shards) / 1e6
    return (
        f"{len(shards)} shards of {megabytes:.1f} MB in all written to {shards_dir}; give it as "
        f"`data_dir`, with dataset={dataset.layout} trial={dataset.trial}"
    )


def require_fit(examined: Examined) -> None:
    """Raises BadInput if anything must be mended."""
    if faults := len(examined.faults):
        raise BadInput(
            f"The data set is not fit for use: mend what is listed above ({faults} findings), and "
            "examine it again."
        )
