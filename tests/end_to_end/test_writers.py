"""Commands that write, killed at any moment or on a full disk: what is there is whole, and the same
command ends as if nothing had happened.

``CMNAS_TF_FAULTS`` says how often each of both befalls each command, for longer runs than those of
every day.
"""

import functools
import os
import random
import re
import signal
import time
from typing import NamedTuple

import pytest

from cmnas_tf.commands.cmnas import COMMANDS
from tests.end_to_end import faults
from tests.end_to_end.writers import (
    WRITE_NOTHING,
    WRITERS,
    Files,
    Workplace,
    everything,
    in_use,
    unreadable,
)
from tests.forked import Said
from tests.mutations import SEED
from tests.serving import stand_in
from tests.serving.conftest import local_server

pytestmark = pytest.mark.slow

FAULTS = int(os.environ.get("CMNAS_TF_FAULTS", "1"))


class Alone(NamedTuple):
    """A command that is left alone: the files before and after it, and what it takes."""

    before: Files
    after: Files
    seconds: float
    changes: int

    @property
    def largest(self):
        """Bytes of the largest file that it writes."""
        return max(len(x or b"") for name, x in self.after.items() if self.before.get(name) != x)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    models = tmp_path_factory.mktemp("models")
    stand_in.write(models, 1, stand_in.pictures(stand_in.PEOPLE))
    with local_server(models) as (_, endpoint):
        yield Workplace(tmp_path_factory.mktemp("workplace"), endpoint.grpc)


@pytest.fixture(scope="module")
def left_alone(workplace, tmp_path_factory):
    """What becomes of a command, by its name."""

    @functools.cache
    def left_alone(name):
        writer, counted = WRITERS[name], tmp_path_factory.mktemp("changes") / "counted"
        if writer.needs:
            pytest.importorskip(writer.needs)
        out = workplace.place(writer)
        before, begun = everything(out, writer), time.monotonic()
        counting = functools.partial(faults.counting_changes, out, counted)
        code, said = workplace.run(writer, out, counting)
        assert code == 0, said
        seconds, changes = time.monotonic() - begun, counted.stat().st_size
        return Alone(before, everything(out, writer), seconds, changes)

    return left_alone


def killed(workplace, writer, out, alone, chance):
    """Before a change in the folder, in the write of a file, or when a drawn time has passed."""
    ways = ("change", "byte", "time") if writer.alone else ("change", "time")
    way, part = chance.choice(ways), chance.random()
    print(f"killed by {way} at {part:.0%}")  # shown by pytest if this fails
    if way == "time":
        with Said() as said:
            process = workplace.start(writer, out, said)
            if process.join(part * alone.seconds) is None:
                process.kill_all()
                process.join()
        return
    fault = {
        "change": functools.partial(faults.killed_at_change, out, 1 + int(part * alone.changes)),
        "byte": functools.partial(faults.killed_at_byte, int(part * alone.largest)),
    }[way]
    code, said = workplace.run(writer, out, fault)
    assert code in (-signal.SIGKILL, -signal.SIGXFSZ), said


def test_every_command_is_here_or_writes_nothing():
    writing = {writer.words[0] for writer in WRITERS.values()}
    assert writing == set(COMMANDS) - WRITE_NOTHING


# The demonstration takes minutes, three times, and runs commands that are here themselves.
@pytest.mark.parametrize("name", [name for name in WRITERS if name != "demo" or FAULTS > 1])
def test_killed_and_run_again(name, workplace, left_alone):
    writer, alone, chance = WRITERS[name], left_alone(name), random.Random(f"{SEED} {name}")
    print(f"CMNAS_TF_MUTATION_SEED={SEED}")
    for _ in range(FAULTS):
        out = workplace.place(writer)
        killed(workplace, writer, out, alone, chance)
        left = in_use(everything(out, writer))
        assert not unreadable(out)
        if writer.whole:
            assert left in (in_use(alone.before), in_use(alone.after))
        code, said = workplace.run(writer, out)
        assert code == 0 or (code == 2 and left == in_use(alone.after)), said
        assert everything(out, writer) == alone.after


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("study", "demo")])
def test_a_full_disk(name, workplace, left_alone):
    """That is, a file can have so many bytes and no more.

    A study keeps what its cells say in files, which would be cut too. The demonstration takes
    minutes, and runs commands as trials do.
    """
    writer, alone, chance = WRITERS[name], left_alone(name), random.Random(f"{SEED} {name}")
    print(f"CMNAS_TF_MUTATION_SEED={SEED}")
    for _ in range(FAULTS):
        out, size = workplace.place(writer), chance.randrange(alone.largest)
        code, said = workplace.run(writer, out, functools.partial(faults.full_at_byte, size))
        assert code == 2, (size, said)
        assert re.findall("^error: .*File too large.*", said, re.M), (size, said)
        assert "Traceback" not in said, said
        left = everything(out, writer)
        assert not [name for name in left if name.endswith(".tmp")]
        assert not unreadable(out)
        kept = {name: content for name, content in in_use(left).items() if name in alone.before}
        assert kept == in_use(alone.before)
        if writer.whole:
            assert in_use(left) == kept
