"""What ``--help`` prints: what is needed first, then group by group; everything with ``=all``."""

import contextlib
import inspect
import os
import signal
import sys
import textwrap
from collections.abc import Iterator
from typing import NoReturn, get_args

from cmnas_tf.commands.words import in_flags, shown
from cmnas_tf.options import Option, Options

EXIT_OF_SIGNAL = 128  # plus the signal's number, as shells count

_WORDS = {bool: "", int: "INTEGER", float: "NUMBER", str: "TEXT"}
_WIDTH = 100


def print_and_end(text: str) -> NoReturn:
    """Prints a text and ends the process, quietly where ``head`` has closed the pipe."""
    with quiet_where_nobody_reads():
        print(text, flush=True)
    raise SystemExit(os.EX_OK)


@contextlib.contextmanager
def quiet_where_nobody_reads() -> Iterator[None]:
    """Ends the process as SIGPIPE would, which other threads of it must not be ended by."""
    try:
        yield
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or its end fails, too
        sys.exit(EXIT_OF_SIGNAL + signal.SIGPIPE)


def help_text(command: type[Options], everything: bool = True) -> str:
    """The help of a command; of ``everything``, or without options that most never touch."""
    known = command.options()
    needed = [option for option in known if option.required]
    about = in_flags(_plain(inspect.getdoc(command) or ""), known)
    lines = [about, ""]
    lines.append("--flagfile=FILE reads flags from a file; a later flag wins over an earlier one.")
    if needed:
        lines += ["", "Required:", *_lines(needed, known)]
    hidden = 0
    for title, options in command.groups():
        optional = [option for option in options if not option.required]
        listed = [option for option in optional if everything or not option.advanced]
        hidden += len(optional) - len(listed)
        if listed:
            title = _plain(title)
            lines += ["", "Optional:" if about.startswith(title) else title, *_lines(listed, known)]
    if any("[pub]" in line or "[code]" in line for line in lines):
        lines += ["", "[pub], [code]: as the authors have it in their paper, in their code."]
    if hidden:
        lines += ["", f"{hidden} more flag{'s' * (hidden > 1)}: --help=all"]
    return "\n".join(lines)


def _plain(text: str) -> str:
    """Without the marks of code that docstrings have."""
    return text.replace("``", "")


def _lines(options: list[Option], known: list[Option]) -> Iterator[str]:
    """What there is to say of options; ``known`` are all of the command."""
    for option in options:
        yield f"  --{option.name}{_form(option)}{_range(option)}"
        default = "" if option.required else f" Default: {shown(option.default) or 'none'}."
        text = f"{in_flags(option.help.rstrip(), known)}{default}"
        yield textwrap.fill(
            text,
            _WIDTH,
            initial_indent=6 * " ",
            subsequent_indent=6 * " ",
            break_long_words=False,
            break_on_hyphens=False,
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
