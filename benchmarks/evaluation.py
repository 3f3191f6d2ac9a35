"""A test from image files to its scores, with a ResNet-50: SYSU-MM01's ten trials of all search.

The files are JPEGs of 288x144, about the size of SYSU-MM01's people, of 24 people by six cameras.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import batch
from cmnas_tf.architecture import Architecture
from cmnas_tf.data import load_dataset
from cmnas_tf.data.index import Dataset
from cmnas_tf.data.layouts import LAYOUTS
from cmnas_tf.data.pipeline import ImageSource
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.data.synthetic import write_dataset
from cmnas_tf.data.synthetic_plan import SyntheticPeople
from cmnas_tf.models.specification import Specification
from cmnas_tf.retrieval.embed import embed
from cmnas_tf.retrieval.measure import measure

PEOPLE, AT_A_TIME = 6 * batch.IDENTITIES, 64  # who are tested; images
_FOLDER = TemporaryDirectory(prefix="cmnas_tf_benchmark_")  # removed when the process ends


def package() -> Callable[[], object]:
    """As the package has it: every image is embedded once for all trials."""
    images, given = people(), (batch.CLASSES, batch.HEIGHT, batch.WIDTH, 1, 1.0)
    network = Specification(Architecture.separate(batch.BACKBONE), *given).build()
    source = ImageSource(images.test, Path(images.root), batch.HEIGHT, batch.WIDTH)
    return lambda: measure(embed(network, source, AT_A_TIME), images, protocol())


@cache
def people() -> Dataset:
    """The data set, which is written first."""
    few = {"train_identities": 2, "test_identities": PEOPLE, "images_per_camera": 4}
    tested = SyntheticPeople(**few, image_height=288, image_width=144)
    write_dataset(tested, _FOLDER.name, processes=1)
    return load_dataset("sysu_mm01", _FOLDER.name)


def protocol() -> Protocol:
    """All search, single shot, ten trials."""
    return LAYOUTS["sysu_mm01"].protocol()
