"""Newer networks for images, measured on demand."""

from __future__ import annotations

import torch
import transformers as tf
from torch import nn

from zoo.recipe import Writer, recipe
from zoo.torch_export import export, field, seeded, settle_batch_norm


def _image(out: Writer, seed: int, make: type[nn.Module], config: object, side: int = 224) -> None:
    """One image through a network of `transformers`, with a symbolic batch."""
    seeded(seed)
    network = field(make(config), "logits")
    settle_batch_norm(network, 2, 3, side, side)
    cases = {"b1": {"image": torch.randn(1, 3, side, side)}}
    export(out, network, cases, ["logits"], axes={"image": {0: "batch"}})


@recipe("vision", main=False)
def convnext_tiny(out: Writer) -> None:
    _image(out, 111, tf.ConvNextForImageClassification, tf.ConvNextConfig(num_labels=1000))


@recipe("vision", main=False)
def vit_small(out: Writer) -> None:
    config = tf.ViTConfig(
        hidden_size=384,
        num_attention_heads=6,
        intermediate_size=1536,
        num_labels=1000,
        attn_implementation="eager",
    )
    _image(out, 112, tf.ViTForImageClassification, config)


@recipe("vision", main=False)
def segformer_b0(out: Writer) -> None:
    config = tf.SegformerConfig(num_labels=19, decoder_hidden_size=256)
    _image(out, 113, tf.SegformerForSemanticSegmentation, config, side=512)


@recipe("vision", main=False)
def swin_tiny(out: Writer) -> None:
    config = tf.SwinConfig(num_labels=1000)
    _image(out, 114, tf.SwinForImageClassification, config)


@recipe("vision", main=False)
def efficientnet_b0(out: Writer) -> None:
    config = tf.EfficientNetConfig(
        width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, num_labels=1000
    )
    _image(out, 115, tf.EfficientNetForImageClassification, config)
