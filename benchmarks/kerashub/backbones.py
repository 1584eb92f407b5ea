"""The table of all backbones."""

from collections.abc import Callable
from typing import Any

import numpy as np
from keras_hub import models as hub

from benchmarks.kerashub.encoders import basnet
from benchmarks.kerashub.encoders import blip2
from benchmarks.kerashub.encoders import clip
from benchmarks.kerashub.encoders import cspnet
from benchmarks.kerashub.encoders import d_fine
from benchmarks.kerashub.encoders import deeplab
from benchmarks.kerashub.encoders import depth_anything
from benchmarks.kerashub.encoders import efficientnet
from benchmarks.kerashub.encoders import flux
from benchmarks.kerashub.encoders import gemma3n
from benchmarks.kerashub.encoders import meta_clip
from benchmarks.kerashub.encoders import siglip
from benchmarks.kerashub.others import gemma_text
from benchmarks.kerashub.others import mobilenet
from benchmarks.kerashub.others import mobilenet_v5
from benchmarks.kerashub.others import moonshine
from benchmarks.kerashub.others import pali_gemma
from benchmarks.kerashub.others import parseq
from benchmarks.kerashub.others import sam
from benchmarks.kerashub.others import sam3
from benchmarks.kerashub.others import stable_diffusion
from benchmarks.kerashub.others import t5_gemma_2
from benchmarks.kerashub.others import vit_det
from benchmarks.kerashub.parts import DINO
from benchmarks.kerashub.parts import EXPERTS
from benchmarks.kerashub.parts import GROUPED
from benchmarks.kerashub.parts import HEADS
from benchmarks.kerashub.parts import LINEAR
from benchmarks.kerashub.parts import MIT
from benchmarks.kerashub.parts import PATCHES
from benchmarks.kerashub.parts import SHORT
from benchmarks.kerashub.parts import T5_GEMMA
from benchmarks.kerashub.parts import WIDE
from benchmarks.kerashub.parts import hgnet
from benchmarks.kerashub.parts import images
from benchmarks.kerashub.parts import integers
from benchmarks.kerashub.parts import ones
from benchmarks.kerashub.parts import pairs
from benchmarks.kerashub.parts import random
from benchmarks.kerashub.parts import resnet
from benchmarks.kerashub.parts import tokens

