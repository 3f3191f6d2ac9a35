"""DukeMTMC-reID (Ristani et al., ECCVW 2016; Zheng et al., ICCV 2017): eight visible cameras.

702 identities to train on and 702 to test with; the gallery also holds 408 people who are nobody's
match, each with an identity of its own ("distractors").

Its authors withdrew the data set in 2019. It is supported for comparisons with published results,
by those who have it.
"""

from cmnas_tf.data import market1501
from cmnas_tf.data.index import Count
from cmnas_tf.data.layouts import Layout, register_dataset
from cmnas_tf.data.protocols import SingleQuery

TREE = """\
bounding_box_train/PPPP_cC_fFFFFFFF.jpg    images to train on; identity P, camera C, frame F
query/PPPP_cC_fFFFFFFF.jpg                 images to search for
bounding_box_test/PPPP_cC_fFFFFFFF.jpg     gallery"""

register_dataset(
    "dukemtmc_reid",
    Layout(
        title="DukeMTMC-reID",
        load=lambda root, trial: market1501.load_folders("dukemtmc_reid", root, TREE),
        tree=TREE,
        # The folders are those of Market-1501, whose files are named PPPP_cCsS_*.
        marks=(*market1501.ROLE_OF, "bounding_box_train/*_c?_f*"),
        protocol=SingleQuery,
        published={  # Zheng et al., ICCV 2017; the distractors are counted by their identities
            "train visible": Count(16522, 702),
            "query visible": Count(2228, 702),
            "gallery visible": Count(17661, 1110),
        },
    ),
)
