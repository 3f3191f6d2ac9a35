"""``python -m cmnas_tf.evaluate``: measure a trained network by its data set's protocol."""

from cmnas_tf import command_line, settings


def main(options: settings.Evaluate) -> None:
    """Embeds the test images, ranks, prints a table, writes ``results.json``; or compares two."""
    if options.results.compare:
        from cmnas_tf.evaluation.compare import compare

        print(compare(*options.results.compare))
    else:
        from cmnas_tf.evaluation.evaluate import evaluate

        print(evaluate(options))


if __name__ == "__main__":
    command_line.run(main, settings.Evaluate)
