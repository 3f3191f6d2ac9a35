"""Named recipes: what one word sets, what wins over it, and that a run shows nothing of it."""

import pytest

from cmnas_tf.commands import command_line
from cmnas_tf.commands.command_line import arguments
from cmnas_tf.commands.help import help_text
from cmnas_tf.commands.search import Search
from cmnas_tf.commands.study import StudyCommand
from cmnas_tf.commands.train import Train
from cmnas_tf.commands.trials import Trials
from cmnas_tf.errors import BadInput
from cmnas_tf.losses import ArchitectureWeights, Objective
from cmnas_tf.options import described
from cmnas_tf.searching import Darts, RandomSearch
from cmnas_tf.studies.plan import Searching, Training
from cmnas_tf.training.recipe import Recipe
from cmnas_tf.training.recipes import RECIPES, NamedRecipe
from tests.commands.every import needed, read

TAKE_ONE = {Search: "search", Train: "train", Trials: "train"}
every_recipe = pytest.mark.parametrize("name", RECIPES)
every_taker = pytest.mark.parametrize("command", TAKE_ONE, ids=lambda c: c.__name__)

# What the flagfiles of earlier versions said, flag by flag.
SMALL = (
    "--backbone=resnet18 --width=0.25 --image_height=64 --image_width=32 --identities_per_batch=8 "
    "--images_per_identity=4 --pad=4 --cache=decoded --backbone_learning_rate=0.003 "
    "--head_learning_rate=0.003 --schedule_every=step --learning_rate_warmup=1"
)
AUTO_REID = (
    "--image_height=384 --image_width=128 --images_per_identity=4 --cross_entropy_weight=0.5 "
    "--triplet_weight=0.5 --correlation_weight=0 --mmd_weight=0 --margin=0.3"
)
AUTO_REID_SEARCH = (
    f"{AUTO_REID} --search_space=reid_cells --cells=2,2,2,2 --identities_per_batch=8 "
    "--split=within_identity --architecture_cross_entropy_weight=0.5 "
    "--architecture_triplet_weight=0.5 --architecture_correlation_weight=0 "
    "--architecture_mmd_weight=0 --architecture_statistics=batch --optimizer=sgd --momentum=0.9 "
    "--weight_decay=0.0005 --backbone_learning_rate=0.1 --head_learning_rate=0.1 "
    "--schedule=cosine --final_learning_rate=0.01 --learning_rate_warmup=0 "
    "--architecture_learning_rate=0.02 --architecture_weight_decay=0.001 --epochs=200 "
    "--warmup_epochs=0"
)


def settings(command):
    """What is recorded of a search or a training."""
    if isinstance(command, Search):
        return described([command.space.make(), command.algorithm.make()])
    return described([command.network, command.recipe])


@pytest.mark.parametrize(
    ("name", "command", "flags"),
    [
        ("cm_nas", Search, ""),
        ("cm_nas", Train, ""),
        ("cm_nas_regdb", Search, ""),
        ("cm_nas_regdb", Train, "--average_decay=0.968"),
        ("auto_reid", Search, AUTO_REID_SEARCH),
        ("auto_reid", Train, f"{AUTO_REID} --identities_per_batch=16 --epochs=120"),
        ("small", Search, SMALL),
        ("small", Train, SMALL),
        ("small", Trials, SMALL),
    ],
)
def test_a_recipe_is_so_many_flags(name, command, flags):
    assert settings(read(command, f"--recipe={name}")) == settings(read(command, *flags.split()))


@every_recipe
@every_taker
def test_every_value_of_a_recipe_is_an_option_and_allowed(command, name):
    """And arrives; what is for the other kind does not."""
    values = RECIPES[name].values(TAKE_ONE[command])
    known = {found.name: found for found in command.options()}
    assert set(values) <= set(known)
    found = read(command, f"--recipe={name}").values()
    for option, value in values.items():
        known[option].check(value)
        assert found[option] == value


@every_recipe
@every_taker
def test_as_flags_it_comes_back(command, name):
    """Without the word, whatever is given besides, the recipe's own defaults included."""
    for words in ((), ("--pad=10", "--margin=0.4", "--image_width=128")):
        found = read(command, f"--recipe={name}", *words)
        written = arguments(found)
        assert not [word for word in written if word.startswith("--recipe")]
        assert command_line.read(command, ["command", *written]) == found


@pytest.mark.parametrize("order", [1, -1])
def test_what_is_given_wins(tmp_path, order):
    """Before it and behind it, in a flagfile too, and where it is the option's default."""
    (tmp_path / "a.flags").write_text("--recipe=small\n--image_height=48\n")
    words = ["--pad=10", f"--flagfile={tmp_path / 'a.flags'}"][::order]
    found = read(Train, *words)
    assert found.recipe.augmentation.pad == 10
    assert (found.recipe.size.image_height, found.recipe.size.image_width) == (48, 32)


