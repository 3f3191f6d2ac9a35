"""Who asks and who answers, under each protocol."""

import json
import random

import numpy as np
import pytest
import scipy.io

from cmnas_tf.data import LAYOUTS, SingleQuery
from cmnas_tf.data.index import Dataset, Image, Images
from cmnas_tf.data.llcm import LlcmProtocol
from cmnas_tf.data.regdb import RegdbProtocol
from cmnas_tf.data.sysu_mm01 import CAMERAS, SysuProtocol
from cmnas_tf.errors import BadInput
from cmnas_tf.modality import INFRARED, VISIBLE


def trials_of(dataset, **options):
    """The trials of the data set's protocol with these options."""
    return list(LAYOUTS[dataset.layout].protocol(**options).trials_of(dataset))


def sysu(counts, root="nowhere"):
    """A data set whose folders ``{"cam1/0007": 10, ...}`` hold so many test images."""
    rows = []
    for folder, count in counts.items():
        camera, pid = int(folder[3]), int(folder[5:])
        names = (f"{folder}/{number:04d}.jpg" for number in range(1, count + 1))
        rows += [Image(name, pid, camera, CAMERAS[camera]) for name in names]
    test = Images.of(sorted(rows))
    return Dataset(layout="sysu_mm01", root=root, train=test[:0], test=test)


@pytest.fixture
def seeded(goldens):
    return json.loads((goldens.folder / "sysu_seeded_gallery.json").read_text())


@pytest.mark.parametrize("mode", ["all", "indoor"])
@pytest.mark.parametrize("shots", [1, 10])
def test_seeded_galleries_equal_the_released_code(seeded, mode, shots):
    dataset = sysu({**seeded["tree"], "cam3/0007": 4, "cam6/0012": 3})
    trials = trials_of(dataset, mode=mode, shots=shots)
    setting = f"{mode}_{'single' if shots == 1 else 'multi'}_shot"
    assert [trial.name for trial in trials] == [f"{setting}_trial_{n}" for n in range(1, 11)]
    for seed, trial in enumerate(trials):
        assert trial.gallery.paths.tolist() == seeded["gallery"][f"{mode}/{shots}/{seed}"]
        assert trial.query.paths.tolist() == [
            *(f"cam3/0007/{n:04d}.jpg" for n in range(1, 5)),
            *(f"cam6/0012/{n:04d}.jpg" for n in range(1, 4)),
        ]
        assert (trial.rule, trial.setting, trial.gallery_seed) == ("sysu", setting, seed)


def write_orders(root, orders):
    """Writes ``{(camera, pid): [10, n]}`` as the official file: a cell of cells."""
    table = np.empty((6, 1), object)
    for camera in CAMERAS:
        people = np.empty((max(pid for _, pid in orders), 1), object)
        for pid in range(1, len(people) + 1):
            people[pid - 1, 0] = orders.get((camera, pid), np.empty((10, 0), np.uint8))
        table[camera - 1, 0] = people
    (root / "exp").mkdir(exist_ok=True)
    scipy.io.savemat(root / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": table})


def orders_of(counts, seed=0):
    rng = np.random.default_rng(seed)
    return {
        (int(folder[3]), int(folder[5:])): rng.permuted(
            np.tile(np.arange(1, count + 1, dtype=np.uint8), (10, 1)), axis=1
        )
        for folder, count in counts.items()
    }


def test_official_galleries_take_the_first_images_of_the_trials_order(tmp_path):
    """Trial t of cam1/0003 takes what row t puts first; person 5 is seen by camera 4 alone."""
    counts = {"cam1/0003": 12, "cam2/0003": 10, "cam4/0005": 15}
    orders = orders_of(counts)
    write_orders(tmp_path, orders)
    dataset = sysu({**counts, "cam3/0003": 2}, tmp_path)
    for shots in (1, 10):
        trials = trials_of(dataset, shots=shots, gallery_sampling="official")
        assert len(trials) == 10
        for row, trial in enumerate(trials):
            assert trial.gallery.paths.tolist() == [
                f"cam{camera}/{pid:04d}/{number:04d}.jpg"
                for camera, pid in [(1, 3), (2, 3), (4, 5)]
                for number in orders[camera, pid][row, :shots]
            ]


def test_fewer_trials(tmp_path):
    dataset = sysu({"cam1/0003": 12, "cam3/0003": 2})
    three, ten = (trials_of(dataset, trials=n) for n in (3, 10))
    assert len(three) == 3
    for few, all_of_them in zip(three, ten, strict=False):
        assert few.gallery.paths.tolist() == all_of_them.gallery.paths.tolist()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"cam1/0003": 11}, r"must hold 10 orders of 12 images for cam1/0003.*\(10, 11\)"),
        ({"cam2/0003": 12}, r"12 images for cam1/0003.*\(10, 0\)"),
    ],
)
def test_official_orders_must_fit_the_folders(tmp_path, counts, message):
    write_orders(tmp_path, orders_of(counts))
    dataset = sysu({"cam1/0003": 12}, tmp_path)
    with pytest.raises(BadInput, match=message):
        trials_of(dataset, gallery_sampling="official")


