"""What flags are called: once in a command, and the same thing in all of them."""

import collections

from cmnas_tf.commands.cmnas import COMMANDS
from tests.commands.every import class_of, every_command

# Flags that are about something else in some command, and why they have one name all the same.
SAME_NAME_ANOTHER_THING = {
    "epochs": "a search's and a training's, each with its own default",
    "backbone": "of a space it is its own, of a network that of its architecture's file",
    "run_dir": "of runs that are to come, for the doctor, who makes none",
    "precision": "where nothing is trained there are no losses to be exact",
    "modality": "of images: those that a search takes, and those that a client shows",
    "seed": "of waits alone, where nothing else is drawn",
    # What one command writes the others read, or each writes its own:
    "data_dir": "written by make_synthetic",
    "dataset": "imitated by make_synthetic",
    "image_height": "of what make_synthetic draws",
    "image_width": "of what make_synthetic draws",
    "gallery": "written by build_index",
    "export_dir": "of all versions, where the model server wants several",
    "version": "of a model: written by export, asked for by a client",
    "images": "that a server is asked about, and that are embedded in bulk",
    "output": "what is written, where that has no name of its own",
    "effort": "of an index: measured when it is built, asked for by a client",
    "port": "of gRPC, or of the page that browse shows",
}


@every_command
def test_a_name_is_used_once_in_a_command(name):
    """Old names included."""
    options = class_of(name).options()
    names = [word for known in options for word in (known.name, *known.old_names)]
    assert len(names) == len(set(names)) > 0
    reserved = {"help", "helpfull", "flagfile"}
    assert not {word.rpartition(".")[2] for word in names} & reserved


def test_a_name_has_one_meaning_over_all_commands():
    """Its type, what it may be and what is said of it; but for those above, which are no more than
    that: their type is the same."""
    kinds, meanings = collections.defaultdict(set), collections.defaultdict(set)
    for name in COMMANDS:
        for known in class_of(name).options():
            kinds[known.name].add((known.type, known.path))
            meanings[known.name].add((known.help, known.minimum, known.maximum, known.advanced))
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}
    several = {name for name, found in meanings.items() if len(found) > 1}
    assert several == set(SAME_NAME_ANOTHER_THING)


def test_an_old_name_is_no_other_options_name_in_the_same_command():
    """``--weights`` of import_weights was a file, and is what to take of a checkpoint elsewhere."""
    for name in COMMANDS:
        options = class_of(name).options()
        old = {word for known in options for word in known.old_names}
        assert not old & {known.name for known in options}
