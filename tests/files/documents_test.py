"""YAML and JSON are read as they were meant, or refused by line."""

import json
import math

import numpy as np
import pytest

from cb.errors import InputError
from cb.files import documents


def parse(text):
    return documents.parse(text, "The file")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1e-3", 0.001),
        ("1E5", 1e5),
        ("+1e+3", 1000.0),
        ("-2.5e-7", -2.5e-7),
        (".5e3", 500.0),
        ("5.", 5.0),
        ("5e-324", 5e-324),
        ("-.inf", -math.inf),
        ("1_000", 1000),
        ("010", 10),
        ("-0x1F", -31),
        ("0b101", 5),
        # Text, whatever YAML 1.1 makes of it.
        ("12:30", "12:30"),
        ("2026-01-31", "2026-01-31"),
        ("1.2.3", "1.2.3"),
        ("1e", "1e"),
        ("1_", "1_"),
        ('"1e-3"', "1e-3"),
        ("true", True),
        ("null", None),
    ],
)
def test_a_plain_value_is_what_it_looks_like(text, expected):
    for document in (f"a: {text}", f"a: [{text}]", f"{{a: {text}}}"):
        found = parse(document)["a"]
        (found,) = found if isinstance(found, list) else [found]
        assert (type(found), found) == (type(expected), expected)


def test_every_float_is_a_number():
    generator = np.random.default_rng(0)
    bits = generator.integers(0, 2**63, 500, np.int64).view(np.float64)
    for value in filter(math.isfinite, bits.tolist()):
        for text in (repr(value), f"{value:.17e}", f"{value:.17E}"):
            assert parse(f"a: {text}") == {"a": value}


# Backslashes, pairs of surrogates, a file name that is not UTF-8.
@pytest.mark.parametrize("text", ["d\U0001f600", "a\\b", "\udce9", "\x00\t\n"])
def test_what_json_writes_is_read(text):
    for ascii_only in (True, False):
        for indent in (None, 2, "\t"):
            written = json.dumps(
                {text: [text]}, ensure_ascii=ascii_only, indent=indent
            )
            assert parse(written) == {text: [text]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "YAML: line 3: 'a' is given twice"),
        ("a:\n  b: 1\n  b: 2", "line 3: 'b' is given twice"),
        ("{1: 2,\n1.0: 3}", "line 2: 1.0 is given twice"),
        ('{"a": 1,\n\t"b": 1,\n\t"b": 2}', "line 3: 'b' is given twice"),
        ("a: 1\nb: [1", "YAML: line 2"),
        ("a: 1\nb: c: d", "YAML: line 2: mapping values"),
        ("a: 1\n\tb: 2", "YAML: line 2"),
        ('{"a": 1,\n "b" 2}', "JSON: line 2: Expecting ':'"),
        ("a: 1\n---\nb: 2", "line 2: expected a single document"),
        ("a: 1\nb: \x00", r"line 2: character U\+0000"),
        ("a: !!python/name:os.system", "line 1: could not determine"),
        ("a: 1" + "0" * 5000, "is not valid"),
        ("[" * 10000, "nested too deeply"),
        ('{"a":' * 10000, "nested too deeply"),
    ],
)
def test_errors_name_the_line(text, message):
    with pytest.raises(InputError, match=f"The file .*{message}") as caught:
        parse(text)
    assert "\n" not in str(caught.value)


def test_a_merged_key_may_be_replaced():
    text = "a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}"
    assert parse(text)["d"] == {"b": 1, "c": 3}


def test_the_line_of_a_key():
    text = '{"config":\n {"a": 1,\n\t"b": 2}}'
    assert documents.line_of(text, "config", "b") == 3
    assert documents.line_of("a: 1\n\nb: 2", "b") == 3
    assert documents.line_of("a: 1", "b") is None


def test_a_byte_order_mark_and_windows_line_ends_are_no_part(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes("\ufeffa: é\r\nb: 1\r\n".encode())
    assert documents.read_text(file, "It") == "a: é\nb: 1\n"


def test_files_that_cannot_be_read_are_refused(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_bytes(b"a: 1\nb: \xe9")
    with pytest.raises(InputError, match=r"a.yaml'.* 0xe9 in line 2"):
        documents.read_text(file, "It")
    for path in (tmp_path / "none", tmp_path, "a\0b"):
        with pytest.raises(InputError, match="It cannot be read: '"):
            documents.read_text(path, "It")
