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
        path=True,
        positional=True,
    )
    side_by_side: bool = option(
        False, "Show two beside each other, and say what differs between them."
    )
    table_format: str = option(
        "text", "Form of the table.", choices=("text", "markdown", "latex", "csv")
    )


def main(command: Results) -> None:
    """Prints the table, or the comparison."""
    if len(command.runs) != 2 if command.side_by_side else not command.runs:
        many = "two" if command.side_by_side else "one or more"
        raise BadInput(f"Give {many} `runs` or files of results. Received {len(command.runs)}.")

    from cmnas_tf.evaluation.compare import compare, rows
    from cmnas_tf.tables import formatted

    if command.side_by_side:
        print(compare(*command.runs))
    else:
        print(formatted(rows(command.runs), command.table_format))
