"""Encoders of text."""

from __future__ import annotations

import torch
import transformers as tf
from torch import Tensor, nn

from zoo.recipe import Writer, recipe
from zoo.torch_export import export, seeded

BERT_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
SEQUENCE = {0: "batch", 1: "seq"}


def tokens(batch: int, length: int, vocabulary: int) -> Tensor:
    return torch.randint(vocabulary, (batch, length))


def _bert_feeds(batch: int, length: int) -> dict[str, Tensor]:
    values = (
        tokens(batch, length, 30522),
        torch.ones(batch, length, dtype=torch.int64),
        torch.zeros(batch, length, dtype=torch.int64),
    )
    return dict(zip(BERT_INPUTS, values, strict=True))


class Encoder(nn.Module):
    """BERT with its inputs by position."""

    def __init__(self, config: tf.BertConfig, *, pooled: bool) -> None:
        super().__init__()
        self.bert = tf.BertModel(config, add_pooling_layer=pooled)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> object:
        found = self.bert(
            input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
        )
        return found.last_hidden_state, found.pooler_output


class SentenceEncoder(Encoder):
    """The mean over the words that count, at length one."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> object:
        words, _ = super().forward(input_ids, attention_mask, token_type_ids)
        counts = attention_mask.unsqueeze(-1).to(words.dtype)
        mean = (words * counts).sum(1) / counts.sum(1).clamp(min=1e-9)
        return nn.functional.normalize(mean, dim=-1)


@recipe("text")
def bert_base(out: Writer) -> None:
    """Of fixed shape, by the older exporter."""
    seeded(121)
    network = Encoder(tf.BertConfig(attn_implementation="eager"), pooled=True)
    outputs = ["last_hidden_state", "pooler_output"]
    export(out, network, {"s128": _bert_feeds(1, 128)}, outputs, exporter="torchscript", opset=17)


@recipe("text")
def minilm_l6(out: Writer) -> None:
    seeded(122)
    config = tf.BertConfig(
        hidden_size=384, num_hidden_layers=6, num_attention_heads=12, intermediate_size=1536
    )
    # The first case is traced: sizes of one would be taken for constants.
    sizes = ((2, 16), (1, 32), (1, 256), (8, 64))
    cases = {f"b{batch}s{length}": _bert_feeds(batch, length) for batch, length in sizes}
    axes = dict.fromkeys(BERT_INPUTS, SEQUENCE)
    export(out, SentenceEncoder(config, pooled=False), cases, ["sentence_embedding"], axes=axes)


class DistilEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        config = tf.DistilBertConfig(num_labels=2)
        self.network = tf.DistilBertForSequenceClassification(config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        return self.network(input_ids=input_ids, attention_mask=attention_mask).logits


@recipe("text", main=False)
def distilbert(out: Writer) -> None:
    seeded(123)
    sizes = ((2, 16), (1, 128))
    cases = {f"b{b}s{s}": {k: _bert_feeds(b, s)[k] for k in BERT_INPUTS[:2]} for b, s in sizes}
    axes = dict.fromkeys(BERT_INPUTS[:2], SEQUENCE)
    export(out, DistilEncoder(), cases, ["logits"], axes=axes)


class T5Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = tf.T5EncoderModel(tf.T5Config())  # the small one

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.network(input_ids=input_ids).last_hidden_state


@recipe("text", main=False)
def t5_small_encoder(out: Writer) -> None:
    seeded(124)
    cases = {f"b{b}s{s}": {"input_ids": tokens(b, s, 32128)} for b, s in ((2, 16), (1, 128))}
    export(out, T5Encoder(), cases, ["hidden"], axes={"input_ids": SEQUENCE})
