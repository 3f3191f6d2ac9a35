"""``python -m cmnas_tf.train``: train one architecture."""

from cmnas_tf import command_line, settings


def main(options: settings.Train) -> None:
    """Trains and says where the result is."""
    from cmnas_tf.training.train import train

    print(f"checkpoints in {train(options)}/checkpoints")


if __name__ == "__main__":
    command_line.run(main, settings.Train)
