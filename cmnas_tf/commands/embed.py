"""``cmnas embed``: images in bulk, millions if need be, on this machine or a cluster."""

from dataclasses import dataclass

from cmnas_tf.commands.executor import Where
from cmnas_tf.commands.options_of_runs import TrainedSource
from cmnas_tf.devices.threads import Threads, use_threads
from cmnas_tf.options import Options, advanced, option, path_option
from cmnas_tf.runs.how_it_runs import Progress


@dataclass(frozen=True, kw_only=True)
class Embed(Options):
    """Embeds images in bulk, for galleries; rerun the same command to resume.

    Images that cannot be read are left out, counted and named.
    """

    images: str = path_option(
        "Images to embed: a folder {visible,infrared}/cam<camera>/<id>/*.{jpg,png,bmp}; a table "
        ".csv of path,id,camera,modality[,time]; the URL of either, such as s3://bucket/people; or "
        "shards, of cmnas prepare.",
        required=True,
    )
    output: str = path_option(
        "Folder of the embeddings, which ends with .parquet; build_index and build_faiss_index "
        "take it.",
        required=True,
    )
    dtype: str = option("float32", "Numbers of the embeddings.", choices=("float32", "float16"))
    part_images: int = advanced(8192, "Images of a part, which is written at once.", minimum=1)
    gpus_per_task: float = advanced(
        0.0,
        "GPUs of each process on a Ray cluster; below 1, several share one.",
        minimum=0,
        affects_result=False,
    )
    where: Where = Where()
    source: TrainedSource = TrainedSource()
    threads: Threads = Threads()
    progress: Progress = Progress()


def main(command: Embed) -> None:
    """Embeds what is still to do, and says what there is."""
    threads = command.threads.threads
    nodes = command.where.nodes(threads or 1, command.gpus_per_task)

    from cmnas_tf.serving.embed_in_bulk import embed_in_bulk

    use_threads(threads, 0)
    found = embed_in_bulk(
        command.source.load(),
        command.images,
        command.output,
        command.dtype,
        command.part_images,
        nodes,
        command.progress.progress,
    )
    print(found)
