"""``python -m export.client embed|identify``: asks a model server about images."""

from cmnas_tf import command_line, settings


def main(options: settings.Client) -> None:
    """Asks about each image and prints the answers."""
    from cmnas_tf.serving.client.asking import run

    print(run(options))


if __name__ == "__main__":
    command_line.run(main, settings.Client)
