"""``python -m cmnas_tf.prepare``: is a data set whole? And, where wanted, the same as shards."""

from cmnas_tf import command_line, settings


def main(options: settings.Prepare) -> None:
    """Prints what the data set holds and what is wrong with it; refuses it if it must be mended."""
    from cmnas_tf.data import preparation

    examined = preparation.examine(options)
    print(examined)
    preparation.require_fit(examined)
    print("\nfit for use")
    if options.preparation.shards_dir:
        print(preparation.write(options, examined))


if __name__ == "__main__":
    command_line.run(main, settings.Prepare)
