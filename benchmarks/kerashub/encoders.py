"""Backbones of several parts, from A to H."""

from keras_hub import models as hub

from benchmarks.kerashub.parts import DINO
from benchmarks.kerashub.parts import SHORT
from benchmarks.kerashub.parts import VIT
from benchmarks.kerashub.parts import hgnet
from benchmarks.kerashub.parts import images
from benchmarks.kerashub.parts import integers
from benchmarks.kerashub.parts import random
from benchmarks.kerashub.parts import resnet
from benchmarks.kerashub.parts import tokens


def basnet():
    """Return the backbone and inputs."""
    # Blocks that the model adds have the channels of ResNet-34.
    encoder = resnet((64, 128, 256, 512), first=64, image_shape=(None, None, 3))
    model = hub.BASNetBackbone(encoder, num_classes=1, image_shape=(64, 64, 3))
    return model, images(64)


def blip2():
    """Return the backbone and inputs."""
    from keras_hub.src.models.blip2.blip2_custom_opt import BLIP2CustomOPT
    from keras_hub.src.models.blip2.blip2_qformer import BLIP2QFormer
    from keras_hub.src.models.blip2.blip2_vision_encoder import (
        BLIP2VisionEncoder,
    )

    vision = BLIP2VisionEncoder(
        image_size=16,
        patch_size=8,
        intermediate_dim=16,
        use_patch_bias=True,
        use_class_token=True,
        use_mha_bias=True,
        use_mlp_bias=True,
        dropout_rate=0.0,
        layer_norm_epsilon=1e-6,
        initializer_range=0.02,
        **VIT,
    )
    former = BLIP2QFormer(
        num_query_tokens=2,
        intermediate_dim=16,
        vision_dim=16,
        cross_attention_frequency=1,
        dropout=0.0,
        layer_norm_epsilon=1e-6,
        **VIT,
    )
    language = BLIP2CustomOPT(
        num_query_tokens=2,
        qformer_hidden_dim=16,
        dropout=0.0,
        language_projection=None,
        **SHORT,
    )
    return hub.BLIP2Backbone(vision, former, language), {
        "images": images(),
        **tokens(),
    }


def two_encoders(backbone, family, package, **options):
    """Make a backbone of pictures and captions."""
    vision, text = (
        getattr(package, f"{family}{kind}Encoder")
        for kind in ("Vision", "Text")
    )
    model = backbone(
        vision(8, 16, 1, 2, 32, image_shape=(16, 16, 3), name="pictures"),
        text(40, 16, 16, 1, 2, 32, max_sequence_length=6, name="captions"),
        **options,
    )
    found = {"images": images(), "token_ids": integers(2, 6)}
    return model, found


def clip():
    """Return the backbone and inputs."""
    from keras_hub.src.models.clip import clip_text_encoder as text
    from keras_hub.src.models.clip import clip_vision_encoder as vision

    vision.CLIPTextEncoder = text.CLIPTextEncoder
    return two_encoders(hub.CLIPBackbone, "CLIP", vision, projection_dim=8)


def meta_clip():
    """Return the backbone and inputs."""
    from keras_hub.src.models.metaclip_2 import metaclip_2_text_encoder as text
    from keras_hub.src.models.metaclip_2 import (
        metaclip_2_vision_encoder as vision,
    )

    vision.MetaCLIP2TextEncoder = text.MetaCLIP2TextEncoder
    backbone = hub.MetaCLIP2Backbone
    return two_encoders(backbone, "MetaCLIP2", vision, projection_dim=8)


def siglip():
    """Return the backbone and inputs."""
    from keras_hub.src.models.siglip import siglip_text_encoder as text
    from keras_hub.src.models.siglip import siglip_vision_encoder as vision

    vision.SigLIPTextEncoder = text.SigLIPTextEncoder
    return two_encoders(hub.SigLIPBackbone, "SigLIP", vision)


def cspnet():
    """Return the backbone and inputs."""
    model = hub.CSPNetBackbone(
        stem_filters=8,
        stem_kernel_size=3,
        stem_strides=1,
        stackwise_strides=2,
        stackwise_depth=[1, 1],
        stackwise_num_filters=[8, 16],
        block_type="dark_block",
        stage_type="csp",
        bottle_ratio=(0.5, 1.0),
        block_ratio=(1.0, 0.5),
        expand_ratio=(2.0, 1.0),
        stem_padding="same",
        down_growth=True,
    )
    return model, images(32)


