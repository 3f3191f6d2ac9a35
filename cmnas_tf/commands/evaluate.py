"""``cmnas evaluate``: measure a trained network by its data set's protocol."""

from dataclasses import dataclass

from cmnas_tf.commands.options_of_runs import Data, TrainedSource
from cmnas_tf.devices.devices import Devices
from cmnas_tf.errors import BadInput
from cmnas_tf.evaluation.matching import Arithmetic, Matching, ProtocolChoice
from cmnas_tf.options import Options, option
from cmnas_tf.runs.how_it_runs import Progress


@dataclass(frozen=True, kw_only=True)
class Evaluate(Options):
    """Measures a trained network by its data set's protocol, and keeps the results in its run.

    It needs `data_dir`, and `run_dir` or `checkpoint`.
    """

    protocols: str = option(
        "given",
        "Measure by the protocol as given below, by all that published tables have (standard: of "
        "SYSU-MM01 both modes with 1 and with 10 shots), or by both samplings of the gallery too.",
        choices=("given", "standard", "all"),
    )
    source: TrainedSource = TrainedSource()
    data: Data = Data()
    protocol: ProtocolChoice = ProtocolChoice()
    matching: Matching = Matching()
    arithmetic: Arithmetic = Arithmetic()
    devices: Devices = Devices()
    progress: Progress = Progress()

    @staticmethod
    def rewritten(word: str) -> None:
        """Refuses a flag of earlier versions, which a command has taken the place of."""
        if word.partition("=")[0].lstrip("-") == "compare":
            raise BadInput("Two results side by side: cmnas results --side_by_side A B.")


def main(command: Evaluate) -> None:
    """Embeds the test images, ranks, prints and keeps what was measured."""
    from cmnas_tf.devices.distribution import make_strategy
    from cmnas_tf.devices.workers import is_chief
    from cmnas_tf.evaluation.evaluate import evaluate_protocols
    from cmnas_tf.evaluation.results_file import keep

    strategy = make_strategy(command.devices)
    with strategy.scope():
        model = command.source.load(command.arithmetic.precision)
    found = evaluate_protocols(
        model,
        command.data.load("test", model.specification.grey16),
        command.protocol.make(command.data.layout).variants(command.protocols),
        command.matching,
        devices=strategy,
        progress=command.progress.progress,
    )
    for scores in found:
        print(scores)
        if is_chief(strategy):
            print(keep(scores.record, model.run, scores.look))
