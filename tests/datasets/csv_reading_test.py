"""CSV files as other people write them, beside the standard library."""

import csv
import gzip
import io
import math
import random

import numpy as np
import pytest

from cb import datasets
from cb.errors import InputError

EMPTY = ["", "NA", "nan", "null"]
LABELS = {
    "integers": ["0", "7", "-3", "12"],
    "large": [str(2**63), str(2**63 + 1), str(2**64 + 5)],
    "whole": ["1.0", "2", "2.0", "1e1"],
    "booleans": ["true", "False", "TRUE"],
    "words": ["cat", "dog", 'a "b"', "x,y", "é", "line\nbreak", "00", "1x"],
}


def load(path, label="k", **options):
    given = "".join(f", {k}={v!r}" for k, v in options.items())
    return datasets.load(f"csv({str(path)!r}, {label!r}{given})")


def rule(text):
    """Return a label as a class, by the rule of the documentation."""
    lower = text.lower()
    if lower in ("true", "false"):
        return lower == "true"
    try:
        return (
            int(text) if "." not in lower and "e" not in lower else float(text)
        )
    except ValueError:
        return text


def made(seed):
    """Return the text of a table at random, its cells and its options."""
    draw = random.Random(seed)
    sep = draw.choice([",", ";", "\t", "|"])
    decimal = draw.choice([".", ","]) if sep != "," else "."
    encoding = draw.choice(["utf-8", "utf-8-sig", "latin-1", "utf-16"])
    kind = draw.choice([*LABELS])
    names = ["k", *[f"x {i}" for i in range(draw.randint(1, 4))]]
    draw.shuffle(names)
    number = draw.choice([12, 40, 300])
    gaps = draw.choice([0, 0, 0.1])
    rows = []
    for place in range(number):
        row = {}
        for name in names:
            if name == "k":
                cell = draw.choice(LABELS[kind])
            elif place < number // 2:
                # Types change late.
                cell = str(draw.randint(-9, 9))
            else:
                cell = repr(round(draw.uniform(-9, 9), 3))
                cell = cell.replace(".", decimal)
            if draw.random() < gaps:
                cell = draw.choice(EMPTY)
            row[name] = cell
        rows.append(row)
    text = io.StringIO()
    writer = csv.DictWriter(
        text,
        names,
        delimiter=sep,
        quoting=draw.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
        lineterminator=draw.choice(["\n", "\r\n"]),
    )
    header = draw.random() < 0.8
    if header:
        writer.writeheader()
    writer.writerows(rows)
    options = {"sep": sep, "decimal": decimal}
    options["encoding"] = "utf-8" if encoding == "utf-8-sig" else encoding
    if not header:
        options["header"] = None
    return text.getvalue().encode(encoding), names, rows, options, header


@pytest.mark.parametrize("block", range(10))
def test_any_table_is_right_or_refused(tmp_path, block, capsys):
    for seed in range(30 * block, 30 * block + 30):
        content, names, rows, options, header = made(seed)
        path = tmp_path / f"{seed}.csv"
        path.write_bytes(content)
        label = "k" if header else str(names.index("k"))
        gap = [any(cell in EMPTY for cell in row.values()) for row in rows]
        if any(gap):
            with pytest.raises(InputError) as caught:
                load(path, label, order="time", **options)
            message = str(caught.value)
            assert f"row {gap.index(True) + 1}," in message, seed
            assert "missing='drop'" in message and str(path) in message
            options["missing"] = "drop"
            rows = [
                row for row, empty in zip(rows, gap, strict=True) if not empty
            ]
        options |= {"order": "time", "test_fraction": 0.5}
        source = load(path, label, **options)
        assert_right(source, names, rows, options["decimal"])


def assert_right(source, names, rows, decimal):
    wanted = [
        [float(row[n].replace(decimal, ".")) for n in names if n != "k"]
        for row in rows
    ]
    features = np.concatenate([source.train.features, source.test.features])
    np.testing.assert_array_equal(features, np.array(wanted, np.float32))
    labels = np.concatenate([source.train.labels, source.test.labels])
    kinds = [rule(row["k"]) for row in rows]
    if len({type(kind) is str for kind in kinds}) > 1:
        kinds = [row["k"] for row in rows]
    order = sorted({*kinds})
    assert [order[label] for label in labels] == kinds
    assert len(source.class_names) == len(order)


def write(folder, text, name="t.csv"):
    (folder / name).write_text(text)
    return folder / name


def rows(cells, number=20):
    return "".join(f"{cells(n)}\n" for n in range(number))


