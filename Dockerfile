# The checkout in /cmnas_tf, after `make install`. The Python chooses the line, as it does there:
#
#   docker build --tag cmnas .                                   TensorFlow 2.15, on a CPU
#   docker build --tag cmnas --build-arg GPU=yes .               the same on NVIDIA GPUs
#   docker build --tag cmnas --build-arg PYTHON=3.12 .           TensorFlow 2.20, on a CPU
#   docker build --tag cmnas --build-arg PYTHON=3.12 --build-arg GPU=yes .
#   docker build --tag cmnas --build-arg GPU=yes --build-arg RAY=yes .     with Ray and its dashboard, for clusters
#
#   docker run --rm cmnas doctor                                 with --gpus=all on GPUs
#   docker run --rm --gpus=all -v "$PWD/people:/data:ro" -v "$PWD/runs:/cmnas_tf/runs" cmnas \
#     search --flagfile=sysu_search --data_dir=/data --run_dir=runs/search
#
# The driver is the host's. Not yet built by us.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim
ARG GPU=
ARG RAY=
WORKDIR /cmnas_tf
# First what changes seldom, so that a changed source file does not install everything again.
COPY bin bin
COPY requirements*.txt ./
RUN bin/prepare_venv.sh
ENV PATH=/cmnas_tf/.venv/bin:$PATH
RUN test -z "$GPU" || pip install --no-cache-dir "tensorflow[and-cuda]==$(pip show tensorflow | sed -n 's/^Version: //p')"
# With the versions that are there: the newest packages of the dashboard want another protobuf than TensorFlow 2.15.
RUN test -z "$RAY" || { pip freeze > /tmp/pins && pip install --no-cache-dir --constraint /tmp/pins \
    "ray[data,default]==$(sed -n 's/^ray==//p' requirements-optional.txt)"; }
COPY . .
ENTRYPOINT ["python", "-m", "cmnas_tf"]
CMD ["doctor"]
