"""What ``--help`` prints: what is needed first, then group by group; everything with ``=all``."""

import inspect
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from typing import Any, get_args

from cmnas_tf.options import Option, Options

_WORDS = {bool: "", int: "INTEGER", float: "NUMBER", str: "TEXT"}
_WIDTH = 100


def print_help(command: type[Options], everything: bool) -> None:
    """Prints the help of a command and ends the process, also where ``head`` closes the pipe."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    print(help_text(command, everything))
    sys.stdout.flush()
    raise SystemExit(os.EX_OK)


def help_text(command: type[Options], everything: bool = True) -> str:
    """The help of a command.

    Args:
      command: the class.
      everything: whether options are listed that most people never touch.
    """
    needed = [known for known in command.options() if known.required]
    lines = [inspect.getdoc(command) or "", ""]
    lines.append("--flagfile=FILE reads flags from a file; a later flag wins over an earlier one.")
    if needed:
        lines += ["", "Required:", *_lines(needed)]
    hidden = 0
    for title, options in command.groups():
        optional = [known for known in options if not known.required]
        listed = [known for known in optional if everything or not known.advanced]
        hidden += len(optional) - len(listed)
        if listed:
            lines += ["", title, *_lines(listed)]
    if hidden:
        lines += ["", f"{hidden} more flags: --help=all"]
    return "\n".join(lines)


def _lines(options: list[Option]) -> Iterator[str]:
    for known in options:
        yield f"  --{known.name}{_form(known)}{_range(known)}"
        default = "" if known.required else f" Default: {shown(known.default) or 'none'}."
        text = f"{known.help.rstrip()}{default}"
        yield textwrap.fill(
            text, _WIDTH, initial_indent=6 * " ", subsequent_indent=6 * " ", break_on_hyphens=False
        )


def _form(known: Option) -> str:
    if known.choices:
        return "=" + "|".join(map(str, known.choices))
    if isinstance(known.default, tuple):
        word = _WORDS[get_args(known.type)[0]]
        return f"={word},{word},..."
    word = "PATH" if known.path else _WORDS[known.type]
    return f"={word}" if word else f", --no{known.name}"


def _range(known: Option) -> str:
    low, high = known.minimum, known.maximum
    if low is None:
        return ""
    return f", at least {low}" if high is None else f", {low} to {high}"


def shown(value: Any) -> str:
    """A value as it is written behind a flag."""
    if not isinstance(value, tuple):
        return str(value)
    return ",".join(str(v).removesuffix(".0") if isinstance(v, float) else str(v) for v in value)
