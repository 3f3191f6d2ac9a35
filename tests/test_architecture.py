"""Architectures: their sites, their two file forms, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmnas_tf.architecture import BACKBONES, Architecture, named_backbone, sites_of, stages_of
from cmnas_tf.cell_plan import CellPlan
from cmnas_tf.errors import BadInput
from tests.models.genotypes import EVERYTHING

CELLS = CellPlan(EVERYTHING, (1, 1))
LINE = " ".join("01"[i % 3 == 0] for i in range(53))


def test_sites_of_resnet50_in_the_order_of_the_authors_file():
    """Stem 0, layer1 1-10, layer2 11-23, layer3 24-42, layer4 43-52; in a stage's first block the
    downsample comes first.
    """
    sites = sites_of("resnet50")
    assert len(sites) == len(set(sites)) == 53
    assert sites[:8] == (
        "stem",
        "layer1.0.downsample",
        "layer1.0.bn1",
        "layer1.0.bn2",
        "layer1.0.bn3",
        "layer1.1.bn1",
        "layer1.1.bn2",
        "layer1.1.bn3",
    )
    downsamples = [place for place, site in enumerate(sites) if site.endswith("downsample")]
    assert downsamples == [1, 11, 24, 43]
    firsts = [
        next(i for i, site in enumerate(sites) if site.startswith(stage))
        for stage in stages_of("resnet50")
    ]
    assert firsts == [0, 1, 11, 24, 43]
    assert (sites[23], sites[42], sites[52]) == ("layer2.3.bn3", "layer3.5.bn3", "layer4.2.bn3")


@pytest.mark.parametrize(
    "backbone, sites",
    [("resnet18", 20), ("resnet34", 36), ("resnet50", 53), ("resnet101", 104), ("resnet152", 155)],
)
def test_number_of_sites(backbone, sites):
    """1 stem, 2 or 3 a block, and 3 or 4 downsamples: ResNet-18 has none in its first stage."""
    assert len(sites_of(backbone)) == sites
    assert ("layer1.0.downsample" in sites_of(backbone)) == (sites > 36)


@given(st.data())
def test_cfg_round_trip(data):
    backbone = data.draw(st.sampled_from(list(BACKBONES)))
    sites = sites_of(backbone)
    bits = data.draw(st.lists(st.sampled_from("01"), min_size=len(sites), max_size=len(sites)))
    line = " ".join(bits)
    architecture = Architecture.from_cfg(line, backbone)
    assert architecture.to_cfg() == line
    assert architecture == Architecture.from_json(json.loads(json.dumps(architecture.to_json())))
    for site, bit in zip(sites, bits, strict=True):
        assert architecture.choices[site] == {"0": "separate", "1": "shared"}[bit]


@pytest.mark.parametrize("template", ["{}", "[{}]", "\n{}\n\n", "  {}"])
@pytest.mark.parametrize("separator", [" ", ", ", ",", "\n", "\t"])
def test_the_line_may_be_written_as_lists_are(template, separator):
    line = template.format(separator.join(LINE.split()))
    assert Architecture.from_cfg(line).to_cfg() == LINE


def test_choices_are_kept_in_order_and_cannot_be_changed():
    shuffled = dict(reversed(Architecture.from_cfg(LINE).choices.items()))
    architecture = Architecture(shuffled)
    assert tuple(architecture.choices) == sites_of("resnet50")
    assert architecture == Architecture.from_cfg(LINE) != Architecture.shared()
    shuffled["stem"] = "separate"
    assert architecture.choices["stem"] == "shared"
    with pytest.raises(TypeError):
        architecture.choices["stem"] = "separate"


def test_presets():
    assert set(Architecture.shared("resnet18").choices.values()) == {"shared"}
    assert set(Architecture.separate("resnet18").choices.values()) == {"separate"}
    until = Architecture.separate_until("layer1", "resnet18")
    assert until.to_cfg() == "0 " + "0 0 0 0 " + " ".join("1" * 15)
    assert until.strip() == ("stem 0 | layer1 0000 | layer2 11111 | layer3 11111 | layer4 11111")
    assert Architecture.separate_until("stem").to_cfg().count("0") == 1
    assert Architecture.separate_until("layer4") == Architecture.separate()
    with pytest.raises(BadInput, match=r"'layer5'.*stem, layer1, layer2, layer3, layer4"):
        Architecture.separate_until("layer5")
    within = Architecture.separate_within("layer1", "resnet18")
    assert within.strip() == ("stem 1 | layer1 0000 | layer2 11111 | layer3 11111 | layer4 11111")
    assert Architecture.separate_within("stem") == Architecture.separate_until("stem")
    with pytest.raises(BadInput, match=r"'layer5'.*stem, layer1, layer2, layer3, layer4"):
        Architecture.separate_within("layer5")


def test_both_files_are_read(tmp_path):
    architecture = Architecture(Architecture.from_cfg(LINE).choices, provenance={"seed": 3})
    architecture.save(tmp_path / "architecture.json")
    (tmp_path / "config.cfg").write_text(LINE + "\n")
    loaded = Architecture.load(tmp_path / "architecture.json", "resnet50")
    assert loaded == architecture and loaded.provenance == {"seed": 3}
    assert Architecture.load(tmp_path / "config.cfg") == architecture
    line = Architecture.shared("resnet18").to_cfg()
    (tmp_path / "resnet18.cfg").write_text(line)
    assert Architecture.load(str(tmp_path / "resnet18.cfg"), "resnet18").to_cfg() == line


def test_saving_is_all_or_nothing(tmp_path):
    path = tmp_path / "architecture.json"
    Architecture.shared().save(path)
    with pytest.raises(ValueError):
        Architecture(Architecture.separate().choices, provenance={"loss": float("nan")}).save(path)
    assert Architecture.load(path) == Architecture.shared()
    assert [found.name for found in tmp_path.iterdir()] == ["architecture.json"]


@pytest.mark.parametrize(
    "line, message",
    [
        (LINE[:-2], r"52 entries; resnet50 has 53 sites"),
        (LINE + " 1", r"54 entries; resnet50 has 53 sites"),
        ("", r"0 entries"),
        (LINE[:14] + "2" + LINE[15:], r"Entry 7 .*layer1\.1\.bn3.* '2'; it must be 0 .* or 1"),
        (LINE[:2] + "1.0" + LINE[3:], r"Entry 1 .*layer1\.0\.downsample.* '1\.0'"),
    ],
    ids=["52 entries", "54 entries", "empty", "a two", "a float"],
)
def test_bad_lines(line, message, tmp_path):
    """Refused as a line, and as a file with the file's name."""
    with pytest.raises(BadInput, match=message):
        Architecture.from_cfg(line)
    path = tmp_path / "config.cfg"
    path.write_text(line)
    with pytest.raises(BadInput, match=rf"config\.cfg.*{message}"):
        Architecture.load(path)


