"""Decoders that keep keys and values of what they have read, and a translator's two halves."""

from __future__ import annotations

from typing import Any

import torch
import transformers as tf
from torch import Tensor, nn
from transformers.cache_utils import DynamicCache

from zoo.recipe import Writer, recipe
from zoo.text import SEQUENCE, tokens
from zoo.torch_export import flat, seeded

PAST = {0: "batch", 2: "past"}
TOTAL = {0: "batch", 1: "total"}


class Decoder(nn.Module):
    """A language model with its cache as a flat list of tensors."""

    def __init__(self, network: nn.Module, layers: int) -> None:
        super().__init__()
        self.network = network
        self.layers = layers

    def forward(self, input_ids: Tensor, attention_mask: Tensor, past: list[Tensor]) -> Any:
        cache = DynamicCache(list(zip(past[::2], past[1::2], strict=True)))
        found = self.network(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            use_cache=True,
        )
        present = [(layer.keys, layer.values) for layer in found.past_key_values.layers]
        return found.logits, *(tensor for pair in present for tensor in pair)


def _export(
    out: Writer, network: nn.Module, *, layers: int, heads: int, width: int, vocabulary: int
) -> None:
    decoder = Decoder(network, layers).eval()
    slots = [f"{layer}.{part}" for layer in range(layers) for part in ("key", "value")]
    inputs = ["input_ids", "attention_mask", *(f"past_key_values.{slot}" for slot in slots)]
    outputs = ["logits", *(f"present.{slot}" for slot in slots)]

    def feeds(batch: int, length: int, past: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        cache = [0.3 * torch.randn(batch, heads, past, width) for _ in slots]
        mask = torch.ones(batch, length + past, dtype=torch.int64)
        return tokens(batch, length, vocabulary), mask, cache

    with torch.no_grad():
        torch.onnx.export(
            decoder,
            feeds(2, 3, 5),
            out.model,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=(SEQUENCE, TOTAL, [PAST] * len(slots)),
            dynamo=True,
            verbose=False,
        )
        for case, sizes in {"decode_p128": (1, 1, 128), "prefill_s128": (1, 128, 0)}.items():
            ids, mask, cache = feeds(*sizes)
            results = flat(decoder(ids, mask, [tensor.clone() for tensor in cache]))
            given = dict(zip(inputs, (ids, mask, *cache), strict=True))
            out.case(case, given, dict(zip(outputs, results, strict=True)))


@recipe("text")
def gpt2(out: Writer) -> None:
    seeded(131)
    network = tf.GPT2LMHeadModel(tf.GPT2Config())
    _export(out, network, layers=12, heads=12, width=64, vocabulary=50257)


@recipe("text", main=False)
def llama_100m(out: Writer) -> None:
    """Grouped queries, rotary positions, in float32."""
    seeded(132)
    config = tf.LlamaConfig(
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        num_key_value_heads=4,
        intermediate_size=2048,
        vocab_size=32000,
    )
    network = tf.LlamaForCausalLM(config)
    _export(out, network, layers=12, heads=4, width=64, vocabulary=32000)
