"""Recurrent networks, and the two halves of a speech recogniser."""

from __future__ import annotations

import torch
import transformers as tf
from torch import Tensor, nn

from zoo.recipe import Writer, recipe
from zoo.text import tokens
from zoo.torch_export import export, seeded


class Recurrent(nn.Module):
    """Frames to log-probabilities of labels."""

    def __init__(self, layer: nn.Module, width: int, labels: int) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(width, labels)

    def forward(self, feats: Tensor) -> Tensor:
        found, _ = self.layer(feats)
        return self.head(found).log_softmax(dim=-1)


FRAMES = {0: "batch", 1: "time"}


@recipe("audio")
def bilstm2(out: Writer) -> None:
    seeded(141)
    layer = nn.LSTM(80, 256, num_layers=2, bidirectional=True, batch_first=True)
    cases = {"t200": {"feats": torch.randn(1, 200, 80)}}
    axes = {"feats": FRAMES, "logp": FRAMES}
    network = Recurrent(layer, 512, 64)
    export(out, network, cases, ["logp"], axes=axes, exporter="torchscript", opset=14)


@recipe("audio", main=False)
def gru2(out: Writer) -> None:
    seeded(142)
    layer = nn.GRU(80, 256, num_layers=2, batch_first=True)
    cases = {"t200": {"feats": torch.randn(1, 200, 80)}}
    axes = {"feats": FRAMES, "logp": FRAMES}
    network = Recurrent(layer, 256, 64)
    export(out, network, cases, ["logp"], axes=axes, exporter="torchscript", opset=14)


def _whisper() -> nn.Module:
    config = tf.WhisperConfig(
        d_model=384,
        encoder_layers=4,
        decoder_layers=4,
        encoder_attention_heads=6,
        decoder_attention_heads=6,
        encoder_ffn_dim=1536,
        decoder_ffn_dim=1536,
    )
    return tf.WhisperModel(config)


class Listener(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = _whisper().encoder

    def forward(self, features: Tensor) -> Tensor:
        return self.encoder(features).last_hidden_state


class Speaker(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = _whisper().decoder

    def forward(self, input_ids: Tensor, heard: Tensor) -> Tensor:
        found = self.decoder(input_ids=input_ids, encoder_hidden_states=heard, use_cache=False)
        return found.last_hidden_state


@recipe("audio", main=False)
def whisper_tiny_encoder(out: Writer) -> None:
    """Thirty seconds of sound."""
    seeded(143)
    export(out, Listener(), {"s30": {"features": torch.randn(1, 80, 3000)}}, ["heard"])


@recipe("audio", main=False)
def whisper_tiny_decoder(out: Writer) -> None:
    seeded(144)
    feeds = {"input_ids": tokens(1, 16, 51865), "heard": torch.randn(1, 1500, 384)}
    export(out, Speaker(), {"s16": feeds}, ["hidden"])
