"""``cmnas results``: what runs reached, in one table; or two of them side by side."""

from dataclasses import dataclass

from cmnas_tf.errors import BadInput
from cmnas_tf.options import Options, option


@dataclass(frozen=True, kw_only=True)
class Results(Options):
    """Lists what evaluations measured: a line for each setting, in percent."""

    runs: tuple[str, ...] = option(
        (),
        "Folders of runs, or files of results.",
        required=True,
        path=True,
        positional=True,
    )
    compare: bool = option(False, "Show two side by side, and say what differs between them.")
    format: str = option("text", "Form of the table.", choices=("text", "markdown", "latex", "csv"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.compare and len(self.runs) != 2:
            raise BadInput(f"`compare` takes two runs or files. Received {len(self.runs)}.")


def main(command: Results) -> None:
    """Prints the table, or the comparison."""
    from cmnas_tf.evaluation.compare import compare, rows
    from cmnas_tf.tables import formatted

    print(
        compare(*command.runs) if command.compare else formatted(rows(command.runs), command.format)
    )
