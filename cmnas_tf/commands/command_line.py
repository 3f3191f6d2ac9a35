"""From the command line to a command's components and back; and errors a person can act on.

A command is a component (``options.Options``) whose parts are the components that it builds.
Nothing below this room knows a flag: what is wrong with an option is said as ``name=value`` or
`` `name` `` there, and becomes ``--name`` here.
"""

import contextlib
import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from absl import flags

from cmnas_tf.commands.help import (
    EXIT_OF_SIGNAL,
    help_text,
    print_and_end,
    quiet_where_nobody_reads,
)
from cmnas_tf.commands.words import flag_behind, in_flags, shown
from cmnas_tf.errors import BadInput, Stopped, TrainingDiverged, WorkerLost, printable
from cmnas_tf.interrupt import signals_handled_by
from cmnas_tf.options import Option, Options
from cmnas_tf.reading import read_bytes

Command = TypeVar("Command", bound=Options)

EXIT_BAD_INPUT = 2
_EXIT_OF: dict[type, int] = {BadInput: EXIT_BAD_INPUT, TrainingDiverged: 3, WorkerLost: 4}

CONFIGS = Path(__file__).parents[1] / "configs"

_FLAGFILE = re.compile(r"--?(?P<prefix>(\w+\.)?)flagfile(=(?P<name>.*))?")
_EVERYTHING = {"--help=all", "--helpfull"}
_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def read(command: type[Command], argv: Sequence[str]) -> Command:
    """Parses ``argv`` (program name first) into a command.

    ``--flagfile=FILE`` inserts the flags of a file, one of the package's configurations where there
    is no such file; a later flag wins over an earlier one. A flag that takes several words takes
    them as ``--name=A,B`` and as ``--name A B``; a positional one is also given without its name.

    Raises:
      BadInput: unknown flag, malformed or disallowed value, left-over argument, missing flagfile.
      SystemExit: after ``--help``.
    """
    options, words = command.options(), _rewritten(command, argv)
    if asked := {"-h", "--help", *_EVERYTHING} & set(words[1:]):
        print_and_end(help_text(command, everything=bool(asked & _EVERYTHING)))
    given = _values_given(options, words)
    try:
        return command.of_values(given)
    except BadInput as error:
        raise BadInput(in_flags(str(error), options)) from error


def _rewritten(command: type[Options], argv: Sequence[str]) -> list[str]:
    """``argv`` without flagfiles, and with flags of earlier versions in today's words."""
    rewrite = getattr(command, "rewritten", lambda word: None)
    found: list[str] = []
    for word in with_flagfiles(argv):
        words = rewrite(word)
        if words:
            print(
                f"note: {word.partition('=')[0]} is written {' '.join(words)} now", file=sys.stderr
            )
        found += [word] if words is None else _rewritten(command, words)
    return found


def _values_given(options: Sequence[Option], argv: list[str]) -> dict[str, Any]:
    """``{name: value}`` of the options that ``argv`` gives."""
    values = _flags_of(options)
    try:
        _, *words = values(argv)
    except flags.Error as error:
        said = str(error).removesuffix(" ?") + ("?" if str(error).endswith(" ?") else ".")
        raise BadInput(f"{said} See --help for the flags of this command.") from error
    given: dict[str, Any] = {}
    for known in options:
        flag = values[known.name]
        for old in known.old_names:
            if values[old].present:
                print(f"note: --{old} is called --{known.name} now", file=sys.stderr)
                flag = flag if flag.present else values[old]
        value = flag.value
        several = known.type == tuple[str, ...]
        if several and words and (flag.present or known.positional):
            value, words = [*(value if flag.present else ()), *words], []
        elif known.positional and words:
            value, *words = words
        elif not flag.present:
            continue
        given[known.name] = _as_type(known, value)
    for known in options:
        if known.required and not given.get(known.name):
            raise BadInput(f"--{known.name} is missing. {known.help}")
    if words:
        raise BadInput(
            f"Arguments that are no flags: {' '.join(words)}. Give options as --name=value."
        )
    return given


def arguments(command: Options) -> list[str]:
    """The flags that :func:`read` turns into ``command``; default values are left out."""
    values = command.values()
    return [
        f"--{known.name}={shown(values[known.name])}"
        for known in command.options()
        if values[known.name] != known.default
    ]


