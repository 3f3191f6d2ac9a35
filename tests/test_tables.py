"""Tables as text."""

import pytest

from cmnas_tf.retrieval.measure import MEASURES, Measured, results_table
from cmnas_tf.tables import formatted, markdown_table, table


def test_the_first_column_is_to_the_left_the_others_to_the_right():
    assert table([["", "a", "long"], ["name", "1", "22"], ["n", "1000", "3"]]) == "\n".join(
        [
            "         a  long",
            "----------------",
            "name     1    22",
            "n     1000     3",
        ]
    )


def test_a_header_alone():
    assert table([["x", "yy"]]) == "x  yy\n-----"


def test_lines_must_be_equally_long():
    with pytest.raises(ValueError):
        table([["a", "b"], ["c"]])


def test_numbers_are_shown_as_they_were_written():
    """A column with a word among its numbers is one of words."""
    assert table([["+", "0", "w"], ["+1.50", "00.0", "1"], ["-2.00", "1", "1e5"]]) == "\n".join(
        [
            "    +     0  w",
            "----------------",
            "+1.50  00.0  1",
            "-2.00     1  1e5",
        ]
    )


def test_a_table_for_github():
    assert markdown_table(["", "mean"], [["`a`", "+1.50"], ["b", ""]]) == "\n".join(
        [
            "|     | mean   |",
            "|-----|--------|",
            "| `a` | +1.50  |",
            "| b   |        |",
        ]
    )


def test_results_are_in_percent():
    values = dict(zip(MEASURES, (0.5, 0.75, 0.99999, 1.0, 0.12345, 0.0), strict=True))
    measured = Measured("s", values, dict.fromkeys("ab"))
    assert results_table([("all", measured)]) == "\n".join(
        [
            "     Rank-1  Rank-5  Rank-10  Rank-20    mAP  mINP  trials",
            "----------------------------------------------------------",
            "all   50.00   75.00   100.00   100.00  12.35  0.00       2",
        ]
    )


def test_the_forms_of_a_table():
    """LaTeX by booktabs, with what it reads otherwise escaped; CSV with quotes where needed."""
    lines = [["a_b", "mAP"], ["x, y", "0.50"]]
    assert formatted(lines, "text") == table(lines)
    assert formatted(lines, "markdown") == markdown_table(lines[0], lines[1:])
    assert formatted(lines, "csv") == 'a_b,mAP\n"x, y",0.50'
    latex = formatted(lines, "latex").splitlines()
    assert latex[1:5] == ["\\toprule", " a\\_b   & mAP   \\\\", "\\midrule", " x, y  & 0.50  \\\\"]
