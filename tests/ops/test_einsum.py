"""Einsum against numpy.einsum."""

import numpy as np
import pytest
from helpers import check_op, expect_error, randint, randn

SIZES = {"b": 2, "h": 3, "i": 4, "j": 5, "k": 4, "d": 6, "s": 7, "t": 2, "m": 1, "n": 8}


def operands(equation, dtype=np.float32):
    terms = equation.replace(" ", "").split("->")[0].split(",")
    for i, term in enumerate(terms):
        shape = []
        for label in term.replace("...", "."):
            shape += (2, 3) if label == "." else (SIZES[label],)
        yield randn(*shape, dtype=dtype, seed=i)


@pytest.mark.parametrize(
    "equation",
    [
        "bhid,bhjd->bhij", "bhij,bhjd->bhid", "bihd,bjhd->bhij", "bhij,bjhd->bihd",
        "ij,jd->id", "ij,jd", "ji,dj->di", "ij,j->i", "i,ij->j", "i,i->", "i,i", "i,j->ij",
        "i,j->ji", "bij,bjd->bid", "bi,bi->b", "bi,bi->bi", "bij,bj->bi", "bj,bij->bi",
        "bsd,dhn->bshn", "bshn,hnd->bsd", "bsd,d->bs", "dhn,bsd->bhsn", "sd,hnd->hsn",
        "bhsd,bhtd->bhst", "bsihd,bsjhd->bijh", "bihn,bjhn->bij",
        "ij->ji", "bij->bji", "ij->i", "ij->", "ij", "ji", "ii->i", "ii->", "ii", "iik->ik",
        "bii->b", "...ij,...jd->...id", "...ij,jd->...id", "ij,...jd->...id", "...i,...i->...",
        "...ij->...ji", "...,...->...", "i...,i...->...", "b...d,dn->b...n", "...d,d", "i...->...",
        "ij,kd->", "ij,kd->id", "iij,jd->d", "ij,jd,dn->in", "bi,bj,bd->ijd", "i,i,i->i",
        "i,j,k->kji", "...ij,jd,...dn->...in", "bij,bjd,bdn->n", " i j , j d -> i d ", "ij,ij,ij->",
        "bim,bmj->bij", "mi,mj->ij",
    ],
)  # fmt: skip
def test_equations(equation):
    inputs = list(operands(equation))
    expected = np.einsum(equation.replace(" ", ""), *[x.astype(np.float64) for x in inputs])
    check_op("Einsum", *inputs, equation=equation, length=64, ref=np.float32(expected))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.int32, np.int8, np.uint16])
def test_types(dtype):
    for equation in ["bij,bjd->bid", "ij,kd->id", "ii->i", "ij->j"]:
        inputs = [(3 * x).astype(dtype) for x in operands(equation)]
        wide = np.float64 if np.dtype(dtype).kind == "f" else dtype
        expected = np.einsum(equation, *[x.astype(wide) for x in inputs]).astype(dtype)
        check_op("Einsum", *inputs, equation=equation, length=16, ref=expected)


def test_shapes():
    broadcast = [randn(1, 3, 4), randn(5, 1, 4, 2)]
    check_op("Einsum", *broadcast, equation="...ij,...jk->...ik",
             ref=np.einsum("...ij,...jk->...ik", *broadcast), length=4)  # fmt: skip
    empty = [randn(2, 0), randn(0, 3)]
    check_op("Einsum", *empty, equation="ij,jk->ik", ref=np.zeros((2, 3), np.float32))
    check_op("Einsum", *empty, equation="ij,kl->il", ref=np.zeros((2, 3), np.float32))
    check_op("Einsum", randn(3, 0, 4), randn(3, 4, 5), equation="bij,bjk->bik", ref=randn(3, 0, 5))
    large = [randn(2, 4, 50, 32), randn(2, 4, 60, 32)]
    check_op("Einsum", *large, equation="bhid,bhjd->bhij", length=32,
             ref=np.einsum("bhid,bhjd->bhij", *large))  # fmt: skip


def test_refuses():
    x = randint(0, 9, 3, 4).astype(np.float32)
    expect_error(
        "Einsum", x, x, equation="ij,jk->ik", match="sizes 4 and 3|inner|dimensions|differ"
    )
    expect_error("Einsum", x, equation="ijk->ik", match="names 3 axes of an input of rank 2")
    expect_error("Einsum", x, equation="ij,jk->ik", match="2 terms for 1 inputs")
    expect_error("Einsum", x, equation="ij->ik", match="'k' of the output is in no input")
    expect_error("Einsum", x, equation="ij->ii", match="twice in the output")
    expect_error("Einsum", x, equation="i..j", match="no single ellipsis")
    expect_error("Einsum", x, equation="i1->i", match="'1' is no label")
