"""Operators on strings."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers import check_op, expect_error

import sardonyx

WORDS = np.array(["Monday", "tuesday", "ÄRGER", "Straße", "Ωμέγα", "ЖУК", "", "monday"])


@pytest.mark.parametrize("action", ["NONE", "LOWER", "UPPER"])
def test_string_normalizer(action: str) -> None:
    change = {"NONE": str, "LOWER": str.lower, "UPPER": str.upper}[action]
    words = np.array([w for w in WORDS if w != "Straße" or action != "UPPER"])  # one to one only
    for stop, exact in ((["monday"], 1), (["MONDAY", "жук"], 0), (None, 1)):
        stop = stop or []
        folded = {w.lower() for w in stop}
        kept = [w for w in words if (w not in stop if exact else w.lower() not in folded)]
        options = {
            "case_change_action": action,
            "stopwords": stop or None,
            "is_case_sensitive": exact,
        }
        expected = np.array([change(w) for w in kept])
        check_op("StringNormalizer", words, ref=expected, **options)
        check_op("StringNormalizer", words[None], ref=expected[None], **options)
    check_op("StringNormalizer", np.array(["a"]), ref=np.array([""]), stopwords=["A"])
    expect_error("StringNormalizer", WORDS.reshape(2, 4), match="expected shape")


@pytest.mark.parametrize(
    "text", ["plain", "ä", "\U0001f600", "a\0b", "\0a", "a string too long to lie inline"]
)
def test_arrays_of_fixed_width_texts(text: str) -> None:
    words = np.array([[text, "", "tail"], ["x" * 31, text, "y"]])
    for given in (words, words[:, ::2], words.T, words.astype(">U31"), words[:0]):
        check_op("StringConcat", given, given, ref=np.char.add(given.astype("=U31"), given))


def test_string_concat() -> None:
    column = np.array([["x"], ["a string too long to lie inline"]])
    check_op("StringConcat", WORDS, WORDS, ref=np.char.add(WORDS, WORDS))
    check_op("StringConcat", column, WORDS, ref=np.char.add(column, WORDS))
    check_op("StringConcat", np.array("x"), column[:0], ref=column[:0])


@pytest.mark.parametrize("most", [None, 0, 1, 2])
@pytest.mark.parametrize("delimiter", [None, "", ",", "ab", " "])
def test_string_split(most: int | None, delimiter: str | None) -> None:
    texts = ["a,b,,c", "", " x  y\u3000z ", "abab", ",", "  ", "no", "ab ab,ab"]
    x = np.array(texts, object).reshape(2, 4)
    parts = [t.split(delimiter or None, -1 if most is None else most) for t in texts]
    width = max(map(len, parts))
    padded = np.array([p + [""] * (width - len(p)) for p in parts], object)
    counts = np.array([len(p) for p in parts]).reshape(2, 4)
    expected = padded.reshape(2, 4, width), counts
    options = {"delimiter": delimiter, "maxsplit": most}
    check_op("StringSplit", x, outputs=2, ref=expected, **options)


PATTERNS = [
    "",
    "a",
    ".*",
    "a|b|",
    "(a|b)*c?",
    "a+b{2}c{1,}d{0,2}",
    "[a-c]+[^a-c]",
    "[]a-]+",
    r"[\d_]+\s*\w",
    r"\bab\b.*",
    r"(?i)aB(?-i)c",
    "(?i:[a-c]+)C",
    "^ab$",
    "(^|x)a(b|$)+",
    "(a*)*b",
    "(|a)+",
    r"x{,3}",
    r"\x61\t?\.",
    "a.c",
    "(?s)a.c",
    "(?:ab){2,3}",
    "(?P<name>ab)+",
    "ä+.",
    "(a?){20}a{20}",
]
SUBJECTS = [
    "", "a", "b", "ab", "abc", "ABC", "aBc", "abbcd", "aab", "c!", "]-a", "1_ x", "ab cd", "xab",
    "a.", "a\nc", "a\u00e9c", "abab", "ababab", "\u00e4\u00e4x", "x{,3}", "a" * 20, "a" * 40 + "b",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_regex_full_match(pattern: str) -> None:
    python = pattern.replace("x{,3}", r"x\{,3\}").replace("(?-i)c", "(?-i:c)")
    if "(?-i:c)" in python:
        python = "(?i:aB)c"
    expected = np.array([re.fullmatch(python, s, re.ASCII) is not None for s in SUBJECTS])
    x = np.array(SUBJECTS, object)
    check_op("RegexFullMatch", x, ref=expected, pattern=pattern)


def test_regex_quotes_and_classes() -> None:
    for pattern, text, expected in [
        (r"\Qa.*\E+", "a.***", True),
        (r"\Qa.*", "axx", False),
        ("[[:alpha:]]+", "abZ", True),
        ("[[:^digit:]x]+", "a-", True),
        (r"[^\D]+", "123", True),
        (r"\A\x{e4}\z", "\u00e4", True),
        ("(?m)a$\n^b", "a\nb", True),
    ]:
        x = np.array([text], object)
        check_op("RegexFullMatch", x, ref=np.array([expected]), pattern=pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "(", ")", "a)", "[a", "*", "a**", "a{2}{3}+", "a{1001}", "a{3,2}", "[b-a]", r"\1", r"\k",
        "(?=a)", "(?<=a)", r"\p{L}", "\\", "(" * 300, "((((a{99}){99}){99}){99})",
        "(((((){999}){999}){999}){999})", "[[:what:]]", r"\x{110000}",
    ],
)  # fmt: skip
def test_broken_patterns_are_refused(pattern: str) -> None:
    expect_error("RegexFullMatch", WORDS, error=sardonyx.Error, match="pattern", pattern=pattern)


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("skip", [0, 1, 5])
@pytest.mark.parametrize(("shortest", "longest"), [(1, 1), (1, 3), (2, 2), (2, 3)])
def test_tfidf_as_onnxruntime(mode: str, skip: int, shortest: int, longest: int) -> None:
    pool = [2, 3, 5, 4, 2, 3, 5, 6, 6, 4, 2, 3, 5, 6, 6, 6]
    options = {
        "mode": mode,
        "max_skip_count": skip,
        "min_gram_length": shortest,
        "max_gram_length": longest,
        "ngram_counts": [0, 4, 10],
        "ngram_indexes": [1, 0, 2, 3, 6, 5, 4, 7, 8],
        "weights": [0.5, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0],
    }
    numbers = np.random.default_rng(skip).integers(1, 8, (5, 12))
    for x in (numbers, numbers[0], numbers.astype(np.int32)):
        check_op("TfIdfVectorizer", x, ref="ort", pool_int64s=pool, **options)
    names = np.array(["", "b", "c", "d", "e", "f", "a longer name of a word", "h"], object)
    words = [str(names[i]) for i in pool]
    check_op("TfIdfVectorizer", names[numbers], ref="ort", pool_strings=words, **options)


def test_tfidf_refuses_a_broken_pool() -> None:
    good = {
        "mode": "TF",
        "max_skip_count": 0,
        "min_gram_length": 1,
        "max_gram_length": 2,
        "ngram_counts": [0, 2],
        "ngram_indexes": [0, 1, 2],
        "pool_int64s": [1, 2, 1, 2],
    }
    for change, match in [
        ({"ngram_counts": [0, 5]}, "pool of 4"),
        ({"ngram_counts": [-1, 2]}, "pool of 4"),
        ({"ngram_counts": [0, 1]}, "2-grams"),
        ({"ngram_indexes": [0, -1, 2]}, "entry -1"),
        ({"ngram_indexes": [0]}, "more n-grams"),
        ({"min_gram_length": 3}, "no range"),
        ({"mode": "NONE"}, "NONE"),
        ({"mode": "IDF", "weights": [1.0]}, "1 weights for 3 n-grams"),
    ]:
        expect_error("TfIdfVectorizer", np.array([1, 2]), match=match, **good | change)
