"""Files as bad lines and bad disks make them.

``CMNAS_TF_MUTATIONS`` says how many of each kind, for longer runs than those of every day, and
``CMNAS_TF_MUTATION_SEED`` has others drawn.
"""

import os

import numpy as np

MUTATIONS = int(os.environ.get("CMNAS_TF_MUTATIONS", "100"))
SEED = int(os.environ.get("CMNAS_TF_MUTATION_SEED", "0"))


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """``data`` with one to five changes: a byte, or a piece cut out, doubled, zeroed or random."""
    data = bytearray(data)
    for _ in range(random.integers(1, 6)):
        at, size = random.integers(len(data)), random.integers(1, 40)
        piece = data[at : at + size]
        way = random.integers(5)
        if way == 0:
            data[at] = random.integers(256)
        elif way == 1 and len(piece) < len(data):
            del data[at : at + size]
        elif way == 2:
            data[at:at] = piece
        elif way == 3:
            data[at : at + size] = bytes(len(piece))
        else:
            data[at : at + size] = random.bytes(len(piece))
    return bytes(data)
