"""Draws the pictures of the documents that no study drew itself: ``make pictures``.

The one at the top of README is of the demonstration's runs: left how the search leaned from epoch
to epoch, right some queries of the network that it led to. The main one of the study of Auto-ReID
is of its findings.

python -m docs.pictures runs/demo
"""

import io
import sys
from pathlib import Path

from PIL import Image

from cmnas_tf import charts
from cmnas_tf.architecture import Architecture
from cmnas_tf.evaluation.results_file import read_look, results_files
from cmnas_tf.reports.of_study import read_charts
from cmnas_tf.reports.ranked_lists import ranked_lists
from cmnas_tf.runs.run_folder import RunFolder
from cmnas_tf.search_spaces import NormSpace

HEIGHT, GAP = 720, 40  # pixels
QUERIES = "What it is like: some queries drawn at random"


def main(demo: Path, output: Path) -> None:
    """Joins the two pictures."""
    search, searched = RunFolder(demo / "search"), RunFolder(demo / "searched")
    files = sorted(search.architecture_after(1).parent.glob("epoch_*.json"))
    by_epoch = {
        epoch: NormSpace().probabilities(Architecture.load(file))
        for epoch, file in enumerate(files, start=1)
    }
    heat_map = charts.png(charts.decisions(by_epoch, "epoch", width=360))
    look = read_look(results_files(searched)[0], searched)
    assert look is not None
    drawn = heat_map, ranked_lists(look)[QUERIES]
    parts = [Image.open(io.BytesIO(png)).convert("RGB") for png in drawn]
    parts = [part.resize((part.width * HEIGHT // part.height, HEIGHT)) for part in parts]
    whole = Image.new("RGB", (sum(part.width for part in parts) + GAP, HEIGHT), "white")
    whole.paste(parts[0], (0, 0))
    whole.paste(parts[1], (parts[0].width + GAP, 0))
    _keep(whole, output)


def of_study(findings: Path, output: Path) -> None:
    """The mean average precision of every arm."""
    (chart,) = (each for each in read_charts(findings) if "mAP of seeds" in each["title"])
    _keep(Image.open(io.BytesIO(charts.png(chart))).convert("RGB"), output)


def _keep(drawn: Image.Image, output: Path) -> None:
    drawn.quantize(256).save(output, optimize=True)


if __name__ == "__main__":
    docs = Path(__file__).parent
    main(Path(sys.argv[1]), docs / "search.png")
    autoreid = docs / "study_autoreid"
    of_study(autoreid / "study.json", autoreid / "single_query_mAP.png")
