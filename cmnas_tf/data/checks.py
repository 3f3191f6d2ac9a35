"""Whether what a data set lists can be trained on and then tested fairly."""

from collections.abc import Iterable, Iterator

import numpy as np

from cmnas_tf.data.index import Dataset
from cmnas_tf.data.store import open_store


def missing_files(dataset: Dataset) -> Iterator[str]:
    """A sentence if listed images are not in the data set's folder."""
    store = open_store(dataset.root)
    paths = (dataset.train + dataset.test).paths
    missing = [path for path in paths if path not in store]
    if missing:
        yield (
            f"{len(missing)} of {len(paths)} listed images are not in {dataset.root}, the first of "
            f"them {missing[0]}. Unpack the images again, or take these out of the lists"
        )


def identity_faults(dataset: Dataset) -> Iterator[str]:
    """A sentence for each reason why the listed identities cannot be trained on and tested."""
    train = set(dataset.train.pids.tolist())
    both = train & set(dataset.test.pids.tolist())
    if both:
        yield (
            f"{len(both)} identities of {dataset.root} are for training and for testing, the first "
            f"of them {_first(both)}: a test would be unfair. Take them out of one of the lists"
        )
    for modality in dataset.modalities:
        without = train - set(dataset.train.of_modality(modality).pids.tolist())
        if without:
            yield (
                f"{len(without)} training identities of {dataset.root} have no {modality} image, "
                f"the first of them {_first(without)}; training needs every identity in every "
                "modality. Unpack the images again, or take these identities out of the lists"
            )


def unmatched(dataset: Dataset) -> Iterator[str]:
    """A sentence for each modality that test identities lack; where images have roles, none.

    Such a data set can be used: their queries find no match, and do not count.
    """
    test = dataset.test[dataset.test.roles == ""]
    for modality in np.unique(test.modalities):
        without = set(test.pids.tolist()) - set(test.of_modality(modality).pids.tolist())
        if without:
            yield (
                f"{len(without)} test identities have no {modality} image, the first of them "
                f"{_first(without)}; where they are searched for across modalities, they do not "
                "count."
            )


def _first(pids: Iterable[int]) -> list[int]:
    return sorted(pids)[:10]
