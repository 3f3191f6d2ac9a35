"""``cmnas evaluate``: measure a trained network by its data set's protocol."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cmnas_tf.commands.options_of_runs import Data, Progress, TrainedSource
from cmnas_tf.data import LAYOUTS
from cmnas_tf.data.protocols import Protocol
from cmnas_tf.devices.devices import Devices
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.matching import Matching
from cmnas_tf.options import Option, Options, option
from cmnas_tf.runs.run_folder import RunFolder


class Protocols(Options):
    """Who asks and who answers: the options of every data set's test protocol."""

    def __init__(self, given: Mapping[str, Any] | None = None):
        self._given = dict(given or {})

    def make(self, dataset: str) -> Protocol:
        """The protocol of a data set; options of other data sets are passed over."""
        return LAYOUTS[dataset].protocol.of_values(self._given)

    @classmethod
    def _own_options(cls) -> list[Option]:
        found: dict[str, Option] = {}
        for layout in LAYOUTS.values():
            for known in layout.protocol.options():
                if found.setdefault(known.name, known) != known:
                    raise BadInput(
                        f"The protocol of {layout.title} has an option {known.name!r} that another "
                        "data set's has otherwise; give it another name."
                    )
        return list(found.values())

    @classmethod
    def _parts(cls) -> dict[str, type[Options]]:
        return {}

    @classmethod
    def of_values(cls, values: Mapping[str, Any]) -> "Protocols":
        """See :class:`Options`."""
        names = {known.name for known in cls._own_options()}
        given = {name: value for name, value in values.items() if name in names}
        for known in cls._own_options():
            if known.name in given:
                known.check(given[known.name])
        return cls(given)

    def values(self) -> dict[str, Any]:
        """See :class:`Options`."""
        return {o.name: self._given.get(o.name, o.default) for o in self._own_options()}


@dataclass(frozen=True, kw_only=True)
class Arithmetic(Options):
    """What the network is computed in."""

    precision: str = option(
        "float32",
        "Numbers of the feature maps; weights, statistics and ranking stay float32.",
        choices=("float32", "bfloat16", "float16"),
    )


@dataclass(frozen=True, kw_only=True)
class EvaluatedData(Data):
    """Which images."""

    @classmethod
    def _own_options(cls) -> list[Option]:
        from dataclasses import replace

        return [replace(known, required=False) for known in super()._own_options()]


@dataclass(frozen=True, kw_only=True)
class Results(Options):
    """Results that were measured before."""

    compare: tuple[str, ...] = option(
        (),
        "Two results.json files, or folders of runs: show them side by side and say what differs; "
        "nothing is measured.",
        affects_result=False,
        path=True,
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.compare) not in (0, 2):
            raise BadInput(
                "`compare` takes two files: --compare A.json B.json. "
                f"Received {len(self.compare)}: {' '.join(self.compare)}"
            )


@dataclass(frozen=True, kw_only=True)
class Evaluate(Options):
    """Measures a trained network by its data set's protocol, and writes ``results.json``."""

    source: TrainedSource = TrainedSource()
    data: EvaluatedData = EvaluatedData()
    protocol: Protocols = Protocols()
    matching: Matching = Matching()
    arithmetic: Arithmetic = Arithmetic()
    devices: Devices = Devices()
    progress: Progress = Progress()
    results: Results = Results()


def main(command: Evaluate) -> None:
    """Embeds the test images, ranks, prints a table, writes ``results.json``; or compares two."""
    if command.results.compare:
        from cmnas_tf.evaluation.compare import compare

        print(compare(*command.results.compare))
        return
    if not command.data.data_dir:
        raise BadInput("`data_dir` is missing: the folder of the data set to measure on.")

    from cmnas_tf.devices.distribution import make_strategy
    from cmnas_tf.devices.workers import is_chief
    from cmnas_tf.evaluation.evaluate import evaluate_network

    strategy = make_strategy(command.devices)
    with strategy.scope():
        model = command.source.load(command.arithmetic.precision)
    scores = evaluate_network(
        model,
        command.data.load("test"),
        command.protocol.make(command.data.dataset),
        command.matching,
        devices=strategy,
        progress=command.progress.progress,
    )
    folder = command.source.run_dir or (model.run.path if model.run else None)
    run = RunFolder(folder or model.checkpoint.path.parent)
    if is_chief(strategy):
        scores.save(run.results)
    print(f"{scores}\nwritten to {run.results}")