def d_fine():
    """Return the backbone and inputs."""
    model = hub.DFineBackbone(
        hgnet(image_shape=(32, 32, 3)),
        decoder_in_channels=[16, 16],
        encoder_hidden_dim=16,
        num_denoising=0,
        num_labels=4,
        hidden_dim=16,
        learn_initial_query=False,
        num_queries=10,
        anchor_image_size=(32, 32),
        feat_strides=[4, 8],
        num_feature_levels=2,
        encoder_in_channels=[16, 32],
        encode_proj_layers=[1],
        num_attention_heads=2,
        encoder_ffn_dim=32,
        num_encoder_layers=1,
        hidden_expansion=0.5,
        depth_multiplier=0.5,
        eval_idx=-1,
        num_decoder_layers=1,
        decoder_attention_heads=2,
        decoder_ffn_dim=32,
        decoder_n_points=[2, 2],
        lqe_hidden_dim=16,
        num_lqe_layers=2,
        out_features=["stage1", "stage2"],
        image_shape=(32, 32, 3),
        seed=0,
    )
    return model, images(32)


def deeplab():
    """Return the backbone and inputs."""
    shape = (32, 32, 3)
    model = hub.DeepLabV3Backbone(
        resnet(image_shape=shape),
        low_level_feature_key="P2",
        spatial_pyramid_pooling_key="P4",
        dilation_rates=[1, 2],
        upsampling_size=4,
        image_shape=shape,
    )
    return model, images(32)


def depth_anything():
    """Return the backbone and inputs."""
    encoder = hub.DINOV2Backbone(
        **{**DINO, "patch_size": 14, "num_layers": 4},
        num_register_tokens=0,
        apply_layernorm=True,
    )
    encoder = type(encoder).from_config(
        {**encoder.get_config(), "image_shape": (112, 112, 3)}
    )
    model = hub.DepthAnythingBackbone(
        encoder,
        reassemble_factors=[4, 2, 1, 0.5],
        neck_hidden_dims=[8, 8, 16, 16],
        fusion_hidden_dim=16,
        head_hidden_dim=8,
        head_in_index=-1,
        feature_keys=["stage1", "stage2", "stage3", "stage4"],
    )
    return model, images(112)


def efficientnet():
    """Return the backbone and inputs."""
    model = hub.EfficientNetBackbone(
        stackwise_kernel_sizes=[3, 3],
        stackwise_num_repeats=[1, 1],
        stackwise_input_filters=[8, 8],
        stackwise_output_filters=[8, 16],
        stackwise_expansion_ratios=[1, 4],
        stackwise_squeeze_and_excite_ratios=[0.0, 0.25],
        stackwise_strides=[1, 2],
        stackwise_block_types=["fused", "unfused"],
        stackwise_force_input_filters=[0, 0],
        stackwise_nores_option=[False, False],
        stackwise_width_coefficients=[1.0, 1.0],
        stackwise_depth_coefficients=[1.0, 1.0],
        # Not `num_features`, which its configuration leaves out.
        dropout=0.0,
    )
    return model, images(32)


def flux():
    """Return the backbone and inputs."""
    model = hub.FluxBackbone(
        input_channels=8,
        hidden_size=32,
        mlp_ratio=2.0,
        num_heads=2,
        depth=1,
        depth_single_blocks=1,
        axes_dim=[4, 6, 6],
        theta=10_000,
        use_bias=True,
        guidance_embed=True,
        image_shape=(4, 8),
        text_shape=(4, 8),
        image_ids_shape=(4, 3),
        text_ids_shape=(4, 3),
        y_shape=(8,),
    )
    return model, {
        "image": random(2, 4, 8),
        "image_ids": random(2, 4, 3),
        "text": random(2, 4, 8),
        "text_ids": random(2, 4, 3),
        "y": random(2, 8),
        "timesteps": random(2),
        "guidance": random(2),
    }


def gemma3n():
    """Return the backbone and inputs."""
    return hub.Gemma3nBackbone(
        text_vocab_size=40,
        text_hidden_size=8,
        num_hidden_layers=1,
        pad_token_id=0,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=4,
        intermediate_size=[16],
        hidden_activation="gelu_approximate",
        layer_types=["full_attention"],
        sliding_window=4,
        rope_theta=10000.0,
        max_position_embeddings=8,
        vocab_size_per_layer_input=40,
        hidden_size_per_layer_input=2,
        altup_num_inputs=2,
        laurel_rank=1,
    ), tokens()