Made = tuple[Any, Any]
BACKBONES: dict[str, Callable[[], Made]] = {
    "AlbertBackbone": lambda: (
        hub.AlbertBackbone(
            **SHORT, num_groups=1, num_inner_repetitions=1, embedding_dim=8
        ),
        tokens(segments=True),
    ),
    "BASNetBackbone": basnet,
    "BLIP2Backbone": blip2,
    "BartBackbone": lambda: (hub.BartBackbone(**SHORT), pairs()),
    "BertBackbone": lambda: (hub.BertBackbone(**SHORT), tokens(6, True)),
    "BloomBackbone": lambda: (hub.BloomBackbone(**HEADS), tokens()),
    "CLIPBackbone": clip,
    "CSPNetBackbone": cspnet,
    "DFineBackbone": d_fine,
    "DINOV2Backbone": lambda: (
        hub.DINOV2Backbone(**DINO, num_register_tokens=0),
        {"images": images()},
    ),
    "DINOV3Backbone": lambda: (
        hub.DINOV3Backbone(**DINO, num_register_tokens=2),
        {"pixel_values": images()},
    ),
    "DebertaV3Backbone": lambda: (hub.DebertaV3Backbone(**SHORT), tokens()),
    "DeepLabV3Backbone": deeplab,
    "DeiTBackbone": lambda: (
        hub.DeiTBackbone(**PATCHES, intermediate_dim=32),
        images(),
    ),
    "DenseNetBackbone": lambda: (
        hub.DenseNetBackbone(
            stackwise_num_repeats=[1, 1, 1],
            growth_rate=4,
            image_shape=(32, 32, 3),
        ),
        images(32),
    ),
    "DepthAnythingBackbone": depth_anything,
    "DistilBertBackbone": lambda: (hub.DistilBertBackbone(**SHORT), tokens()),
    "ESMBackbone": lambda: (
        hub.ESMBackbone(**HEADS),
        {"token_ids": integers(2, 6)},
    ),
    "EdRecBackbone": lambda: (
        hub.EdRecBackbone(
            vocab_size=40,
            num_layers_enc=1,
            num_layers_dec=1,
            num_heads=2,
            hidden_dim=16,
            intermediate_dim=24,
            dropout=0.0,
        ),
        pairs(),
    ),
    "EfficientNetBackbone": efficientnet,
    "ElectraBackbone": lambda: (
        hub.ElectraBackbone(
            **{k: v for k, v in SHORT.items() if k != "vocabulary_size"},
            vocab_size=40,
            embedding_dim=8,
        ),
        tokens(6, True),
    ),
    "FNetBackbone": lambda: (
        hub.FNetBackbone(**WIDE, max_sequence_length=8),
        {"token_ids": integers(2, 6), "segment_ids": ones(2, 6)},
    ),
    "FalconBackbone": lambda: (
        hub.FalconBackbone(**WIDE, num_attention_heads=2),
        tokens(),
    ),
    "FluxBackbone": flux,
    "GPT2Backbone": lambda: (hub.GPT2Backbone(**SHORT), tokens()),
    "GPTNeoXBackbone": lambda: (hub.GPTNeoXBackbone(**SHORT), tokens()),
    "Gemma3Backbone": lambda: gemma_text(
        hub.Gemma3Backbone,
    ),
    "Gemma3nBackbone": gemma3n,
    "Gemma4Backbone": lambda: gemma_text(
        hub.Gemma4Backbone, position_ids=np.tile(np.arange(6), (2, 1))
    ),
    "GemmaBackbone": lambda: (
        hub.GemmaBackbone(**GROUPED, head_dim=4),
        tokens(),
    ),
    "GptOssBackbone": lambda: (
        hub.GptOssBackbone(**GROUPED, num_experts=2, top_k=1, sliding_window=4),
        tokens(),
    ),
    "HGNetV2Backbone": lambda: (hgnet(image_shape=(32, 32, 3)), images(32)),
    "Llama3Backbone": lambda: (hub.Llama3Backbone(**GROUPED), tokens()),
    "LlamaBackbone": lambda: (hub.LlamaBackbone(**GROUPED), tokens()),
    "MetaCLIP2Backbone": meta_clip,
    "MiTBackbone": lambda: (hub.MiTBackbone(**MIT), images(32)),
    "MistralBackbone": lambda: (hub.MistralBackbone(**GROUPED), tokens()),
    "MixtralBackbone": lambda: (
        hub.MixtralBackbone(**GROUPED, num_experts=2, top_k=1),
        tokens(),
    ),
    "MobileNetBackbone": mobilenet,
    "MobileNetV5Backbone": mobilenet_v5,
    "MoonshineBackbone": moonshine,
    "OPTBackbone": lambda: (hub.OPTBackbone(**SHORT), tokens()),
    "PARSeqBackbone": parseq,
    "PaliGemmaBackbone": pali_gemma,
    "Phi3Backbone": lambda: (hub.Phi3Backbone(**GROUPED), tokens()),
    "Qwen3Backbone": lambda: (
        hub.Qwen3Backbone(**GROUPED, head_dim=4),
        tokens(),
    ),
    "Qwen3MoeBackbone": lambda: (hub.Qwen3MoeBackbone(**EXPERTS), tokens()),
    "Qwen3_5Backbone": lambda: (
        hub.Qwen3_5Backbone(**{**GROUPED, **LINEAR}),
        tokens(),
    ),
    "Qwen3_5MoeBackbone": lambda: (
        hub.Qwen3_5MoeBackbone(
            **{
                **{k: v for k, v in EXPERTS.items() if k != "intermediate_dim"},
                **LINEAR,
            },
            shared_expert_intermediate_size=8,
        ),
        tokens(),
    ),
    "QwenBackbone": lambda: (hub.QwenBackbone(**GROUPED), tokens()),
    "QwenMoeBackbone": lambda: (
        hub.QwenMoeBackbone(
            **{k: v for k, v in EXPERTS.items() if k != "head_dim"},
            shared_expert_intermediate_dim=12,
        ),
        tokens(),
    ),
    "RWKV7Backbone": lambda: (
        hub.RWKV7Backbone(
            vocabulary_size=40,
            hidden_size=16,
            num_layers=1,
            head_size=4,
            intermediate_dim=32,
            gate_lora=8,
            mv_lora=8,
            aaa_lora=8,
            decay_lora=8,
        ),
        tokens(16),
    ),
    "ResNetBackbone": lambda: (resnet(), images(32)),
    "RetinaNetBackbone": lambda: (
        hub.RetinaNetBackbone(
            resnet((64, 8, 8, 8)), min_level=3, max_level=5, use_p5=True
        ),
        images(64),
    ),
    "RobertaBackbone": lambda: (hub.RobertaBackbone(**SHORT), tokens()),
    "RoformerV2Backbone": lambda: (
        hub.RoformerV2Backbone(**HEADS, head_size=8),
        {"token_ids": integers(2, 6), "segment_ids": ones(2, 6)},
    ),
    "SAM3PromptableConceptBackbone": sam3,
    "SAMBackbone": sam,
    "SegFormerBackbone": lambda: (
        hub.SegFormerBackbone(
            image_encoder=hub.MiTBackbone(**MIT), projection_filters=16
        ),
        images(32),
    ),
    "SigLIPBackbone": siglip,
    "SmolLM3Backbone": lambda: (
        hub.SmolLM3Backbone(
            **WIDE,
            num_attention_heads=2,
            num_key_value_heads=1,
            attention_bias=False,
            attention_dropout=0.0,
            rope_layer_enabled_list=[True],
            layer_types=["attention"],
            mlp_bias=False,
            layer_norm_epsilon=1e-5,
            max_position_embeddings=16,
            rope_theta=10000.0,
            partial_rotary_factor=1.0,
        ),
        tokens(),
    ),
    "StableDiffusion3Backbone": stable_diffusion,
    "SwinTransformerBackbone": lambda: (
        hub.SwinTransformerBackbone(
            image_shape=(32, 32, 3),
            embed_dim=16,
            depths=(1, 1),
            num_heads=(2, 2),
            window_size=4,
        ),
        images(32),
    ),
    "T5Backbone": lambda: (hub.T5Backbone(**HEADS), pairs()),
    "T5Gemma2Backbone": t5_gemma_2,
    "T5GemmaBackbone": lambda: (hub.T5GemmaBackbone(**T5_GEMMA), pairs()),
    "VGGBackbone": lambda: (
        hub.VGGBackbone([1, 1], [8, 16], image_shape=(16, 16, 3)),
        images(),
    ),
    "ViTBackbone": lambda: (
        hub.ViTBackbone(**{**PATCHES, "patch_size": (8, 8)}, mlp_dim=32),
        images(),
    ),
    "ViTDetBackbone": lambda: (vit_det(), images()),
    "VideoPrismBackbone": lambda: (
        hub.VideoPrismBackbone(
            image_shape=(16, 16, 3),
            num_frames=2,
            patch_size=8,
            hidden_dim=16,
            intermediate_dim=32,
            num_heads=2,
            num_spatial_layers=1,
            num_temporal_layers=1,
            num_auxiliary_layers=1,
            vocabulary_size=0,
            num_text_layers=0,
        ),
        random(2, 2, 16, 16, 3),
    ),
    "WhisperBackbone": lambda: (
        hub.WhisperBackbone(
            **HEADS,
            max_encoder_sequence_length=8,
            max_decoder_sequence_length=8,
        ),
        {
            "encoder_features": random(2, 8, 80),
            "decoder_token_ids": integers(2, 6),
            "decoder_padding_mask": ones(2, 6),
        },
    ),
    "XLMRobertaBackbone": lambda: (hub.XLMRobertaBackbone(**SHORT), tokens()),
    "XLNetBackbone": lambda: (hub.XLNetBackbone(**HEADS), tokens(6, True)),
    "XceptionBackbone": lambda: (
        hub.XceptionBackbone([[8, 8], [16, 16]], [False, True]),
        images(32),
    ),
}
