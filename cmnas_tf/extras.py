"""Packages that only some uses need."""

import contextlib
from collections.abc import Iterator

from cmnas_tf.errors import BadInput


@contextlib.contextmanager
def needing(extra: str) -> Iterator[None]:
    """Around the import of such packages: says how to install those that are missing.

    Args:
      extra: of this package, which brings them.

    Raises:
      BadInput: an import failed.
    """
    try:
        yield
    except ImportError as error:
        raise BadInput(f'{error}. Install it: pip install "cmnas_tf[{extra}]"') from error
