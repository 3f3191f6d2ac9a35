"""CUHK03 under its new protocol (Zhong et al., CVPR 2017): 767 + 700 identities, two cameras.

People were cut out of the same pictures twice, by a detector and by hand; results on the one are
not to be compared with results on the other.
"""

from cmnas_tf.data.market1501 import register_folders

TREE = """\
detected/bounding_box_train/PPPP_cC_*.png    images to train on; identity P, camera C
detected/query/PPPP_cC_*.png                 images to search for
detected/bounding_box_test/PPPP_cC_*.png     gallery
labeled/...                                  the same, cut out by hand"""

# Zhong et al., CVPR 2017.
COUNTS = {
    "detected": ((7365, 767), (1400, 700), (5332, 700)),
    "labeled": ((7368, 767), (1400, 700), (5328, 700)),
}

for boxes, counts in COUNTS.items():
    register_folders(f"cuhk03_np_{boxes}", f"CUHK03-NP ({boxes})", TREE, counts, f"{boxes}/")
