"""A decoder in the operators of com.microsoft, as tools for text generation write them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from zoo.recipe import Writer, recipe

LAYERS, HEADS, KV_HEADS, HEAD = 12, 12, 4, 64
WIDTH, INNER, VOCABULARY, POSITIONS = HEADS * HEAD, 2048, 32000, 2048
CONTRIB = "com.microsoft"


class Builder:
    """Collects nodes and weights; every method answers the name of its first output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.rng = np.random.default_rng(161)

    def constant(self, name: str, values: Any) -> str:
        self.weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(self, op: str, inputs: list[str], outputs: str | list[str], **attrs: Any) -> str:
        names = [outputs] if isinstance(outputs, str) else outputs
        self.nodes.append(helper.make_node(op, inputs, names, name=f"/{names[0]}", **attrs))
        return names[0]

    def random(self, name: str, *shape: int) -> str:
        return self.constant(name, 0.02 * self.rng.standard_normal(shape, dtype=np.float32))

    def linear(self, x: str, inputs: int, outputs: int, name: str) -> str:
        return self.node("MatMul", [x, self.random(f"{name}.weight", inputs, outputs)], name)

    def ones(self, name: str) -> str:
        return self.constant(name, np.ones(WIDTH, np.float32))


def _lengths(b: Builder) -> None:
    """What the attention asks for: the last position of each sequence, and the longest length."""
    one = b.constant("one", np.array([1], np.int64))
    counted = b.node("ReduceSum", ["attention_mask", one], "counted", keepdims=0)
    last = b.node("Sub", [counted, one], "last")
    b.node("Cast", [last], "last_positions", to=TensorProto.INT32)
    shape = b.node("Shape", ["attention_mask"], "mask_shape")
    axis = b.constant("axis", np.array(1, np.int64))
    length = b.node("Gather", [shape, axis], "length", axis=0)
    b.node("Cast", [length], "total_length", to=TensorProto.INT32)


def _layer(b: Builder, i: int, x: str, residual: str) -> tuple[str, str]:
    name = f"layer{i}"
    q = b.linear(x, WIDTH, WIDTH, f"{name}.q")
    k = b.linear(x, WIDTH, KV_HEADS * HEAD, f"{name}.k")
    v = b.linear(x, WIDTH, KV_HEADS * HEAD, f"{name}.v")
    past = [f"past_key_values.{i}.{part}" for part in ("key", "value")]
    present = [f"present.{i}.{part}" for part in ("key", "value")]
    seen = b.node(
        "GroupQueryAttention",
        [q, k, v, *past, "last_positions", "total_length", "cosines", "sines"],
        [f"{name}.seen", *present],
        domain=CONTRIB,
        num_heads=HEADS,
        kv_num_heads=KV_HEADS,
        scale=HEAD**-0.5,
        do_rotary=1,
    )
    mixed = b.linear(seen, WIDTH, WIDTH, f"{name}.o")

    def add_and_norm(delta: str, part: str) -> tuple[str, str]:
        outputs = [f"{name}.{part}", "", "", f"{name}.{part}.sum"]
        inputs = [residual, delta, b.ones(f"{name}.{part}.scale")]
        op = "SkipSimplifiedLayerNormalization"
        return b.node(op, inputs, outputs, domain=CONTRIB, epsilon=1e-5), outputs[3]

    x, residual = add_and_norm(mixed, "norm1")
    gate = b.linear(x, WIDTH, INNER, f"{name}.gate")
    up = b.linear(x, WIDTH, INNER, f"{name}.up")
    gated = b.node("Mul", [gate, b.node("Sigmoid", [gate], f"{name}.sigmoid")], f"{name}.silu")
    product = b.node("Mul", [gated, up], f"{name}.product")
    return add_and_norm(b.linear(product, INNER, WIDTH, f"{name}.down"), "norm2")


def _model() -> Any:
    b = Builder()
    frequencies = 10000.0 ** -(np.arange(0, HEAD, 2) / HEAD)
    angles = np.outer(np.arange(POSITIONS), frequencies)
    b.constant("cosines", np.cos(angles).astype(np.float32))
    b.constant("sines", np.sin(angles).astype(np.float32))
    _lengths(b)
    residual = b.node("Gather", [b.random("embedding", VOCABULARY, WIDTH), "input_ids"], "embedded")
    scale = b.ones("norm0.scale")
    x = b.node("SimplifiedLayerNormalization", [residual, scale], "norm0", epsilon=1e-5)
    for i in range(LAYERS):
        x, residual = _layer(b, i, x, residual)
    b.linear(x, WIDTH, VOCABULARY, "logits")

    info = helper.make_tensor_value_info
    slots = [f"{i}.{part}" for i in range(LAYERS) for part in ("key", "value")]

    def caches(prefix: str, rows: str) -> list[Any]:
        shape = ["batch", KV_HEADS, rows, HEAD]
        return [info(f"{prefix}.{slot}", TensorProto.FLOAT, shape) for slot in slots]

    inputs = [
        info("input_ids", TensorProto.INT64, ["batch", "seq"]),
        info("attention_mask", TensorProto.INT64, ["batch", "total"]),
        *caches("past_key_values", "past"),
    ]
    logits = info("logits", TensorProto.FLOAT, ["batch", "seq", VOCABULARY])
    outputs = [logits, *caches("present", "total")]
    graph = helper.make_graph(b.nodes, "decoder", inputs, outputs, b.weights)
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid(CONTRIB, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@recipe("contrib")
def genai_llama_int4(out: Writer) -> None:
    """Its weights in blocks of 32 numbers of 4 bits."""
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantizer = MatMulNBitsQuantizer(_model(), block_size=32, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    quantizer.model.save_model_to_file(str(out.model), True)
    rng = np.random.default_rng(162)
    for case, (length, past) in {"decode_p128": (1, 128), "prefill_s128": (128, 0)}.items():
        feeds = {
            "input_ids": rng.integers(0, VOCABULARY, (1, length)),
            "attention_mask": np.ones((1, length + past), np.int64),
        }
        for i in range(LAYERS):
            for part in ("key", "value"):
                shape = (1, KV_HEADS, past, HEAD)
                cache = 0.3 * rng.standard_normal(shape, dtype=np.float32)
                feeds[f"past_key_values.{i}.{part}"] = cache
        out.case(case, feeds, {})