def run(main: Callable[[Any], None], command: type[Options], argv: Sequence[str] = ()) -> None:
    """Reads the flags, runs, explains what went wrong.

    Exit codes: 0 done; 2 bad input (also a full disk); 3 the loss stopped being finite; 4 another
    process of the run is gone; 129 stopped since its terminal closed (SIGHUP), 130 by Ctrl-C, 143
    by SIGTERM. After the last four rerun the same command to resume.

    Args:
      main: called with the command.
      argv: program name first; by default those of this process.
    """
    # TensorFlow greets with lines of level "error" that mean nothing; set it to 0 to see them all.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Or TensorFlow imports another Keras beside ours. A library must not set it for a program.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")

    def fail(message: str, code: int) -> None:
        with contextlib.suppress(OSError):  # there may be no terminal any more
            print(f"\nerror: {in_flags(printable(message), command.options())}", file=sys.stderr)
        sys.exit(code)

    with _logging_to_stderr(command), signals_handled_by(_interrupt):
        try:
            with quiet_where_nobody_reads():
                main(read(command, argv or sys.argv))
        except (BadInput, TrainingDiverged, WorkerLost) as error:
            fail(str(error), _EXIT_OF[type(error)])
        except Stopped as error:
            fail(str(error), EXIT_OF_SIGNAL + error.signal)
        except OSError as error:
            named = f" ({error.filename})" if error.filename else ""
            said = f"{error.strerror or error}{named}. Nothing half-written was left."
            fail(said, EXIT_BAD_INPUT)
        except KeyboardInterrupt as interruption:
            (number,) = interruption.args or (signal.SIGINT,)
            said = f"Interrupted by {number.name}; nothing is half-written."
            fail(f"{said} Rerun the same command to resume.", EXIT_OF_SIGNAL + number)


def _interrupt(number: int, _: object) -> None:
    """Lets a signal clean up on its way out."""
    raise KeyboardInterrupt(signal.Signals(number))


@contextlib.contextmanager
def _logging_to_stderr(command: type[Options]) -> Iterator[None]:
    """Shows what the library logs: notes and warnings, each a line, in the command's words."""

    class Formatter(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            word = {logging.INFO: "note"}.get(record.levelno, record.levelname.lower())
            return in_flags(printable(f"{word}: {super().format(record)}"), command.options())

    logger, handler = logging.getLogger("cmnas_tf"), logging.StreamHandler()
    handlers, propagate, level = logger.handlers, logger.propagate, logger.level
    handler.setFormatter(Formatter())
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def with_flagfiles(argv: Sequence[str]) -> list[str]:
    """``argv`` with the lines of each ``--flagfile=FILE`` in its place.

    ``--search.flagfile=FILE`` puts ``search.`` before the flags of its lines.

    Raises:
      BadInput: no such file, neither here nor among the package's configurations, or one that
        contains itself.
    """
    words = iter(argv)
    return [found for word in words for found in _lines_of(word, (), words)]


def _lines_of(word: str, inside: tuple[Path, ...], following: Iterator[str]) -> Iterator[str]:
    """A word, or the lines of the flagfile that it names; or that the following word names."""
    flagfile = _FLAGFILE.fullmatch(word)
    if flagfile is None:
        yield word
        return
    prefix, name = flagfile["prefix"], flagfile["name"]
    name = next(following, "") if name is None else name
    file = _flagfile(expanded(name))
    if file in inside:
        raise BadInput(f"--flagfile={name} contains itself; take it out of {inside[-1]}.")
    for line in read_bytes(file).decode(errors="replace").splitlines():
        own = line.strip()
        if not own or own.startswith(("#", "//")):
            continue
        if not own.startswith("-"):
            raise BadInput(f"{file} holds {own!r}; give a flag a line, as --name=value.")
        for found in _lines_of(own, (*inside, file), iter(())):
            yield flag_behind(prefix.rstrip("."), found) if prefix else found


def _flagfile(name: str) -> Path:
    for file in (Path(name), CONFIGS / Path(name).name):
        for path in (file, file.with_name(f"{file.name}.flags")) if name else ():
            if path.is_file():
                return path
    known = sorted(path.stem for path in CONFIGS.glob("*.flags"))
    raise BadInput(f"No flagfile {name!r}; give a file, or one of {', '.join(known)}.")


def expanded(path: str) -> str:
    """A path with ``~`` and ``$VARIABLE`` replaced.

    ``configs/...`` is one of the package's configurations where there is none of its own.
    """
    path = os.path.expandvars(os.path.expanduser(path))  # noqa: PTH111
    packaged = CONFIGS.parent / path
    own = path.startswith("configs/") and not Path(path).exists() and packaged.exists()
    return str(packaged) if own else path


def _flags_of(options: Sequence[Option]) -> flags.FlagValues:
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may follow other words
    for known in options:
        for name in (known.name, *known.old_names):
            if isinstance(known.default, tuple):
                default = [str(number) for number in known.default]
                flags.DEFINE_list(name, default, known.help, flag_values=values)
            else:
                _DEFINE[known.type](name, known.default, known.help, flag_values=values)
    return values


def _as_type(known: Option, value: Any) -> Any:
    if known.path and isinstance(value, str):
        return ",".join(map(expanded, value.split(","))) if known.several else expanded(value)
    if not isinstance(value, list):
        return value
    kind = get_args(known.type)[0]
    if kind is str:
        return tuple(map(expanded, value)) if known.path else tuple(value)
    try:
        return tuple(kind(word) for word in value)
    except ValueError as error:
        raise BadInput(
            f"--{known.name}={','.join(value)} must be {'whole ' if kind is int else ''}numbers "
            "separated by commas."
        ) from error