def test_official_orders_count_from_one(tmp_path):
    orders = orders_of({"cam1/0003": 12})
    write_orders(tmp_path, {folder: order - 1 for folder, order in orders.items()})
    with pytest.raises(BadInput, match="must hold 10 orders of 12 images for cam1/0003"):
        trials_of(sysu({"cam1/0003": 12}, tmp_path), gallery_sampling="official")


def test_official_orders_missing(tmp_path):
    dataset = sysu({"cam1/0003": 12}, tmp_path)
    with pytest.raises(BadInput, match=r"rand_perm_cam\.mat is missing.*seeded"):
        trials_of(dataset, gallery_sampling="official")


def test_too_few_images_for_many_shots():
    with pytest.raises(BadInput, match=r"shots=10 .*cam2/0003 of nowhere has 4\. Use shots=1"):
        trials_of(sysu({"cam1/0003": 12, "cam2/0003": 4}), shots=10)


def regdb():
    rows = [
        *(Image(f"Thermal/{pid}/a.bmp", pid, 2, INFRARED) for pid in (4, 9)),
        *(Image(f"Visible/{pid}/{n}.bmp", pid, 1, VISIBLE) for pid in (4, 9) for n in range(2)),
    ]
    test = Images.of(rows)
    return Dataset(layout="regdb", root="nowhere", train=test[:0], test=test)


def test_regdb_asks_in_both_directions():
    there, back = trials_of(regdb())
    assert (there.name, there.setting, there.rule) == (
        "visible_to_infrared",
        "visible_to_infrared",
        "regdb",
    )
    assert set(there.query.modalities) == {VISIBLE} and len(there.query) == 4
    assert set(there.gallery.modalities) == {INFRARED} and len(there.gallery) == 2
    assert back.name == "infrared_to_visible"
    assert back.query.paths.tolist() == there.gallery.paths.tolist()
    assert back.gallery.paths.tolist() == there.query.paths.tolist()


@pytest.mark.parametrize("direction", ["visible_to_infrared", "infrared_to_visible"])
def test_regdb_asks_in_one_direction(direction):
    assert [trial.name for trial in trials_of(regdb(), direction=direction)] == [direction]


def llcm():
    """Cameras 1, 3 and 9; identity 12 from all, with 25 and 3 images by day, identity 40 from one.

    Both modalities have the same camera numbers; camera 3 has no infrared images.
    """
    counts = {
        "test_vis/cam1/0012": 25,
        "test_vis/cam3/0012": 3,
        "test_vis/cam3/0040": 30,
        "test_nir/cam1/0012": 4,
        "test_nir/cam9/0012": 22,
        "test_nir/cam9/0040": 2,
    }
    rows = [
        Image(
            f"{folder}/{number:04d}.jpg",
            int(folder[-4:]),
            int(folder[12]),
            VISIBLE if "vis" in folder else INFRARED,
        )
        for folder, count in counts.items()
        for number in range(count)
    ]
    test = Images.of(sorted(rows))
    return Dataset("llcm", "nowhere", test[:0], test), counts


