"""Sizes, inputs and small networks that backbones share."""

import numpy as np
from keras_hub import models as hub

TEXT = {"vocabulary_size": 40, "num_layers": 1, "hidden_dim": 16}
WIDE = {**TEXT, "intermediate_dim": 24}
HEADS = {**WIDE, "num_heads": 2}
SHORT = {**HEADS, "max_sequence_length": 8}
GROUPED = {**WIDE, "num_query_heads": 4, "num_key_value_heads": 2}
EXPERTS = {
    **GROUPED,
    "moe_intermediate_dim": 12,
    "num_experts": 3,
    "top_k": 2,
    "head_dim": 4,
}
LINEAR = {
    "num_layers": 2,
    "head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
    "partial_rotary_factor": 0.5,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 4,
    "linear_value_head_dim": 4,
    "linear_conv_kernel_dim": 2,
}
T5_GEMMA = {
    "vocabulary_size": 40,
    **{
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in {
            "hidden_dim": 16,
            "intermediate_dim": 24,
            "num_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "head_dim": 8,
            "layer_types": ["full_attention"],
        }.items()
    },
    "dropout_rate": 0.0,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": True,
    "query_pre_attn_scalar": 1.0,
    "attention_bias": False,
    "hidden_activation": "gelu_approximate",
    "sliding_window": 4,
    "cross_attention_hidden_size": 16,
    "attn_logit_softcapping": 50.0,
    "rope_max_wavelength": 10000.0,
    "initializer_range": 0.04,
    "attention_dropout": 0.0,
}
VIT = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16}
PATCHES = {**VIT, "image_shape": (16, 16, 3), "patch_size": 8}
DINO = {**PATCHES, "intermediate_dim": 32, "layer_scale_init_value": 1.0}
MIT = {
    "layerwise_depths": [1, 1],
    "image_shape": (32, 32, 3),
    "hidden_dims": [8, 16],
    "num_layers": 2,
    "layerwise_num_heads": [1, 2],
    "layerwise_sr_ratios": [4, 2],
    "max_drop_path_rate": 0.0,
    "layerwise_patch_sizes": [7, 3],
    "layerwise_strides": [4, 2],
}
GEMMA_3 = {
    "vocabulary_size": 40,
    "image_size": 16,
    "num_layers": 2,
    "num_query_heads": 2,
    "num_key_value_heads": 1,
    "hidden_dim": 16,
    "intermediate_dim": 24,
    "head_dim": 8,
    "use_sliding_window_attention": True,
    "sliding_window_size": 8,
    "attention_logit_soft_cap": None,
    "final_logit_soft_cap": None,
}


def random(*shape):
    """Return normal numbers."""
    generator = np.random.default_rng(len(shape))
    return generator.normal(size=shape).astype("float32")


def integers(*shape):
    """Return tokens."""
    return np.random.default_rng(1).integers(1, 9, shape).astype("int32")


def ones(*shape):
    """Return ones."""
    return np.ones(shape, "int32")


def tokens(length=6, segments=False):
    """Return texts as numbers."""
    found = {"token_ids": integers(2, length), "padding_mask": ones(2, length)}
    if segments:
        found["segment_ids"] = ones(2, length)
    return found


def pairs(length=6):
    """Return texts and their translations as numbers."""
    return {
        f"{side}_{name}": value
        for side in ("encoder", "decoder")
        for name, value in tokens(length).items()
    }


def images(side=16):
    """Return two square images."""
    return random(2, side, side, 3)


def resnet(filters=(64, 8, 8), first=64, **options):
    """Return a small residual network."""
    stages = len(filters)
    return hub.ResNetBackbone(
        input_conv_filters=[first],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[*filters],
        stackwise_num_blocks=[1] * stages,
        stackwise_num_strides=[1, *[2] * (stages - 1)],
        block_type="basic_block",
        **options,
    )


def hgnet(**options):
    """Return a small HGNetV2."""
    return hub.HGNetV2Backbone(
        stem_channels=[3, 8, 8],
        stackwise_stage_filters=[[8, 8, 16, 1, 1, 3], [16, 8, 32, 1, 1, 3]],
        apply_downsample=[False, True],
        use_lightweight_conv_block=[False, False],
        depths=[1, 1],
        hidden_sizes=[16, 32],
        embedding_size=8,
        use_learnable_affine_block=True,
        hidden_act="relu",
        out_features=["stage1", "stage2"],
        **options,
    )
