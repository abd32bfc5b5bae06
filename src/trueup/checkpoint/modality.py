"""Models that read no text, and those that have no vector of a text alone. Pure.

The names are those of transformers' releases from 4.41 to 5.23: types that its table of tokenizers
lacks and whose classes take pixels, sound or series; and base classes that ask for more than the
ids of tokens.
"""

from __future__ import annotations

import re

from trueup.checkpoint.checkpoint import Checkpoint

_TYPES = {
    "images": """
        aimv2_vision_model beit bit chinese_clip_vision_model chmv2 clip_vision_model
        conditional_detr convnext convnextv2 cosmos3_edge_vision cvt d_fine dab-detr
        data2vec-vision deformable_detr deimv2 deit depth_anything depth_pro deta detr dinat
        dinov2 dinov2_with_registers dinov3_convnext dinov3_vit donut-swin dpt edgetam
        edgetam_video edgetam_vision_model efficientformer efficientloftr efficientnet eomt
        eomt_dinov3 focalnet gemma3n_vision glm_image_vision glpn hgnet_v2 hiera
        hunyuan_vl_vision ijepa imagegpt inkling2_vision internvl_vision levit lightglue
        lw_detr lw_detr_vit mask2former maskformer maskformer-swin minicpm_ocr_vision
        minicpmv4_7_vision mlcd mlcd_vision_model mobilenet_v1 mobilenet_v2 mobilevit
        mobilevitv2 muse_glimmer_vision muse_spark_vision nat pixio poolformer
        pp_doclayout_v2 pp_doclayout_v3 pp_doclayout_v4 pp_lcnet pp_lcnet_v3 pp_lcnet_v4
        prompt_depth_anything pvt pvt_v2 qianfan_ocr_vision radio regnet resnet rf_detr
        rf_detr_dinov2 rt_detr rt_detr_resnet rt_detr_v2 sam sam2 sam2_hiera_det_model
        sam2_video sam2_vision_model sam3_tracker sam3_tracker_video sam3_vision_model
        sam3_vit_model sam_hq sam_hq_vision_model sam_vision_model sapiens2 segformer seggpt
        siglip2_vision_model siglip_vision_model slanet slanext superglue superpoint
        swiftformer swin swin2sr swinv2 table-transformer textnet timesformer timm_backbone
        timm_wrapper tipsv2_dpt tipsv2_vision_model tvlt upernet uvdoc uvdoc_backbone van
        video_llama_3_vision videomae vit vit_hybrid vit_mae vit_msn vitdet vitmatte vitpose
        vitpose_backbone vivit yolos zoedepth
    """,
    "videos": """
        pe_video_encoder videomt videoprism_vision_model vjepa2
    """,
    "sound": """
        audio-spectrogram-transformer audioflamingo3_encoder dac encodec
        fun_asr_nano_encoder gemma4_audio glmasr_encoder granite_speech5_encoder mimi
        mimi_encoder moss_transcribe_diarize_audio muse_spark_audio nemotron3_diarization
        nemotron3_diarization_audio nemotron_asr_streaming_encoder neucodec
        parakeet_encoder pe_audio_encoder pe_audio_video_encoder pocket_tts_audio_tokenizer
        pocket_tts_audio_tokenizer_encoder qwen2_audio_encoder qwen3_asr_encoder univnet
        vibevoice_acoustic_tokenizer vibevoice_acoustic_tokenizer_decoder
        vibevoice_acoustic_tokenizer_encoder voxtral_encoder voxtral_realtime_encoder xcodec
        xcodec2
    """,
    "series": """
        autoformer decision_transformer informer patchtsmixer patchtst
        time_series_transformer timesfm timesfm2_5
    """,
}
WITHOUT_TEXT = {name: what for what, names in _TYPES.items() for name in names.split()}
# Two towers, or input of more than text; the last ones speak or have no table of tokens.
_BESIDE_TEXT = """
    aimv2 align altclip blip blip-2 bridgetower chinese_clip clap clip clipseg flava groupvit lxmert
    metaclip_2 mgp-str oneformer owlv2 owlvit pe_audio pe_audio_video pe_video pix2struct siglip
    siglip2 tvp vilt vision-text-dual-encoder xclip
    bark canine clvp dia fastspeech2_conformer fastspeech2_conformer_with_hifigan speecht5 vits
"""
WITHOUT_TEXT_VECTOR = frozenset(_BESIDE_TEXT.split())
# These take sound, and some of their heads answer in text.
_SPEECH = """
    data2vec-audio hubert mctct moonshine parakeet_ctc sew sew-d unispeech unispeech-sat wav2vec2
    wav2vec2-bert wav2vec2-conformer wavlm
"""
SPEECH = frozenset(_SPEECH.split())
# What stands in configs that bring vectors of texts and of something else into one space.
OF_TWO_TOWERS = ("projection_dim", "logit_scale_init_value")
_HEADS = (
    (re.compile(r"For(?:(?!\w*Text)\w*Image\w*|\w*Segmentation|\w*ObjectDetection|DepthEstimation|"
                r"MaskGeneration|Keypoint\w+)$"), "images"),
    (re.compile(r"ForVideo\w+$"), "videos"),
    (re.compile(r"For(?:Audio\w+|XVector|AudioFrameClassification)$"), "sound"),
)  # fmt: skip
# Beside a tokenizer's files there would be one of these.
_TOKENIZER_FILES = ("tokenizer_config.json", "tokenizer.json", "vocab.json", "vocab.txt")
_PREPROCESSOR_FILES = ("preprocessor_config.json", "video_preprocessor_config.json")
# Heads that answer in text, for which a processor's tokenizer is needed.
_ANSWERS_IN_TEXT = re.compile(r"(?:ForCTC|Generation|LM|LMHeadModel|RNNT|TDT|QuestionAnswering)")


