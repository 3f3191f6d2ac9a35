"""Reports: what stands on the page, in a browser too, and what there is no report of."""

import base64
import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cmnas_tf.architecture import Architecture
from cmnas_tf.commands import report as command
from cmnas_tf.commands.report import Report
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.results_file import keep, results_files
from cmnas_tf.files import write_json
from cmnas_tf.genotype import KINDS
from cmnas_tf.reports import of_run, ranked_lists
from cmnas_tf.reports.page import Figure, Section, Table, write_page
from cmnas_tf.reports.report import write_report
from cmnas_tf.runs.run_folder import Description, RunFolder
from cmnas_tf.runs.tensorboard import log, open_log
from cmnas_tf.search_spaces.cell_space import CellSpace
from docs import pictures
from tests.evaluation.records import record

pytest.importorskip("vl_convert")
EVIL = "</script><script>alert(1)</script>"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def look(root):
    images = [
        {"name": f"{EVIL}.png", "pid": 1, "camera": 3, "score": 1.0},
        {"name": "there.png", "pid": 1, "camera": 1, "score": 0.5},
        {"name": "gone.png", "pid": 2, "camera": 2, "score": 0.25},
    ]
    random = np.random.default_rng(0)
    return {
        "root": str(root),
        "precision": [1.0, 0.75, 0.5],
        "cmc": {"all_single_shot": [0.5, 0.75, 1.0]},
        "lists": [{"kind": kind, "precision": 0.5, "images": images} for kind in ("worst", "any")],
        "cameras": [{"asking": 3, "answering": camera, "mAP": 0.5} for camera in (1, 2)],
        "similarities": {"the same person, same modality": [0, 3, 1], "others": [2, 0, 0]},
        "mapped": [
            {"pid": n % 3, "modality": ("visible", "infrared")[n % 2], "at": at}
            for n, at in enumerate(random.uniform(-1, 1, (12, 4)).tolist())
        ],
    }


