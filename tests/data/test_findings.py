"""What is found about many files, in few sentences."""

from cmnas_tf.data.findings import Finding, sentences

FOUND = [
    Finding("a.png", "cut off after 12 bytes"),
    "a sentence",
    Finding("b.png", "cut off after 7 bytes"),
    Finding("c.mp4", ".mp4 is not read"),
    Finding("d.mp3", ".mp3 is not read"),
    Finding("e.png", "cut off after 7 bytes"),
    "a sentence",
]


def test_the_first_of_a_kind_is_named_and_all_are_counted():
    """Of a kind is what differs in numbers alone; a digit in a word is none."""
    assert sentences(FOUND) == [
        "a.png and 2 more: cut off after 12 bytes",
        "a sentence",
        "c.mp4: .mp4 is not read",
        "d.mp3: .mp3 is not read",
        "a sentence",
    ]
    many = [Finding(f"{n}.bmp", "the file does not exist") for n in range(8240)]
    assert sentences(many) == ["0.bmp and 8,239 more: the file does not exist"]


def test_everything_can_be_asked_for():
    assert sentences(FOUND, every=True) == [
        one if isinstance(one, str) else f"{one.where}: {one.what}" for one in FOUND
    ]


def test_a_name_that_is_not_utf8_can_be_printed():
    assert sentences([Finding("caf\udce9.txt", "text")]) == ["caf\\xe9.txt: text"]