def edited(**changes) -> str:
    content = Architecture.from_cfg(LINE).to_json()
    choices = {**content["choices"], **changes.pop("choices", {})}
    present = {site: choice for site, choice in choices.items() if choice is not None}
    return json.dumps({**content, "choices": present, **changes})


@pytest.mark.parametrize(
    "text, message",
    [
        (edited(choices={"stem": None}), r"53 sites: 1 missing \(stem\)"),
        (edited(choices={"layer5.0.bn1": "shared"}), r"1 unknown \(layer5\.0\.bn1\)"),
        (edited(choices={"stem": "both"}), r"stem is 'both'; .*'separate', 'shared'"),
        (edited(choices={"stem": 1}), r"stem is 1; .*'separate', 'shared'"),
        (edited(backbone="vgg16"), r"no backbone 'vgg16'\..*resnet18, resnet34, resnet50"),
        (edited(backbone="resnet18"), r"do not fit resnet18.* 33 unknown"),
        (json.dumps({"backbone": "resnet50"}), r"'choices'"),
        (json.dumps({"choices": {}}), r"'backbone'"),
        (edited()[:100], r"line 1 column|delimiter|Unterminated"),
        ("\x89PNG\r\n\x1a\n", r"entries; resnet50 has 53"),
    ],
    ids=[
        "missing site",
        "unknown site",
        "other word",
        "number",
        "unknown backbone",
        "other backbone's sites",
        "no choices",
        "no backbone",
        "truncated",
        "a picture",
    ],
)
def test_bad_files_are_named(text, message, tmp_path):
    path = tmp_path / "architecture.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=rf"architecture\.json is not a usable.*({message})"):
        Architecture.load(path)


