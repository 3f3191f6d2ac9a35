"""All commands by name, and the shortest command line of each."""

import pytest

from cmnas_tf.commands import command_line
from cmnas_tf.commands.cmnas import COMMANDS, GROUPS, load

every_command = pytest.mark.parametrize("name", COMMANDS)
# What needs nothing but the library: no model server, no other framework.
RESEARCH = [*GROUPS["Research"], *GROUPS["Data"], *GROUPS["First steps"], "import_weights"]


def class_of(name):
    """The class of a command's options."""
    _, options = load(name)
    return options


def needed(command):
    """The flags without which nothing can be done."""
    return [f"--{known.name}=there" for known in command.options() if known.required]


def read(command, *arguments):
    """What a command line gives, with the flags that are needed."""
    return command_line.read(command, ["command", *needed(command), *arguments])
