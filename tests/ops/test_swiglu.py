"""SwiGLU."""

import ml_dtypes
import numpy as np
import pytest
from helpers import check_op, expect_error, randn


def swiglu(a, b, alpha=1.0):
    a = a.astype(np.float64)
    return (a / (1 + np.exp(-alpha * a)) * b.astype(np.float64)).astype(b.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("alpha", [1.0, 0.5])
def test_values(dtype, alpha):
    a, b = randn(3, 40, dtype=dtype), randn(3, 40, dtype=dtype, seed=1)
    check_op("SwiGLU", a, b, ref=swiglu, opset=28, alpha=alpha)


def test_no_elements():
    check_op("SwiGLU", randn(0, 4), randn(0, 4), ref=swiglu, opset=28)


def test_errors():
    expect_error("SwiGLU", randn(3, 4), randn(4), match="shapes differ", opset=28)
    expect_error(
        "SwiGLU", randn(3), randn(3, dtype=np.float64), match="float32 and float64", opset=28
    )