def test_files_of_another_backbone(tmp_path):
    path = tmp_path / "architecture.json"
    Architecture.shared("resnet18").save(path)
    with pytest.raises(BadInput, match=r"json is .* resnet18, not of resnet50\. Leave `backbone`"):
        Architecture.load(path, "resnet50")
    line = tmp_path / "config.cfg"
    line.write_text(LINE)
    with pytest.raises(BadInput, match=r"config\.cfg.*53 entries; resnet34 has 36"):
        Architecture.load(line, "resnet34")


def test_what_is_no_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(BadInput, match=rf"No architecture file {path}.*shared, separate"):
            Architecture.load(path)


def test_choices_for_a_network_of_cells(tmp_path):
    """A plan takes the place of a ResNet's name, in every form."""
    architecture = Architecture.separate_until("layer1", CELLS)
    assert tuple(architecture.choices) == CELLS.sites()
    assert stages_of(CELLS) == ("stem", "layer1", "layer2")
    assert architecture.choices["layer1.0.node2.input0.first.bn"] == "separate"
    assert architecture.choices["layer2.0.input0.bn"] == "shared"
    assert Architecture.from_cfg(architecture.to_cfg(), CELLS) == architecture
    assert architecture.strip().startswith("stem 0 | layer1 000")
    architecture.save(tmp_path / "architecture.json")
    again = Architecture.load(tmp_path / "architecture.json", CELLS)
    assert again == architecture and again.backbone == CELLS
    with pytest.raises(BadInput, match="of a network of 1-1 cells, not of resnet50"):
        Architecture.load(tmp_path / "architecture.json", "resnet50")


def test_a_genotype_is_the_architecture_that_shares_every_norm(tmp_path):
    EVERYTHING.save(tmp_path / "genotype.json")
    architecture = Architecture.load(tmp_path / "genotype.json")
    assert architecture == Architecture.shared(CellPlan(EVERYTHING))
    assert architecture.backbone.cells == (2, 2, 2, 2)


def test_a_backbone_is_named_by_a_resnet_or_by_a_file(tmp_path):
    EVERYTHING.save(tmp_path / "genotype.json")
    Architecture.separate(CELLS).save(tmp_path / "cells.json")
    Architecture.separate("resnet34").save(tmp_path / "resnet.json")
    assert named_backbone("resnet18") == "resnet18"
    assert named_backbone(str(tmp_path / "genotype.json")) == CellPlan(EVERYTHING)
    assert named_backbone(str(tmp_path / "cells.json")) == CELLS
    assert named_backbone(str(tmp_path / "resnet.json")) == "resnet34"
    with pytest.raises(
        BadInput, match=r"no backbone 'resnet5'\. Did .* resnet152\. Or give the file"
    ):
        named_backbone("resnet5")


def test_cells_can_be_stacked_in_other_numbers(tmp_path):
    """Where norms are not separate, which belong to the sites of one network."""
    EVERYTHING.save(tmp_path / "genotype.json")
    other = CellPlan(EVERYTHING, (1, 2))
    name = str(tmp_path / "genotype.json")
    assert named_backbone(name, (1, 2)) == other
    assert Architecture.load(name, cells=(1, 2)) == Architecture.shared(other)
    assert Architecture.load(name, other, (1, 2)) == Architecture.shared(other)
    Architecture.separate(CELLS).save(tmp_path / "cells.json")
    assert Architecture.load(tmp_path / "cells.json", cells=CELLS.cells).backbone == CELLS
    with pytest.raises(BadInput, match=r"which norms of a network of 1-1 cells .*`cells` cannot"):
        Architecture.load(tmp_path / "cells.json", cells=(1, 2))
    with pytest.raises(BadInput, match=r"^cells=1,2 is for a network of cells, and resnet18 has"):
        named_backbone("resnet18", (1, 2))
    with pytest.raises(BadInput, match="1 or more cells"):
        named_backbone(name, (1, 0))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"cells": None}, "number of cells of each stage"),
        ({"genotype": {}}, "a genotype is a JSON object"),
        ({"cells": [1]}, "do not fit a network of 1 cells"),
    ],
)
def test_bad_plans_in_a_file_are_named(change, message, tmp_path):
    content = Architecture.separate(CELLS).to_json()
    content["backbone"] |= change
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(BadInput, match=rf"bad.json is not a usable architecture file: .*{message}"):
        Architecture.load(tmp_path / "bad.json")
