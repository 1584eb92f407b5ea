"""Backbones of several parts, from H to Z."""

import numpy as np
from keras_hub import models as hub

from benchmarks.kerashub.parts import GEMMA_3
from benchmarks.kerashub.parts import GROUPED
from benchmarks.kerashub.parts import PATCHES
from benchmarks.kerashub.parts import T5_GEMMA
from benchmarks.kerashub.parts import images
from benchmarks.kerashub.parts import integers
from benchmarks.kerashub.parts import ones
from benchmarks.kerashub.parts import pairs
from benchmarks.kerashub.parts import random
from benchmarks.kerashub.parts import tokens


def mobilenet():
    """Return the backbone and inputs."""
    model = hub.MobileNetBackbone(
        stackwise_expansion=[[8, 8], [16]],
        stackwise_num_blocks=[2, 1],
        stackwise_num_filters=[[8, 8], [16]],
        stackwise_kernel_size=[[3, 3], [3]],
        stackwise_num_strides=[[2, 1], [2]],
        stackwise_se_ratio=[[None, None], [0.25]],
        stackwise_activation=[["relu", "relu"], ["hard_swish"], ["relu"]],
        stackwise_padding=[[1, 1], [1]],
        output_num_filters=16,
        input_activation="hard_swish",
        output_activation="hard_swish",
        input_num_filters=8,
        image_shape=(32, 32, 3),
        depthwise_filters=8,
        depthwise_stride=2,
        depthwise_residual=False,
        squeeze_and_excite=0.5,
        last_layer_filter=16,
    )
    return model, images(32)


def mobilenet_v5():
    """Return the backbone and inputs."""
    none = [[0], [0]]
    model = hub.MobileNetV5Backbone(
        stackwise_block_types=[["er"], ["uir"]],
        stackwise_num_blocks=[1, 1],
        stackwise_num_filters=[[8], [16]],
        stackwise_strides=[[2], [2]],
        stackwise_act_layers=[["relu"], ["relu"]],
        stackwise_exp_ratios=[[2.0], [2.0]],
        stackwise_se_ratios=[[0.0], [0.0]],
        stackwise_dw_kernel_sizes=[[0], [3]],
        stackwise_dw_start_kernel_sizes=none,
        stackwise_dw_end_kernel_sizes=none,
        stackwise_exp_kernel_sizes=[[3], [0]],
        stackwise_pw_kernel_sizes=[[1], [0]],
        stackwise_num_heads=none,
        stackwise_key_dims=none,
        stackwise_value_dims=none,
        stackwise_kv_strides=none,
        stackwise_use_cpe=[[False], [False]],
        image_shape=(32, 32, 3),
        stem_size=8,
        use_msfa=False,
    )
    return model, images(32)


def moonshine():
    """Return the backbone and inputs."""
    model = hub.MoonshineBackbone(
        vocabulary_size=40,
        filter_dim=16,
        encoder_num_layers=1,
        decoder_num_layers=1,
        hidden_dim=16,
        intermediate_dim=32,
        encoder_num_heads=2,
        decoder_num_heads=2,
    )
    return model, {
        "encoder_input_values": random(2, 2000, 1),
        "encoder_padding_mask": np.ones((2, 2000), "bool"),
        "decoder_token_ids": integers(2, 6),
        "decoder_padding_mask": np.ones((2, 6), "bool"),
    }


def pali_gemma():
    """Return the backbone and inputs."""
    model = hub.PaliGemmaBackbone(
        vit_patch_size=8,
        vit_num_layers=1,
        vit_num_heads=2,
        vit_hidden_dim=16,
        vit_intermediate_dim=16,
        image_size=16,
        head_dim=8,
        **GROUPED,
    )
    return model, {
        "images": images(),
        "response_mask": ones(2, 6),
        **tokens(),
    }


def parseq():
    """Return the backbone and inputs."""
    encoder = hub.ViTBackbone(
        **{**PATCHES, "patch_size": (8, 8)}, mlp_dim=32, use_class_token=False
    )
    model = hub.PARSeqBackbone(
        encoder,
        vocabulary_size=40,
        max_label_length=6,
        decoder_hidden_dim=16,
        num_decoder_layers=1,
        num_decoder_heads=2,
        decoder_mlp_dim=32,
        dropout_rate=0.0,
        attention_dropout=0.0,
    )
    return model, {"images": images(), **tokens()}


