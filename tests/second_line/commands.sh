# Every command that made the files beside this one, in order. bash, in an empty folder, with the
# package on PYTHONPATH, CUDA_VISIBLE_DEVICES=-1, the Python of the second line as `python`, and
# tests/earlier_version/people copied to `people`. All paths are relative, so that no file says on
# which machine it was made.
set -eu
stop_after_first_checkpoint() { # SIGNAL RUN_DIR COMMAND...: the run stops itself, and exits with 128 + the signal
    local signal=$1 folder=$2 code=0; shift 2
    "$@" & local pid=$!
    while ! ls $folder/checkpoints/step-*.safetensors >/dev/null 2>&1; do sleep 0.005; done
    kill -$signal $pid
    wait $pid || code=$?
    echo "exit code $code"
}
TINY="--image_height=32 --image_width=16 --width=0.0625 --identities_per_batch=2 --images_per_identity=2 --pad=2
      --noprogress --strategy=one_device --keep_checkpoints=1 --cells=1"

# a) a search for cells, stopped after its first epoch; then the same command again
SEARCH="python -m cmnas_tf.search $TINY --data_dir=people --run_dir=search --search_space=reid_cells --modality=visible --seed=5 --epochs=2
        --warmup_epochs=1 --optimizer=sgd --schedule=cosine --latency_weight=0.5"
stop_after_first_checkpoint INT search $SEARCH
cp -r search search_unfinished
$SEARCH
mkdir search_finished
cp search/architecture.json search_finished

# b) a training of what it found, stopped in its second epoch; then the same command again, and an evaluation
TRAIN="python -m cmnas_tf.train $TINY --data_dir=people --run_dir=train --architecture=search/architecture.json --seed=6
       --epochs=2 --average_decay=0.9 --learning_rate_warmup=0.5 --label_smoothing=0.1"
stop_after_first_checkpoint TERM train $TRAIN
cp -r train train_unfinished
$TRAIN
python -m cmnas_tf.evaluate --data_dir=people --run_dir=train --noprogress
cp -r train train_finished

# c) an export of the finished training, and what it makes of four images by two of its signatures
python -m cmnas_tf export --run_dir=train --export_dir=export --noprogress
python - <<'END'
from pathlib import Path

import numpy as np
import tensorflow as tf

files = {
    "visible": [f"cam{camera}/0005/0001.jpg" for camera in (1, 2, 4, 5)],
    "infrared": [f"cam{camera}/{pid:04d}/0001.jpg" for pid in (5, 6) for camera in (3, 6)],
}
signatures = tf.saved_model.load("export/1").signatures
kept = {}
for modality, paths in files.items():
    contents = [Path("people", path).read_bytes() for path in paths]
    embedding = signatures[f"embed_{modality}"](image_bytes=tf.constant(contents))["embedding"]
    kept |= {f"{modality}/files": np.array(paths), f"{modality}/embedding": embedding.numpy()}
np.savez_compressed("export/embeddings.npz", **kept)
END

# What is not kept
rm -r people search train search_unfinished/architectures {search_unfinished,train_unfinished,train_finished}/tensorboard
xz -9e export/1/saved_model.pb
