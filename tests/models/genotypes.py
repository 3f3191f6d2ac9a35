"""A genotype for tests."""

from cmnas_tf.genotype import Genotype

# Every operation at stride 1, in the normal cell, and at stride 2, in the reduction cell.
EVERYTHING = Genotype(
    normal={
        "node2": {"input0": "sep_conv_3x3", "input1": "skip_connect"},
        "node3": {"input0": "part_aware", "node2": "max_pool_3x3"},
        "node4": {"input1": "avg_pool_3x3", "node3": "dil_conv_3x3"},
        "node5": {"node3": "skip_connect", "node4": "sep_conv_3x3"},
    },
    reduction={
        "node2": {"input0": "part_aware", "input1": "skip_connect"},
        "node3": {"input0": "max_pool_3x3", "input1": "dil_conv_3x3"},
        "node4": {"input0": "avg_pool_3x3", "input1": "sep_conv_3x3"},
        "node5": {"input0": "skip_connect", "node4": "dil_conv_3x3"},
    },
)
