"""DukeMTMC-reID (Ristani et al., ECCVW 2016; Zheng et al., ICCV 2017): eight visible cameras.

702 identities to train on and 702 to test with; the gallery also holds 408 people who are nobody's
match, each with an identity of its own ("distractors").

Its authors withdrew the data set in 2019. It is supported for comparisons with published results,
by those who have it.
"""

from cmnas_tf.data.market1501 import register_folders

TREE = """\
bounding_box_train/PPPP_cC_fFFFFFFF.jpg    images to train on; identity P, camera C, frame F
query/PPPP_cC_fFFFFFFF.jpg                 images to search for
bounding_box_test/PPPP_cC_fFFFFFFF.jpg     gallery"""

# Zheng et al., ICCV 2017; the distractors are counted by their identities.
COUNTS = (16522, 702), (2228, 702), (17661, 1110)

# The folders are those of Market-1501, whose files are named PPPP_cCsS_*.
_MARK = "bounding_box_train/*_c?_f*"
register_folders("dukemtmc_reid", "DukeMTMC-reID", TREE, COUNTS, also_marks=(_MARK,))