def read_instead_of_text(checkpoint: Checkpoint) -> str | None:
    """What a model that reads no text reads: `images`, `videos`, `sound`, `series`; else None.

    1. Its type, as the library has it. 2. A head of images or sound, without a tokenizer's files.
    3. Where it has a preprocessor's settings, no tokenizer's files, no vocabulary and no head that
    answers in text, it reads something else than text.
    """
    if "AutoTokenizer" in checkpoint.auto_map:
        return None
    config, name = checkpoint.config, "".join(checkpoint.architectures[:1])
    if checkpoint.model_type in WITHOUT_TEXT and not checkpoint.auto_map:  # 1
        return WITHOUT_TEXT[checkpoint.model_type]
    if checkpoint.model_type in SPEECH and not checkpoint.auto_map:
        return "sound"
    if any(file in checkpoint.files for file in _TOKENIZER_FILES):
        return None
    has_text = "text_config" in config or "decoder" in config
    if not has_text:  # 2
        found = next((what for head, what in _HEADS if head.search(name)), None)
        if found is not None:
            return found
    has_preprocessor = any(file in checkpoint.files for file in _PREPROCESSOR_FILES)
    if not has_preprocessor or has_text or _ANSWERS_IN_TEXT.search(name):
        return None
    return None if "vocab_size" in config else "images"  # 3


def needs_tokenizer(checkpoint: Checkpoint) -> bool:
    """Whether text goes into the model or comes out of it."""
    if read_instead_of_text(checkpoint) is None:
        return True
    name = "".join(checkpoint.architectures[:1])
    return checkpoint.model_type in SPEECH and _ANSWERS_IN_TEXT.search(name) is not None


def lacks_text_vector(checkpoint: Checkpoint) -> bool:
    """Whether the library's class without a head makes no vector of a text alone."""
    config = checkpoint.config
    if checkpoint.model_type in WITHOUT_TEXT_VECTOR:
        return True
    return isinstance(config.get("text_config"), dict) and any(
        key in config for key in OF_TWO_TOWERS
    )