def test_of_two_the_later_one_counts(tmp_path):
    (tmp_path / "a.flags").write_text("--recipe=small\n")
    found = read(Train, f"--flagfile={tmp_path / 'a.flags'}", "--recipe=cm_nas_regdb")
    assert found == read(Train, "--average_decay=0.968")


def test_another_choice_leaves_out_what_the_recipe_says_of_the_first_one():
    """A backbone for cells, an architecture's learning rate for a random search."""
    cells = read(Search, "--recipe=small", "--search_space=reid_cells").space.make()
    assert cells.width == 0.25
    norms = read(Search, "--recipe=auto_reid", "--search_space=norm").space.make()
    assert norms == read(Search).space.make()
    drawn = read(Search, "--recipe=auto_reid", "--algorithm=random").algorithm.make()
    assert (drawn.epochs, drawn.optimizer.optimizer) == (200, "sgd")
    refused = read(Search, "--recipe=small", "--search_space=reid_cells", "--backbone=resnet18")
    with pytest.raises(BadInput, match="backbone=resnet18 means nothing to"):
        refused.space.make()


def test_losses_between_modalities_follow_the_images():
    """Where neither a recipe nor a flag gives them a weight."""
    found = read(Train, "--recipe=small").recipe.for_modalities(["visible"])
    assert found.objective.weights["correlation"] == 0.0
    assert read(Train, "--recipe=small").recipe.objective.weights["correlation"] == 5.0


@pytest.mark.parametrize("name", ["smal", "auto-reid", ""])
def test_an_unknown_one(name):
    with pytest.raises(
        BadInput, match=rf"--recipe='{name}' is not allowed; .*'auto_reid', 'small'"
    ):
        read(Train, f"--recipe={name}")
    with pytest.raises(BadInput, match=r"no recipe 'auto_rei'. Did you mean auto_reid"):
        Recipe.named("auto_rei")


def test_in_a_study_each_part_has_its_own():
    study = read(StudyCommand, "--search.recipe=small", "--train.recipe=auto_reid", "--train.pad=3")
    assert study.search == Searching.of_values({"recipe": "small"})
    assert study.train == Training.of_values({"recipe": "auto_reid", "pad": 3})
    assert study.train.recipe == Recipe.named("auto_reid", pad=3)
    assert command_line.read(StudyCommand, ["study", *arguments(study)]) == study
    with pytest.raises(BadInput, match=r"--train\.recipe='smal' is not allowed"):
        read(StudyCommand, "--train.recipe=smal")


def test_help_says_what_each_is_for():
    text = " ".join(help_text(Train).split())
    for name, recipe in RECIPES.items():
        assert f"{name}: {recipe.title}" in text


# In Python


def test_components_are_made_by_name():
    auto_reid = Recipe.named("auto_reid", epochs=30)
    halves = {"cross_entropy": 0.5, "triplet": 0.5, "correlation": 0.0, "mmd": 0.0}
    assert auto_reid.objective == Objective(**halves, margin=0.3)
    assert (auto_reid.epochs, auto_reid.size.image_height) == (30, 384)
    assert Recipe.named("cm_nas") == Recipe()
    assert Recipe.named("cm_nas_regdb") == Recipe(average_decay=0.968)
    darts = Darts.named("auto_reid", order="second")
    assert (darts.epochs, darts.order, darts.optimizer.schedule) == (200, "second", "cosine")
    assert darts.architecture_weights == ArchitectureWeights(**halves)
    assert RandomSearch.named("small", candidates=4).candidates == 4
    with pytest.raises(BadInput, match="Recipe has no option warmup_epochs"):
        Recipe.named("small", warmup_epochs=3)


@every_recipe
def test_by_name_and_by_flag_it_is_the_same(name):
    assert Recipe.named(name) == read(Train, f"--recipe={name}").recipe
    assert Darts.named(name) == read(Search, f"--recipe={name}").algorithm.make()


def test_another_package_registers_its_own():
    """It is a choice, and in the help."""
    RECIPES.register("wide", NamedRecipe(title="twice as wide", both={"width": 2.0}))
    try:
        assert read(Train, "--recipe=wide").network.width == 2.0
        assert read(Search, "--recipe=wide").space.make().width == 2.0
        assert "wide: twice as wide" in " ".join(help_text(Train).split())
    finally:
        RECIPES.unregister("wide")


def test_the_word_is_not_recorded():
    """A run, and a study's cells, are described by the values that it stands for."""
    for component in (Train, Search, Searching, Training):
        assert "recipe" in {found.name for found in component.options()}
        assert "recipe" not in described([component()])
    assert needed(Train) == ["--run_dir=there", "--data_dir=there"]
