"""From the command line to settings and back: flags, help, and errors a person can act on."""

import inspect
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_args

from absl import flags

from cmnas_tf import settings as settings_module
from cmnas_tf.errors import BadInput, Stopped, TrainingDiverged, WorkerLost

Settings = TypeVar("Settings")

EXIT_BAD_INPUT = 2
EXIT_DIVERGED = 3
EXIT_WORKER_LOST = 4
EXIT_OF_SIGNAL = 128  # plus the signal's number, as shells count

_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def read(settings_class: type[Settings], argv: Sequence[str]) -> Settings:
    """Parses ``argv`` (program name first) into an instance of ``settings_class``.

    ``--flagfile=FILE`` inserts the flags of a file; a later flag wins over an earlier one. A flag
    that takes several words takes them as ``--name=A,B`` and as ``--name A B``; one that is marked
    ``first_word`` is also given without its name.

    Raises:
      BadInput: unknown flag, malformed or disallowed value, left-over argument, missing flagfile.
      SystemExit: after ``--help``.
    """
    values = _flags_of(settings_class)
    try:
        rest = values(list(argv))
    except flags.Error as error:
        raise BadInput(f"{error}. See --help for the flags of this command.") from error
    if values["help"].value:
        print(_help(settings_class, values))
        raise SystemExit(0)
    words = rest[1:]
    given: dict[str, dict[str, Any]] = {}
    for group, field in settings_module.fields(settings_class):
        value = values[field.name].value
        if field.metadata["first_word"] and words:
            value, *words = words
        if field.type == tuple[str, ...]:
            if value:
                value, words = [*value, *words], []
            value = tuple(value)
        elif isinstance(field.default, tuple):
            value = _numbers(field.name, value, get_args(field.type)[0])
        given.setdefault(group, {})[field.name] = value
    if words:
        raise BadInput(
            f"Arguments that are no flags: {' '.join(words)}. Give settings as --name=value."
        )
    groups = settings_module.groups(settings_class)
    return settings_class(**{name: group(**given[name]) for name, group in groups.items()})


def arguments(settings: Any) -> list[str]:
    """The flags that :func:`read` turns into ``settings``; those with default values are left out.

    Args:
      settings: a command's settings.
    """
    return [
        f"--{field.name}={_shown(value)}"
        for group, field in settings_module.fields(settings)
        if (value := getattr(getattr(settings, group), field.name)) != field.default
    ]


def run(main: Callable[[Any], None], settings_class: type[Settings]) -> None:
    """The body of ``if __name__ == "__main__"``: reads the flags, runs, explains what went wrong.

    Exit codes: 0 done; 2 bad input (also a full disk); 3 the loss stopped being finite; 4 another
    process of the run is gone; 130 stopped by Ctrl-C; 143 stopped by SIGTERM. After the last three
    the same command goes on.
    """
    # TensorFlow greets with lines of level "error" that mean nothing; set it to 0 to see them all.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    warnings.filterwarnings("ignore", category=FutureWarning, module="google")
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        main(read(settings_class, sys.argv))
    except BadInput as error:
        _fail(str(error), EXIT_BAD_INPUT)
    except TrainingDiverged as error:
        _fail(str(error), EXIT_DIVERGED)
    except WorkerLost as error:
        _fail(str(error), EXIT_WORKER_LOST)
    except Stopped as error:
        _fail(str(error), EXIT_OF_SIGNAL + error.signal)
    except OSError as error:
        named = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror or error}{named}. Nothing half-written was left.", EXIT_BAD_INPUT)
    except KeyboardInterrupt as interruption:
        number = signal.SIGTERM if isinstance(interruption, _Terminated) else signal.SIGINT
        _fail(
            f"Interrupted by {number.name}; nothing is half-written. The same command goes on.",
            EXIT_OF_SIGNAL + number,
        )
    finally:
        signal.signal(signal.SIGTERM, before)


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which then cleans up like Ctrl-C on its way out."""


def _terminate(*_: object) -> None:
    raise _Terminated


def _fail(message: str, code: int) -> None:
    print(f"\nerror: {message}", file=sys.stderr)
    sys.exit(code)


def _flags_of(settings_class: type) -> flags.FlagValues:
    values = flags.FlagValues()
    values.set_gnu_getopt(True)  # flags may follow other words
    flags.DEFINE_boolean("help", False, "Show this help.", short_name="h", flag_values=values)
    for _, field in settings_module.fields(settings_class):
        text, choices = field.metadata["help"], field.metadata["choices"]
        if isinstance(field.default, tuple):
            default = [str(number) for number in field.default]
            flags.DEFINE_list(field.name, default, text, flag_values=values)
        elif choices and isinstance(field.default, str):
            flags.DEFINE_enum(field.name, field.default, list(choices), text, flag_values=values)
        else:
            _DEFINE[type(field.default)](field.name, field.default, text, flag_values=values)
    return values


def _numbers(name: str, words: Sequence[str], kind: type[int] | type[float]) -> tuple[float, ...]:
    try:
        return tuple(kind(word) for word in words)
    except ValueError as error:
        raise BadInput(
            f"--{name}={','.join(words)} must be {'whole ' if kind is int else ''}numbers "
            "separated by commas."
        ) from error


def _help(settings_class: type, values: flags.FlagValues) -> str:
    lines = [inspect.getdoc(settings_class) or "", "", "--flagfile=FILE reads flags from a file."]
    group_of_line = ""
    groups = settings_module.groups(settings_class)
    for group, field in settings_module.fields(settings_class):
        if group != group_of_line:
            lines += ["", inspect.getdoc(groups[group]) or group]
            group_of_line = group
        choices = "|".join(str(choice) for choice in field.metadata["choices"])
        lines.append(f"  --{field.name}{'=' + choices if choices else ''}")
        lines.append(f"      {field.metadata['help']} Default: {_shown(field.default)}")
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if not isinstance(value, tuple):
        return str(value)
    return ",".join(str(v).removesuffix(".0") if isinstance(v, float) else str(v) for v in value)
