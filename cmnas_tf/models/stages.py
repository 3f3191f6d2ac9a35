"""Backbones of stages, whose blocks may be computed again where memory is short."""

import contextlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from cmnas_tf.cell_plan import STEM
from cmnas_tf.layers.batch_norm import running_statistics_kept
from cmnas_tf.modality import Rows


class Stages(keras.layers.Layer):
    """Base of backbones: a stem whose norm is ``bn1``, and stages of blocks that list their norms.

    Attributes:
      stage_names: in their order; the blocks of each are an attribute of that name.
      smallest_height: of an image, in pixels.
      rematerialize: whether training keeps only what enters each block, and computes the rest
        again.
    """

    stage_names: tuple[str, ...]
    smallest_height = 1
    rematerialize = False

    def set_stages(self, stages: Mapping[str, list[keras.layers.Layer]]) -> None:
        """Takes the blocks of every stage, by the stage's name."""
        self.stage_names = tuple(stages)
        for name, blocks in stages.items():
            setattr(self, name, blocks)

    @property
    def stages(self) -> dict[str, list[keras.layers.Layer]]:
        """The blocks of each stage, by the stage's name."""
        return {name: getattr(self, name) for name in self.stage_names}

    def norms(self) -> dict[str, keras.layers.Layer]:
        """The norm at every site of a derived network, in the order of its plan's sites."""
        return {STEM: self.bn1} | {
            f"{stage}.{number}.{name}": norm
            for stage, blocks in self.stages.items()
            for number, block in enumerate(blocks)
            for name, norm in block.norms().items()
        }

    def through(
        self, block: keras.layers.Layer, inputs: Mapping[str, Any], rows: Rows, training: bool
    ) -> tf.Tensor:
        """What a block makes of its inputs."""
        if self.rematerialize and training:
            return rematerialized(block, inputs, rows=rows, training=True)
        return block(**inputs, rows=rows, training=training)


def rematerialized(layer: keras.layers.Layer, inputs: Mapping[str, Any], **how: Any) -> tf.Tensor:
    """``layer(**inputs, **how)``, of which only the inputs are kept for the backward pass.

    There the layer is called a second time (Chen et al., "Training Deep Nets with Sublinear Memory
    Cost", 2016); the first call alone moves running statistics. The inputs, tensors or nests of
    them, are what is differentiated for, besides the layer's variables.
    """
    calls = iter((contextlib.nullcontext, running_statistics_kept))

    def call(*tensors: tf.Tensor) -> tf.Tensor:
        with next(calls)():
            return layer(**tf.nest.pack_sequence_as(inputs, tensors), **how)

    return tf.recompute_grad(call)(*tf.nest.flatten(inputs))