def sam():
    """Return the backbone and inputs."""
    from keras_hub.src.models.sam.sam_mask_decoder import SAMMaskDecoder
    from keras_hub.src.models.sam.sam_prompt_encoder import SAMPromptEncoder

    model = hub.SAMBackbone(
        vit_det(8),
        SAMPromptEncoder(
            hidden_size=8,
            image_embedding_size=(2, 2),
            input_image_size=(16, 16),
            mask_in_channels=8,
        ),
        SAMMaskDecoder(
            num_layers=1,
            hidden_size=8,
            intermediate_dim=16,
            num_heads=2,
            embedding_dim=8,
            num_multimask_outputs=3,
            iou_head_depth=2,
            iou_head_hidden_dim=8,
        ),
    )
    return model, {
        "images": images(),
        "points": random(2, 1, 2),
        "labels": np.ones((2, 1), "float32"),
        "boxes": random(2, 1, 2, 2),
        "masks": np.zeros((2, 0, 16, 16, 1), "float32"),
    }


def sam3():
    """Return the backbone and inputs."""
    from keras_hub.src.models.sam3.sam3_detr_decoder import SAM3DetrDecoder
    from keras_hub.src.models.sam3.sam3_detr_encoder import SAM3DetrEncoder
    from keras_hub.src.models.sam3.sam3_geometry_encoder import (
        SAM3GeometryEncoder,
    )
    from keras_hub.src.models.sam3.sam3_mask_decoder import SAM3MaskDecoder
    from keras_hub.src.models.sam3.sam3_text_encoder import SAM3TextEncoder
    from keras_hub.src.models.sam3.sam3_vision_encoder import SAM3VisionEncoder

    size = {"image_shape": (16, 16, 3), "patch_size": 8}
    part = {"num_layers": 1, "num_heads": 2, "hidden_dim": 16}
    part["intermediate_dim"] = 32
    model = hub.SAM3PromptableConceptBackbone(
        SAM3VisionEncoder(
            **size,
            **part,
            fpn_hidden_dim=16,
            fpn_scale_factors=[4.0, 2.0, 1.0, 0.5],
            pretrain_image_shape=(16, 16, 3),
            window_size=2,
            global_attn_indexes=[0],
        ),
        SAM3TextEncoder(vocabulary_size=40, embedding_dim=16, **part),
        SAM3GeometryEncoder(**part, roi_size=3),
        SAM3DetrEncoder(**part),
        SAM3DetrDecoder(**size, **part, num_queries=4),
        SAM3MaskDecoder(num_upsampling_stages=3, hidden_dim=16, num_heads=2),
    )
    return model, {
        "pixel_values": images(),
        "token_ids": integers(2, 32),
        "padding_mask": np.ones((2, 32), "bool"),
        "boxes": np.ones((2, 1, 5), "float32"),
        "box_labels": ones(2, 1),
    }


def vit_det(channels=4):
    """Return a small ViTDet."""
    return hub.ViTDetBackbone(
        hidden_size=16,
        num_layers=1,
        intermediate_dim=32,
        num_heads=2,
        global_attention_layer_indices=[0],
        image_shape=(16, 16, 3),
        patch_size=8,
        num_output_channels=channels,
        window_size=2,
    )


def stable_diffusion():
    """Return the backbone and inputs."""
    from keras_hub.src.models.clip.clip_text_encoder import CLIPTextEncoder
    from keras_hub.src.models.vae.vae_backbone import VAEBackbone

    def text(name):
        return CLIPTextEncoder(40, 16, 16, 1, 2, 32, "gelu", -1, name=name)

    model = hub.StableDiffusion3Backbone(
        mmdit_patch_size=2,
        mmdit_hidden_dim=32,
        mmdit_num_layers=1,
        mmdit_num_heads=2,
        mmdit_position_size=16,
        mmdit_qk_norm=None,
        mmdit_dual_attention_indices=None,
        vae=VAEBackbone(
            [32] * 4, [1] * 4, [32] * 4, [1] * 4, "mode", name="vae"
        ),
        clip_l=text("clip_l"),
        clip_g=text("clip_g"),
        image_shape=(32, 32, 3),
    )
    names = ("clip_l", "clip_l_negative", "clip_g", "clip_g_negative")
    return model, {
        "images": images(32),
        "latents": random(2, 4, 4, 16),
        **{f"{name}_token_ids": integers(2, 6) for name in names},
        "num_steps": ones(2),
        "guidance_scale": random(2),
    }


def t5_gemma_2():
    """Return the backbone and inputs."""
    return hub.T5Gemma2Backbone(**T5_GEMMA, use_query_key_norm=True), pairs()


def gemma_text(backbone, **inputs):
    """Return a backbone without pictures, and texts."""
    return backbone(**GEMMA_3), {**tokens(), **inputs}