@pytest.mark.parametrize(
    "text, options, message",
    [
        ("x,k\n" + rows(lambda n: f"{n},1"), {}, "two classes.*only 1"),
        ("x,k\n" + rows(lambda n: f"{n},{n % 2}"), {"columns": ("k",)}, "with"),
        (rows(lambda n: f"{n},{n % 2}"), {"label": "0"}, "header=None"),
        (rows(lambda n: f"{n},{'ab'[n % 2]}"), {"label": "a"}, "header=None"),
        (",x,k\n" + rows(lambda n: f"{n},2,{n % 2}"), {}, "Column 1 .* a name"),
        ("x,k\n1,a\n2\n", {}, "2 cells expected, and 1 in row 2"),
        ('x,k\n1,"a\n2,b\n3,a\n', {}, "unexpected end of data"),
        ("x,c,k\n1,red,a\n2,blue,b\n", {}, "'red' in row 1, column 'c'"),
        ("x;k\n1,5;a\n2;b\n", {"sep": ";"}, "decimal=','"),
        ("x;k\n1;a\n2;b\n", {}, "sep=';'"),
        ("x,k\n" + rows(lambda n: f"{2**60 + n},{n % 2}"), {}, "float64"),
        ("x,k\n" + rows(lambda n: f"{n},{[' a', 'a'][n % 2]}"), {}, "spaces"),
        ("x,k\n1,a\n1e39,b\n", {}, "finite"),
        ("x,k\n1,a\ntrue,b\n", {}, "'true' in row 2"),
        ("x,k\n", {}, "only a header"),
        (rows(lambda n: f"{n},w{n}"), {"label": "c"}, "`header=None` reads"),
        ("", {}, "no CSV table"),
        ("x,k\n1,a\n2,b\n", {"sep": "::"}, "one character"),
        ("x,k\n1,a\n2,b\n", {"encoding": "utf8x"}, "Python knows"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, text, options, message):
    label = options.pop("label", "k")
    with pytest.raises(InputError, match=message) as caught:
        load(write(tmp_path, text), label, **options)
    assert "\n" not in str(caught.value)


def test_other_encodings_and_compression(tmp_path):
    text = "x,k\n" + rows(lambda n: f"{n},{['é', 'b'][n % 2]}")
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="encoding.*latin-1"):
        load(path)
    assert load(path, encoding="latin-1").class_names == ("b", "é")
    packed = tmp_path / "t.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert load(packed).class_names == ("b", "é")


def test_a_test_file_is_matched_by_name(tmp_path):
    text = "x,y,k\n" + rows(lambda n: f"{n},{100 + n},{n % 3}")
    train = write(tmp_path, text)
    test = str(write(tmp_path, "y,k,x\n101,2,1\n102,0.0,2\n", "test.csv"))
    source = load(train, test=test)
    np.testing.assert_array_equal(source.test.features, [[1, 101], [2, 102]])
    # It may lack a class, and has no other.
    assert list(source.test.labels) == [2, 0]
    write(tmp_path, "y,k,x\n101,2,1\n102,5,2\n", "test.csv")
    with pytest.raises(InputError, match="trained on.*'5' in row 2"):
        load(train, test=test)
    write(tmp_path, "foo,k,x\n101,2,1\n", "test.csv")
    with pytest.raises(InputError, match=r"differ in \['foo', 'y'\]"):
        load(train, test=test)
    assert load(train, test=test, columns=("x",)).test.features == [[1]]


def test_several_files_follow_one_another(tmp_path):
    for part in range(3):
        text = rows(lambda n, p=part: f"{10 * p + n},{n % 2}", 10)
        write(tmp_path, "x,k\n" + text, f"part_[{part}].csv")
    source = load(tmp_path / "part_*.csv", order="time")
    whole = np.concatenate([source.train.features, source.test.features])
    np.testing.assert_array_equal(whole[:, 0], range(30))
    assert len(load(tmp_path / "part_[1].csv").train) == 8
    write(tmp_path, "x,k\n1,0\n,1\n", "part_[2].csv")
    with pytest.raises(InputError, match=r"row 2 of '.*part_\[2\].csv'"):
        load(tmp_path / "part_*.csv")


def test_a_separator_has_two_names_and_one_value(tmp_path):
    path = write(tmp_path, "x;k\n" + rows(lambda n: f"{n};{'ab'[n % 2]}"))
    assert load(path, sep=";", separator=";").class_names == ("a", "b")
    with pytest.raises(InputError, match="`sep` and `separator` are one"):
        load(path, sep="|", separator=";")


def test_spaces_after_separators(tmp_path):
    path = write(tmp_path, "x, k\n" + rows(lambda n: f"{n}, {'ab'[n % 2]}"))
    assert load(path).class_names == ("a", "b")
    mixed = ['"a"', ' "a"', " b"]
    path = write(tmp_path, "x, k\n" + rows(lambda n: f"{n},{mixed[n % 3]}"))
    assert load(path, skipinitialspace=True).class_names == ("a", "b")


def test_words_for_nothing_can_be_classes(tmp_path):
    path = write(
        tmp_path, "x,k\n" + rows(lambda n: f"{n},{['NA', 'b'][n % 2]}")
    )
    with pytest.raises(InputError, match="row 1, column 'k', and 10"):
        load(path)
    source = load(path, keep_default_na=False)
    assert source.class_names == ("NA", "b")


def test_times_keep_their_differences(tmp_path, capsys):
    start = 1_700_000_000
    text = "t,x,k\n" + rows(lambda n: f"{start + n},{n % 7},{n % 2}", 60)
    source = load(write(tmp_path, text))
    assert "rounding to float32: t" in capsys.readouterr().out
    assert len({*source.train.features[:, 0]}) == len(source.train)
    # Nor are numbers merged that float32 has no smaller ones than.
    text = "t,k\n" + rows(lambda n: f"{n}e-50,{n % 2}", 60)
    source = load(write(tmp_path, text))
    assert len({*source.train.features[:, 0]}) == len(source.train)
    # Numbers that rounding leaves apart stay as they were.
    text = "t,k\n" + rows(lambda n: f"{273 + n / 7},{n % 2}", 60)
    source = load(write(tmp_path, text))
    assert source.train.features.dtype == np.float32
    assert math.isclose(source.train.features.max(), 273 + 59 / 7, rel_tol=1e-2)
