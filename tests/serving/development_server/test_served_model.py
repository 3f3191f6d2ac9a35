"""Which version answers, and that none is taken from under a request."""

import shutil
import weakref

import numpy as np
import pytest
from tensorflow_serving.apis.model_pb2 import ModelSpec

from cmnas_tf.serving.call_error import CallError
from cmnas_tf.serving.development_server.served_model import ServedModel
from tests.serving import stand_in

PIXELS = stand_in.pictures(2)


@pytest.fixture
def base(tmp_path):
    return tmp_path / "base"


def install(models, base, version, number=None):
    """As an exporter does: beside, then renamed."""
    base.mkdir(exist_ok=True)
    shutil.copytree(models / str(version), base / ".aside.tmp")
    (base / ".aside.tmp").rename(base / str(number or version))


def embedded(version):
    return version.predict("embed_visible_pixels", {"pixels": PIXELS})["embedding"]


def asking_for(number=None):
    return ModelSpec(name="reid", version=number and {"value": number})


def state(versions, number):
    return versions.states[number][0]


def test_a_new_version_takes_over_and_the_old_one_ends_its_requests(models, base):
    versions = ServedModel(base, "reid", 10**6)
    install(models, base, 1)
    assert versions.refresh().number == 1
    assert versions.refresh() is None
    with versions.using(asking_for()) as old:
        graph = weakref.ref(old._session.graph)
        install(models, base, 2)
        assert versions.refresh().number == 2
        assert (state(versions, 1), state(versions, 2)) == ("UNLOADING", "AVAILABLE")
        with versions.using(asking_for()) as new, versions.using(asking_for(2)) as same:
            assert new is same
            first, second = embedded(old), embedded(new)
        np.testing.assert_allclose(first, stand_in.embeddings(PIXELS, "visible", 1), atol=1e-6)
        np.testing.assert_allclose(second, stand_in.embeddings(PIXELS, "visible", 2), atol=1e-6)
        assert np.abs(first - second).max() > 0.01
    assert state(versions, 1) == "END"
    assert graph() is None  # its memory is given back
    versions.close()
    assert state(versions, 2) == "END"
    with (
        pytest.raises(CallError, match=r"No version .* is loaded") as raised,
        versions.using(asking_for()),
    ):
        pass
    assert raised.value.code == "UNAVAILABLE"


def test_a_failing_request_lets_its_version_go(models, base):
    versions = ServedModel(base, "reid", 10**6)
    install(models, base, 1)
    versions.refresh()
    with pytest.raises(CallError), versions.using(asking_for()) as version:
        version.predict("embed_visible", {"image_bytes": np.array([b"no image"], object)})
    versions.close()
    assert state(versions, 1) == "END"


def test_half_a_model_is_not_looked_at(models, base):
    """Nor what has no number, as a folder has that is being written."""
    install(models, base, 1)
    (base / "3" / "variables").mkdir(parents=True)
    shutil.copytree(models / "2", base / ".2.abc.tmp")
    (base / "notes.txt").touch()
    versions = ServedModel(base, "reid", 10**6)
    assert versions.refresh().number == 1
    assert list(versions.states) == [1]
    shutil.rmtree(base / "3")
    (base / ".2.abc.tmp").rename(base / "3")
    assert versions.refresh().number == 3
    versions.close()


@pytest.mark.parametrize("damage", ["no protobuf", "no variables"])
def test_a_version_that_cannot_be_loaded_changes_nothing(models, base, damage):
    install(models, base, 1)
    versions = ServedModel(base, "reid", 10**6)
    versions.refresh()
    install(models, base, 2, number=10)
    if damage == "no protobuf":
        (base / "10" / "saved_model.pb").write_bytes(b"\xff" * 100)
    else:
        shutil.rmtree(base / "10" / "variables")
    for _ in range(2):  # it is not tried again
        assert versions.refresh() is None
        assert state(versions, 10) == "END"
        assert f"{base / '10'} cannot be loaded" in versions.states[10][1]
    with versions.using(asking_for()) as version:
        assert version.number == 1
    with pytest.raises(CallError, match="Version 10 is not served; version 1 is"):
        versions.using(asking_for(10)).__enter__()
    versions.close()


def test_back_to_the_version_before(models, base):
    install(models, base, 1)
    install(models, base, 2)
    versions = ServedModel(base, "reid", 10**6)
    assert versions.refresh().number == 2  # the older one is never loaded
    assert list(versions.states) == [2]
    shutil.rmtree(base / "2")
    assert versions.refresh().number == 1
    assert state(versions, 2) == "END"
    shutil.rmtree(base / "1")
    assert versions.refresh() is None  # something must answer
    assert state(versions, 1) == "AVAILABLE"
    versions.close()


def test_no_folder_at_all(base):
    assert ServedModel(base, "reid", 10**6).refresh() is None
