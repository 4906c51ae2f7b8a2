"""Random graphs of bytes between QuantizeLinear and DequantizeLinear. All scales are powers of two,
so that floats hold every number exactly and rewrites may change nothing at all."""

from __future__ import annotations

import numpy as np
from maker import Maker


class QuantizedMaker(Maker):
    """Values are floats that DequantizeLinear made; `scale` and `zero` say from what."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.opset = int(self.rng.choice([13, 17, 21]))
        self.dtype = self.one(np.uint8, np.int8)
        self.scale: dict[str, tuple[float, int]] = {}

    def parameters(self, scale: float, zero: int) -> list[str]:
        return [self.constant(scale), self.constant(zero, self.dtype)]

    def quantized(self, x: str, scale: float, zero: int) -> str:
        code = self.op("QuantizeLinear", x, *self.parameters(scale, zero))
        y = self.op("DequantizeLinear", code, *self.parameters(scale, zero))
        self.scale[y] = (scale, zero)
        return y

    def drawn(self, x: str) -> str:
        """Quantised by some scale and zero point."""
        low = 0 if self.dtype == np.uint8 else -128
        return self.quantized(x, 2.0 ** self.number(-4, 1), self.number(low + 80, low + 176))

    def weights(self, *shape: int) -> tuple[str, list[float]]:
        """Constant bytes and their scales, one for all or one for each row."""
        rows = shape[0] if self.chance(0.6) else 1
        scales = [2.0 ** self.number(-6, -2) for _ in range(rows)]
        low, high = (-60, 61) if self.chance(0.6) else (-128, 128)
        codes = self.constant(self.rng.integers(low, high, shape), np.int8)
        one = () if rows == 1 else (rows,)
        lists = [self.constant(np.reshape(scales, one)), self.constant(np.zeros(one), np.int8)]
        w = self.op("DequantizeLinear", codes, *lists, shape=shape, axis=0)
        return w, scales * (shape[0] // rows)


def convolution(m: QuantizedMaker, x: str, keep: bool = False) -> str:
    n, c, h, w = m.shape[x]
    kernel, group = m.one(1, 3), m.one(1, c)
    outputs = c if keep or group == c else m.number(1, 9)
    stride = 1 if keep or h < 4 or w < 4 else m.one(1, 2)
    pad = kernel // 2
    size = [(s + 2 * pad - kernel) // stride + 1 for s in (h, w)]
    weights, scales = m.weights(outputs, c // group, kernel, kernel)
    inputs = [x, weights]
    if m.chance(0.7):
        units = np.array(scales) * m.scale[x][0]
        codes = m.rng.integers(-500, 500, outputs)
        if m.chance(0.5):
            inputs.append(m.constant(codes * units))
        else:
            zero = m.constant(np.zeros(outputs), np.int32)
            lists = [m.constant(codes, np.int32), m.constant(units), zero]
            inputs.append(m.op("DequantizeLinear", *lists, axis=0))
    attrs = {"group": group, "strides": [stride] * 2, "pads": [pad] * 4}
    y = m.op("Conv", *inputs, shape=(n, outputs, *size), **attrs)
    return m.drawn(m.op("Relu", y) if m.chance(0.3) else y)


def residual(m: QuantizedMaker, x: str) -> str:
    return m.drawn(m.add(convolution(m, x, keep=True), x))


def pool(m: QuantizedMaker, x: str) -> str:
    n, c, h, w = m.shape[x]
    if min(h, w) < 4:
        return x
    shape = (n, c, h // 2, w // 2)
    y = m.op("MaxPool", x, shape=shape, kernel_shape=[2, 2], strides=[2, 2])
    return m.quantized(y, *m.scale[x]) if m.chance(0.7) else m.drawn(y)


def turned(m: QuantizedMaker, x: str) -> str:
    return m.quantized(m.transpose(x, 0, 1, 3, 2), *m.scale[x])


def beside(m: QuantizedMaker, x: str) -> str:
    n, c, h, w = m.shape[x]
    if c > 7:  # sixteen channels and more may be convolved inexactly
        return x
    y = convolution(m, x, keep=True)
    return m.drawn(m.op("Concat", x, y, shape=(n, 2 * c, h, w), axis=1))


def head(m: QuantizedMaker, x: str) -> str:
    n, size = m.shape[x][0], int(np.prod(m.shape[x][1:]))
    flat = m.op("Flatten", x, shape=(n, size), axis=1)
    flat = m.quantized(flat, *m.scale[x])
    weights, _ = m.weights(size, 5)
    return m.op("MatMul", flat, weights, shape=(n, 5))


def quantized_graph(seed: int) -> QuantizedMaker:
    m = QuantizedMaker(seed)
    array = m.randn(m.number(1, 3), m.number(1, 9), m.number(4, 9), m.number(4, 9))
    x = m.drawn(m.input("x", array, m.one({}, {0: "n"})))
    values = [x]
    for _ in range(m.number(2, 7)):
        block = m.one(convolution, convolution, residual, residual, pool, turned, beside)
        x = block(m, x)
        values.append(x)
    extra = [str(m.one(*values))] if m.chance(0.3) else []
    m.outputs = list(dict.fromkeys([head(m, x) if m.chance(0.5) else x, *extra]))
    return m