@pytest.mark.parametrize(
    ("direction", "query", "gallery"),
    [
        ("visible_to_infrared", "test_vis", "test_nir"),
        ("infrared_to_visible", "test_nir", "test_vis"),
    ],
)
def test_llcm_galleries_are_drawn_as_by_the_released_code(direction, query, gallery):
    """Which seeds Python's generator with the trial, from 0, and takes ``random.choice`` of the
    sorted files of each folder, identity by identity and camera by camera."""
    dataset, counts = llcm()
    trials = trials_of(dataset, direction=direction)
    assert [trial.name for trial in trials] == [f"{direction}_trial_{n}" for n in range(1, 11)]
    folders = sorted(
        (folder for folder in counts if folder.startswith(gallery)),
        key=lambda folder: (folder[-4:], folder),
    )
    for seed, trial in enumerate(trials):
        random.seed(seed)
        expected = [
            random.choice([f"{folder}/{number:04d}.jpg" for number in range(counts[folder])])
            for folder in folders
        ]
        assert trial.gallery.paths.tolist() == expected
        assert trial.query.paths.tolist() == [
            path for path in dataset.test.paths if path.startswith(query)
        ]
        assert (trial.rule, trial.setting) == ("llcm", direction)


def test_llcm_asks_in_both_directions():
    dataset, _ = llcm()
    trials = trials_of(dataset, trials=2)
    assert [(trial.setting, trial.name[-1]) for trial in trials] == [
        ("visible_to_infrared", "1"),
        ("visible_to_infrared", "2"),
        ("infrared_to_visible", "1"),
        ("infrared_to_visible", "2"),
    ]


SAY_WHO_ASKS = sorted(set(LAYOUTS) - {"sysu_mm01", "regdb", "llcm"})


@pytest.mark.parametrize("layout", SAY_WHO_ASKS)
def test_the_data_set_says_who_asks(layout):
    """Every query in the whole gallery, whatever the modalities are; the order is the table's."""
    rows = [
        Image("a", 0, 2, VISIBLE, "gallery"),
        Image("b", 7, 1, INFRARED, "query"),
        Image("c", 7, 1, VISIBLE, "gallery"),
        Image("d", 7, 2, VISIBLE, "query"),
    ]
    test = Images.of(rows)
    (trial,) = trials_of(Dataset(layout, "nowhere", test[:0], test))
    assert trial.query.paths.tolist() == ["b", "d"]
    assert trial.gallery.paths.tolist() == ["a", "c"]
    assert (trial.rule, trial.name, trial.setting) == ("market", "single_query", "single_query")


def test_every_layout_has_a_protocol():
    """With the options that its authors left to choose."""
    names = {
        "sysu_mm01": ["mode", "shots", "trials", "gallery_sampling"],
        "regdb": ["direction"],
        "llcm": ["direction", "trials"],
        **{name: ["camera_rule"] for name in SAY_WHO_ASKS},
    }
    protocols = {name: layout.protocol for name, layout in LAYOUTS.items()}
    assert {name: list(protocol().values()) for name, protocol in protocols.items()} == names
    assert {protocols[name] for name in SAY_WHO_ASKS} == {SingleQuery}


def test_options_of_one_name_are_one_option():
    """So that one flag gives them to whatever data set is tested."""
    of_name = {}
    for layout in LAYOUTS.values():
        for known in layout.protocol.options():
            assert of_name.setdefault(known.name, known) == known
    assert len(of_name) == 6


@pytest.mark.parametrize(
    ("protocol", "options", "message"),
    [
        (SysuProtocol, {"mode": "outdoor"}, "mode='outdoor' .* one of 'all', 'indoor'"),
        (SysuProtocol, {"shots": 5}, "shots=5 .* one of 1, 10"),
        (SysuProtocol, {"trials": 11}, "trials=11 .* between 1 and 10"),
        (SysuProtocol, {"gallery_sampling": "random"}, "='random' .* 'seeded', 'official'"),
        (RegdbProtocol, {"direction": "sideways"}, "direction='sideways' .* one of 'both', "),
        (LlcmProtocol, {"direction": "sideways"}, "direction='sideways' .* one of 'both', "),
        (LlcmProtocol, {"trials": 0}, "trials=0 .* between 1 and 10"),
    ],
)
def test_values_that_are_not_allowed(protocol, options, message):
    with pytest.raises(BadInput, match=message):
        protocol(**options)


@pytest.mark.parametrize(
    ("protocol", "name"),
    [(SysuProtocol, "direction"), (RegdbProtocol, "trials"), (SingleQuery, "trials")],
)
def test_a_protocol_has_no_options_of_others(protocol, name):
    with pytest.raises(BadInput, match=f"{protocol.__name__} has no option {name}"):
        protocol().with_values(**{name: 3})
