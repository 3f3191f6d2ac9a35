"""``cmnas client embed|identify``: asks a model server about images."""

from dataclasses import dataclass

from cmnas_tf.options import Options, option
from cmnas_tf.runs.how_it_runs import Progress
from cmnas_tf.serving.client.answers import Answer
from cmnas_tf.serving.client.asking import Request, ask
from cmnas_tf.serving.client.server import Server


@dataclass(frozen=True, kw_only=True)
class Client(Options):
    """Asks a model server about images: for their embeddings, or whom they show."""

    format: str = option(
        "table", "How the answers are printed.", choices=("table", "json"), old_names=("output",)
    )
    request: Request = Request()
    server: Server = Server()
    answer: Answer = Answer()
    progress: Progress = Progress()


def main(command: Client) -> None:
    """Asks about each image and prints the answers."""
    found = ask(command.request, command.server, command.answer, command.progress.progress)
    print(found.to_json() if command.format == "json" else found)
