"""``cmnas evaluate``: measure a trained network by its data set's protocol."""

from dataclasses import dataclass, replace

from cmnas_tf.commands.options_of_runs import Data, TrainedSource
from cmnas_tf.devices.devices import Devices
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.matching import Arithmetic, Matching, ProtocolChoice
from cmnas_tf.options import Option, Options, option
from cmnas_tf.runs.how_it_runs import Progress


@dataclass(frozen=True, kw_only=True)
class EvaluatedData(Data):
    """Which images."""

    @classmethod
    def _own_options(cls) -> list[Option]:
        return [replace(known, required=False) for known in super()._own_options()]


@dataclass(frozen=True, kw_only=True)
class Evaluate(Options):
    """Measures a trained network by its data set's protocol, and keeps the results in its run.

    It needs `data_dir`, and `run_dir` or `checkpoint`; or two results to `compare`.
    """

    compare: tuple[str, ...] = option(
        (),
        "Two results.json files, or folders of runs: show them side by side and say what differs; "
        "nothing is measured.",
        affects_result=False,
        path=True,
        advanced=True,
    )
    protocols: str = option(
        "given",
        "Measure by the protocol as given below, by all that published tables have (standard: of "
        "SYSU-MM01 both modes with 1 and with 10 shots), or by both samplings of the gallery too.",
        choices=("given", "standard", "all"),
    )
    source: TrainedSource = TrainedSource()
    data: EvaluatedData = EvaluatedData()
    protocol: ProtocolChoice = ProtocolChoice()
    matching: Matching = Matching()
    arithmetic: Arithmetic = Arithmetic()
    devices: Devices = Devices()
    progress: Progress = Progress()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.compare) not in (0, 2):
            raise BadInput(
                "`compare` takes two files: --compare A.json B.json. "
                f"Received {len(self.compare)}: {' '.join(self.compare)}"
            )


def main(command: Evaluate) -> None:
    """Embeds the test images, ranks, prints and keeps what was measured; or compares two."""
    if command.compare:
        from cmnas_tf.evaluation.compare import compare

        print(compare(*command.compare))
        return
    if not command.data.data_dir:
        raise BadInput("`data_dir` is missing: the folder of the data set to measure on.")

    from cmnas_tf.devices.distribution import make_strategy
    from cmnas_tf.devices.workers import is_chief
    from cmnas_tf.evaluation.evaluate import evaluate_protocols
    from cmnas_tf.evaluation.results_file import keep

    strategy = make_strategy(command.devices)
    with strategy.scope():
        model = command.source.load(command.arithmetic.precision)
    found = evaluate_protocols(
        model,
        command.data.load("test"),
        command.protocol.make(command.data.layout).variants(command.protocols),
        command.matching,
        devices=strategy,
        progress=command.progress.progress,
    )
    for scores in found:
        print(scores)
        if is_chief(strategy):
            print(keep(scores.record, model.run))
