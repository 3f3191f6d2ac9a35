# Every command that made the files beside this one, in order. bash, in an empty folder, with the old
# version (commit 262b0dc) on PYTHONPATH, CUDA_VISIBLE_DEVICES=-1, and its Python as `python`.
# All paths are relative, so that no file says on which machine it was made.
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
      --noprogress --strategy=one_device --keep_checkpoints=1"
PEOPLE="--train_identities=4 --test_identities=3 --images_per_camera=1 --image_height=32 --image_width=16 --seed=3 --noprogress"

# a) people
python -m cmnas_tf.make_synthetic --data_dir=people $PEOPLE

# b) a search, stopped after its first epoch; then the same command again
SEARCH="python -m cmnas_tf.search $TINY --data_dir=people --run_dir=runs/search --backbone=resnet18 --seed=5 --epochs=2
        --warmup_epochs=1 --split=identities --relaxation=gumbel --initial_temperature=4 --final_temperature=0.8
        --architecture_learning_rate=0.02 --architecture_weight_decay=0 --margin=0.3 --decay_epochs=1.5
        --learning_rate_warmup=1 --schedule_every=step --erase_probability=0.25 --cache=decoded"
stop_after_first_checkpoint INT runs/search $SEARCH
cp -r runs/search search_unfinished
$SEARCH
cp -r runs/search search_finished

# c) a training of what it found, stopped in its second epoch; then the same command again, and an evaluation
TRAIN="python -m cmnas_tf.train $TINY --data_dir=people --run_dir=runs/train --backbone=resnet18 --seed=6 --epochs=2
       --architecture=runs/search/architecture.json --optimizer=sgd --momentum=0.8 --schedule=cosine --average_decay=0.9
       --adopt_average_every=1 --learning_rate_warmup=0.5 --channel_exchange_probability=0.5 --greyscale_probability=0.25
       --label_smoothing=0.1"
stop_after_first_checkpoint TERM runs/train $TRAIN
cp -r runs/train train_unfinished
$TRAIN
python -m cmnas_tf.evaluate --data_dir=people --run_dir=runs/train --noprogress
cp -r runs/train train_finished

# d) a study
COMMON="$(echo $TINY) --backbone=resnet18"
study() {
    python -m cmnas_tf.study --data_dir=people --run_dir=study --seeds=1 --arms=shared,random,searched --against=shared,random \
        --random_architectures=1 --train_flags="$COMMON --epochs=1" --search_flags="$COMMON --epochs=2 --warmup_epochs=0" \
        --evaluate_flags=--noprogress
}
study

# e) an export of the finished training, and what it makes of four images by each signature
python -m export.export_saved_model --run_dir=runs/train --export_dir=export --noprogress
python - <<'END'
from pathlib import Path

import numpy as np
import tensorflow as tf

from cmnas_tf.data.decode import decode

files = {
    "visible": [f"cam{camera}/0005/0001.jpg" for camera in (1, 2, 4, 5)],
    "infrared": [f"cam{camera}/{pid:04d}/0001.jpg" for pid in (5, 6) for camera in (3, 6)],
}
mixed = ["visible", "infrared", "infrared", "visible"]
signatures = tf.saved_model.load("export/1").signatures
kept = {}
for name, signature in signatures.items():
    own = [m for m in files if m in name]
    modalities = own * 4 if own else mixed
    paths = [files[m][i] for i, m in enumerate(modalities)]
    contents = [Path("people", path).read_bytes() for path in paths]
    if name.endswith("_pixels"):
        given = {"pixels": tf.stack([decode(content, 32, 16) for content in contents])}
        kept[f"{name}/pixels"] = given["pixels"].numpy()
    else:
        given = {"image_bytes": tf.constant(contents)}
    if not own:
        given["modality"] = tf.constant(modalities)
    kept[f"{name}/files"] = np.array(paths)
    kept[f"{name}/modality"] = np.array(modalities)
    kept[f"{name}/embedding"] = signature(**given)["embedding"].numpy()
np.savez_compressed("export/embeddings.npz", **kept)
END

# g) a search for cells (before f, which trains what it found)
python -m cmnas_tf.make_synthetic --dataset=market1501 --data_dir=people_market --train_identities=3 --test_identities=2 \
    --images_per_camera=2 --distractors=1 --junk=1 --image_height=32 --image_width=16 --seed=3 --noprogress
python -m cmnas_tf.search $TINY --dataset=market1501 --data_dir=people_market --run_dir=runs/cells_search \
    --search_space=reid_cells --cells=1,1 --epochs=2 --warmup_epochs=1 --correlation_weight=0 --mmd_weight=0 \
    --architecture_correlation_weight=0 --architecture_mmd_weight=0 --latency_weight=0.5 --optimizer=sgd --schedule=cosine
cp -r runs/cells_search cells_search_finished

# f) two trials of RegDB, of a network of cells, whose checkpoints are small
python -m cmnas_tf.make_synthetic --dataset=regdb --data_dir=people_regdb $PEOPLE
trials() {
    python -m cmnas_tf.trials $TINY --dataset=regdb --data_dir=people_regdb --run_dir=trials --trials=1-2 --epochs=1 \
        --architecture=cells_search_finished/architecture.json --cells=1 --optimizer=sgd --average_decay=0.9
}
trials

# What is not kept
rm -r people_market runs
rm people_regdb/idx/*_{3,4,5,6,7,8,9,10}.txt
python - <<'END'  # of the finished search only what its checkpoint's tensors are: a resumed search_unfinished gives them
import hashlib
import json
from pathlib import Path

from safetensors import safe_open

(path,) = Path("search_finished/checkpoints").iterdir()
with safe_open(path, framework="numpy") as file:
    tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
described = {
    name: f"{x.dtype} {list(x.shape)} {hashlib.sha256(x.tobytes()).hexdigest()[:16]}" for name, x in tensors.items()
}
Path("search_finished/tensors.json").write_text(json.dumps({"file": path.name, "tensors": described}, indent=0) + "\n")
END
rm -r search_finished/checkpoints
rm -r {search_finished,train_unfinished,train_finished,cells_search_finished,trials/trial_0?}/tensorboard
mv search_unfinished/tensorboard/events.out.tfevents.* search_unfinished/tensorboard/events.out.tfevents.1700000000.host.1.0.v2
rm -rf study/*/seed0/*/{checkpoints,tensorboard}
rm study/*.png
xz -9e export/1/saved_model.pb
