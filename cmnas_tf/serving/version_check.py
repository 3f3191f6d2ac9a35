"""Is an exported version safe to roll out? It is loaded and asked as by a server."""

import resource
import statistics
import struct
import timeit
from functools import partial
from pathlib import Path

import numpy as np
import psutil

from cmnas_tf.errors import BadInput
from cmnas_tf.extras import needing
from cmnas_tf.reading import read_json
from cmnas_tf.serving.call_error import CallError, in_words
from cmnas_tf.serving.exported_model import BESIDE, versions_in
from cmnas_tf.serving.reading_images import LARGEST
from cmnas_tf.tables import table

with needing("serving"):
    from cmnas_tf.serving.development_server.loaded_version import LoadedVersion, arrays, recorded

_SIZES, _TIMES = (1, 32), 5  # images of the requests whose median time is taken, of so many
_NEXT = "Export it again, or copy it whole."
_CARD = {"served": {"max_images": int, "max_pixels": int}}
_PARITY = {"tolerance": float, "max_abs_difference": float}
# The header of a PNG of the largest size, of 8 bits and three colours, and nothing behind it.
_PNG = struct.pack(">8sI4s2I5BI", b"\x89PNG\r\n\x1a\n", 13, b"IHDR", *[LARGEST] * 2, 8, 2, *[0] * 4)


def check_version(export_dir: str, version: int = 0) -> str:
    """Loads a version, and asks through every signature what was recorded, much, and too much.

    Args:
      export_dir: the folder of all versions.
      version: number of the one to look at; 0: the newest.

    Returns:
      What was seen: sizes, latencies, memory, differences from the answers recorded at the export.

    Raises:
      BadInput: there is no such version, or something speaks against a rollout; it says what.
    """
    versions = versions_in(Path(export_dir))
    folder = versions.get(version or max(versions, default=0))
    if folder is None:
        there = ", ".join(map(str, sorted(versions))) or "none"
        number = version or "yet"
        raise BadInput(f"export_dir={export_dir} has no version {number}; there is {there}.")
    beside, size = folder / BESIDE, sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    try:
        card = read_json(beside / "model_card.json", _CARD, "a card that says limits", _NEXT)
        parity = read_json(beside / "parity.json", _PARITY, "a proof of parity", _NEXT)
        loaded = LoadedVersion(folder, warm_up=False)
        report, difference = _asked(loaded, folder, **card["served"])
        loaded.close()
        if not difference <= parity["tolerance"]:
            raise BadInput(f"its answers differ by {difference:.1e} from those recorded. {_NEXT}")
    # A damaged version has as many kinds of errors as there are ways to be damaged.
    except Exception as error:
        raise BadInput(f"{folder} is not safe to roll out: {in_words(str(error))}") from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return (
        f"{folder}: {size / 1e6:.1f} MB of files\n\n{report}\nmemory at most {peak:.0f} MB\n"
        f"largest difference from the answers at the export {difference:.1e}, there from the "
        f"network {parity['max_abs_difference']:.1e} (tolerance {parity['tolerance']})\n"
        "safe to roll out"
    )


def _asked(
    version: LoadedVersion, folder: Path, max_images: int, max_pixels: int, **_: object
) -> tuple[str, float]:
    """A table of the signatures and the limits, and the largest difference from what was recorded.

    Raises:
      Exception: whatever speaks against the version.
    """
    logs, memory, differences = list(recorded(folder)), psutil.Process().memory_info, [0.0]
    lines = [["signature", *(f"{size} images, ms" for size in _SIZES), "memory, MB"]]
    for name in sorted(version.asked):
        before = memory().rss
        known = [log for log in logs if log.request.model_spec.signature_name == name]
        if not known:
            raise BadInput(f"signature {name} has no recorded request to warm it up. {_NEXT}")
        for log in known:
            answer = version.predict(name, arrays(log.request.inputs))
            for key, wanted in arrays(log.response.outputs).items():
                if wanted.dtype != object:
                    differences.append(float(np.abs(answer[key] - wanted).max()))
        one = arrays(known[0].request.inputs)
        line = [name]
        for size in _SIZES:
            many = _repeated(one, min(size, max_images))
            seconds = timeit.repeat(partial(version.predict, name, many), number=1, repeat=_TIMES)
            line.append(f"{1000 * statistics.median(seconds):.1f}")
        lines.append([*line, f"{(memory().rss - before) / 1e6:.0f}"])
        too_much = {f"at most {max_images} images": _repeated(one, max_images + 1)}
        if "image_bytes" in one and (files := max_pixels // LARGEST**2 + 1) <= max_images:
            pngs = {**one, "image_bytes": np.array([_PNG], object)}
            too_much[f"at most {max_pixels} pixels"] = _repeated(pngs, files)
        for limit, inputs in too_much.items():
            try:
                version.predict(name, inputs)
                said = "nothing."
            except CallError as error:
                said = error.sentence
            if limit not in said:
                raise BadInput(f"{name} does not refuse more than {limit}; it says {said}")
    limits = f"limits of a request kept: {max_images} images, {max_pixels} pixels"
    return f"{table(lines)}\n\n{limits}", float(np.max(differences))


def _repeated(one: dict[str, np.ndarray], times: int) -> dict[str, np.ndarray]:
    return {name: np.repeat(array, times, axis=0) for name, array in one.items()}