def write_logs(run, **scalars):
    with tf.summary.create_file_writer(str(run.tensorboard)).as_default():
        for step in range(5):
            for name, value in scalars.items():
                tf.summary.scalar(name.replace("__", "/"), value / (step + 1), step=step)
            tf.summary.image("probability_by_epoch", tf.zeros([1, 4, 4, 1]), step=step)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A finished one, measured, with a picture that is there and others that are not."""
    folder = tmp_path_factory.mktemp("train")
    run, root = RunFolder(folder / "run"), folder / "images"
    root.mkdir()
    image = tf.io.encode_png(tf.fill([32, 16, 3], tf.constant(200, tf.uint8)))
    (root / "there.png").write_bytes(image.numpy())
    run.path.mkdir()
    settings = {"dataset": "sysu_mm01", "recipe": EVIL}
    write_json(run.description, dataclasses.asdict(Description("train", "f00", settings, 1)))
    write_logs(run, weights_loss__cross_entropy=5.0, held_out__mAP=0.5, memory__process=2.0)
    keep(record(), run, look(root))
    return run


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """One that goes on: two epochs, nothing kept yet."""
    run = RunFolder(tmp_path_factory.mktemp("search") / "run")
    run.path.mkdir()
    settings = {"search_space": "norm"}
    write_json(run.description, dataclasses.asdict(Description("search", "f00", settings, 1)))
    shared = Architecture.shared("resnet18")
    for epoch in (1, 2):
        even = dict.fromkeys(shared.choices, 0.5) | {"stem": 0.5 + 0.2 * epoch}
        found = dataclasses.replace(shared, provenance={"probability_of_separate": even})
        run.architecture_after(epoch).parent.mkdir(exist_ok=True)
        found.save(run.architecture_after(epoch))
    return run


def charts_of(page):
    found = re.findall(r'<script type="application/json">(.*?)</script>', page)
    return [json.loads(each) for each in found]


def without_code(page):
    return page.partition('<script type="module">')[0]


def titles_of(page):
    return re.findall(r"<h[23]>(.*?)</h[23]>", without_code(page))


def test_a_training_is_shown_with_what_was_measured(training, tmp_path):
    write_report([str(training.path)], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert titles_of(page) == [
        "How it was trained",
        "Loss of the weights, by term",
        "Retrieval of people who were held out",
        "Memory in use, in GiB: of the process, or the most that a GPU held until then",
        "Seconds that a step takes, in the median of some steps, so that no pause counts",
        "Measured: regdb, trial 1",
        "Queries whose person is among the first k",
        "How many right ones are found, and how many wrong ones with them",
        "What went most wrong: the queries of the lowest precision",
        "What it is like: some queries drawn at random",
        "Which cameras find each other",
        "How far people are apart",
        "Some people, mapped by t-SNE",
        "Where it comes from",
    ]
    losses, held_out, memory, _, cmc, precision, *_ = charts_of(page)
    points = [(value["x"], value["y"]) for value in losses["layer"][0]["data"]["values"]]
    assert points == [(step, pytest.approx(5 / (step + 1))) for step in range(5)]
    assert held_out["layer"][0]["data"]["values"][0]["name"] == "mAP"
    assert memory["layer"][0]["data"]["values"][0] == {"x": 0, "y": 2.0, "name": "process"}
    assert [value["x"] for value in precision["layer"][0]["data"]["values"]] == [0, 50, 100]
    assert [value["y"] for value in cmc["layer"][0]["data"]["values"]] == [50, 75, 100]
    pictures = re.findall(r"data:image/jpeg;base64,([^\"]+)", page)
    assert [base64.b64decode(picture)[:2] for picture in pictures] == 2 * [b"\xff\xd8"]
    for measured in record()["results"].values():
        assert f"<td>{100 * measured['mAP']:.2f}</td>" in page


def test_an_image_that_is_gone_is_named(tmp_path, monkeypatch):
    """In place of the camera; one that is there is shown with its camera."""
    Image.new("RGB", (16, 32), "red").save(tmp_path / "there.png")
    drawn = []
    monkeypatch.setattr(
        ranked_lists, "draw", lambda rows: drawn.extend(rows) or Image.new("L", (1, 1))
    )
    ranked_lists.ranked_lists(look(tmp_path))
    query, there, gone = drawn[0]
    assert query.image is None and query.right is None
    assert there.image is not None and there.caption == ("1  0.500", "camera 1") and there.right
    assert gone.image is None and gone.caption == ("2  0.250", "gone.png") and gone.right is False


def test_names_are_shown_and_not_obeyed(training, tmp_path):
    write_report([str(training.path)], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert EVIL not in page and "alert(1)" in page


def test_a_search_that_goes_on(search, tmp_path):
    write_report([str(search.path)], tmp_path / "page.html")
    (leaned,) = charts_of((tmp_path / "page.html").read_text())
    stem = [
        v["probability"] for v in leaned["layer"][0]["data"]["values"] if v["decision"] == "stem"
    ]
    assert stem == [0.7, 0.9]
    assert "Nearly even at the end: layer1.0.bn1" in (tmp_path / "page.html").read_text()


def test_what_a_finished_search_kept_stands_behind_its_epochs(search, tmp_path):
    run = RunFolder(tmp_path / "run")
    shutil.copytree(search.path, run.path)
    Architecture.separate_until("stem", "resnet18").save(run.architecture)
    writer = open_log(run.tensorboard, 0)
    for step, bits in enumerate((1.0, 0.5)):
        log(writer, {"architecture/mean_entropy_bits": bits, "architecture/separate": 9}, step)
    writer.close()
    write_report([str(run.path)], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    leaned, undecided, *_ = charts_of(page)
    values = leaned["layer"][0]["data"]["values"]
    assert [(v["epoch"], v["probability"]) for v in values if v["decision"] == "stem"] == [
        *((1, 0.7), (2, 0.9), ("kept", 1.0))
    ]
    assert {v["probability"] for v in values if v["epoch"] == "kept"} == {0.0, 1.0}
    assert "How undecided the search was" in page and "The last column: what was kept." in page
    assert [value["y"] for value in undecided["layer"][0]["data"]["values"]] == [1.0, 0.5]


def test_a_search_for_cells_shows_them(tmp_path):
    """Of its 196 decisions those it made; each cell as a graph whose edges are named."""
    found = "tests/earlier_version/cells_search_finished"
    write_report([found], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    genotype = Architecture.load(f"{found}/architecture.json").backbone.genotype
    chosen = CellSpace().chosen(Architecture.load(f"{found}/architectures/epoch_0002.json"))
    (leaned,) = charts_of(page)
    values = leaned["layer"][0]["data"]["values"]
    assert [v["decision"] for v in values if v["epoch"] == 2] == chosen
    assert leaned["layer"][0]["encoding"]["color"]["scale"]["domain"] == [0, 1 / 7, 1]
    for kind in KINDS:
        drawn = page.partition(f'aria-label="The {kind} cell: ')[2].partition("</svg>")[0]
        for node, edges in genotype.cell(kind).items():
            for source, operation in edges.items():
                assert f"{operation} from {source} to {node}" in drawn
        assert drawn.count("<path") == 8 and drawn.count("<circle") == 6


@pytest.mark.parametrize("count", [3, 12, 101])
def test_the_time_of_a_step_is_a_median_that_no_pause_moves(count):
    """Two steps a second, of which every other one was kept; an hour before one of them."""
    when = {2 * n: n + 3600.0 * (n > count // 2) for n in range(count)}
    times = of_run._times(when)
    assert [step for step, _ in times] == [2 * n for n in range(1, count)]
    if count > 3:
        assert {seconds for _, seconds in times} == {0.5}


def test_several_stand_beside_each_other(training, search, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(training.path, again)
    folders = [str(training.path), str(again), str(search.path)]
    write_report(folders, tmp_path / "page.html")
    titles = titles_of((tmp_path / "page.html").read_text())
    assert titles[0] == "Beside each other"
    assert {"run: What the search decided", "again: Measured: regdb, trial 1"} <= set(titles)


@pytest.fixture
def finished_study(tmp_path):
    shutil.copytree("tests/earlier_version/study", tmp_path / "study")
    return tmp_path / "study"


def test_a_study_of_an_earlier_version(finished_study, tmp_path):
    with (finished_study / "study.md").open("a") as told:
        told.write("\nThere are no pictures: some package is missing.\n")
    write_report([str(finished_study)], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "There are no pictures" not in page
    found = json.loads((finished_study / "study.json").read_text())
    titles = titles_of(page)
    assert titles[:3] == [
        "Does searched help?",
        "In pictures",
        "all_single_shot: Rank-1 of seeds, and their mean with its 95 % interval",
    ]
    assert {"Scores: all_single_shot", "What the searches chose"} <= set(titles)
    assert "<button></button>" not in page  # a head without a name, which nobody could hear
    assert "<td>shared</td><td>1</td>" in page and "<img" not in without_code(page)
    scores = found["scores"]["all_single_shot"]["mAP"]
    layers = charts_of(page)[1]["layer"]
    points = {(v["arm"], v["seed"]): v["score"] for v in layers[0]["data"]["values"]}
    assert points == {
        (arm, seed): round(100 * value, 2)
        for arm, by in scores.items()
        for seed, value in by["seeds"].items()
    }
    (mean,) = (v for v in layers[2]["data"]["values"] if v["arm"] == "searched")
    assert mean["score"] == round(100 * scores["searched"]["mean"], 2) and mean["about"]


def test_no_page_of_a_study_without_its_findings(finished_study, tmp_path):
    file = finished_study / "study.json"
    for content, why in (("{}", "is not what a study found .*settings"), ("[]", "must be dict")):
        file.write_text(content)
        with pytest.raises(BadInput, match=why):
            write_report([str(finished_study)], tmp_path / "page.html")
    file.unlink()
    with pytest.raises(FileNotFoundError, match=r"study\.json"):
        write_report([str(finished_study)], tmp_path / "page.html")


def test_no_report_of_anything_else(tmp_path, training):
    with pytest.raises(BadInput, match="holds neither a run"):
        write_report([str(tmp_path)], tmp_path / "page.html")
    with pytest.raises(BadInput, match="Give one or more `folders`"):
        command.main(Report())
    broken = tmp_path / "broken"
    shutil.copytree(training.path, broken, symlinks=True)
    (file,) = results_files(RunFolder(broken))
    (RunFolder(broken).looks / file.name).write_text("{")
    with pytest.raises(BadInput, match="is not what an evaluation saw"):
        write_report([str(broken)], tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_by_default_the_page_lies_in_the_run(training, capsys):
    command.main(Report(folders=(str(training.path),)))
    page = training.path / "report.html"
    assert capsys.readouterr().out == f"written to {page}\n"
    page.unlink()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
def test_a_browser_draws_every_chart_and_asks_nobody(training, search, finished_study, tmp_path):
    """From the disk; an error would stop the script before the last line of this page."""
    page = tmp_path / "page.html"
    write_report([str(training.path), str(search.path), str(finished_study)], page)
    text = page.read_text()
    last = "<script type='module'>document.title = 'to the end'</script></body>"
    page.write_text(last.join(text.rsplit("</body>", 1)))
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000",
         "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'browser'}",
         "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    assert "<title>to the end</title>" in done.stdout
    assert done.stdout.count('class="marks"') == len(charts_of(text)) > 5
    assert "CONSOLE" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_whoever_cannot_see_it_can_read_it(training, search, finished_study, tmp_path, scheme):
    """As far as axe-core can tell."""
    playwright = pytest.importorskip("playwright.sync_api")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page_file = tmp_path / "page.html"
    write_report([str(training.path), str(search.path), str(finished_study)], page_file)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(color_scheme=scheme)
        page.goto(page_file.as_uri())
        page.locator(".marks").last.wait_for()
        assert not axe.Axe().run(page).response["violations"]
        browser.close()


def test_a_page_of_nothing_but_words(tmp_path):
    blocks = [Table("T", ["a"], [["1 < 2"]]), "so it is", Figure("F", b"\x89PNG", "see")]
    write_page(tmp_path / "page.html", "Title & more", [Section("S", blocks)])
    page = (tmp_path / "page.html").read_text()
    for expected in ("<title>Title &amp; more</title>", "<td>1 &lt; 2</td>", "<p>so it is</p>"):
        assert expected in page
    assert 'alt="F"' in page and "<figcaption>see</figcaption>" in page


def test_the_picture_of_a_study_is_drawn_from_its_findings(tmp_path):
    """The one that the documents have: the pixels need not be the same, the size has to be."""
    there = Path(pictures.__file__).with_name("study_autoreid")
    kept = Image.open(there / "single_query_mAP.png")
    pictures.of_study(there / "study.json", tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn, kept:
        assert drawn.size == kept.size


def test_the_picture_of_readme_is_drawn_from_runs(search, training, tmp_path):
    """A heat map, of two epochs here, beside a ranked list."""
    (tmp_path / "search").symlink_to(search.path)
    (tmp_path / "searched").symlink_to(training.path)
    pictures.main(tmp_path, tmp_path / "drawn.png")
    with Image.open(tmp_path / "drawn.png") as drawn:
        assert drawn.height == pictures.HEIGHT < drawn.width
        assert len(drawn.convert("RGB").getcolors(1 << 20)) > 10
