from typing import Any

import pytest

from tests.doctor.facts import checkpoint
from trueup.checkpoint.modality import lacks_text_vector, needs_tokenizer, read_instead_of_text


@pytest.mark.parametrize(
    ("config", "files", "read"),
    [
        ({"model_type": "vit"}, (), "images"),
        ({"model_type": "detr"}, (), "images"),
        ({"model_type": "patchtst"}, (), "series"),
        ({"model_type": "encodec"}, (), "sound"),
        ({"model_type": "llama"}, (), None),
        ({"model_type": "new", "architectures": ["NewForImageClassification"]}, (), "images"),
        ({"model_type": "new", "architectures": ["NewForImageTextToText"]}, (), None),
        ({"model_type": "new", "architectures": ["NewModel"]}, (), None),
        ({"model_type": "new", "architectures": ["NewModel"]}, ("preprocessor_config.json",),
         "images"),
        ({"model_type": "new", "text_config": {}}, ("preprocessor_config.json",), None),
        ({"model_type": "new"}, ("preprocessor_config.json", "tokenizer.json"), None),
        ({"model_type": "hubert", "architectures": ["HubertForCTC"]}, ("tokenizer.json",), "sound"),
        ({"model_type": "wav2vec2", "architectures": ["Wav2Vec2Model"]}, (), "sound"),
    ],
)  # fmt: skip
def test_what_a_model_reads_instead_of_text(
    config: dict[str, Any], files: tuple[str, ...], read: str | None
) -> None:
    assert read_instead_of_text(checkpoint(config=config, files=files)) == read


@pytest.mark.parametrize(
    ("name", "needs"),
    [
        ("HubertForCTC", True),
        ("HubertForSequenceClassification", False),
        ("HubertModel", False),
    ],
)
def test_what_hears_needs_a_tokenizer_for_its_answers_alone(name: str, needs: bool) -> None:
    config = {"model_type": "hubert", "architectures": [name], "vocab_size": 32}
    assert needs_tokenizer(checkpoint(config=config)) is needs


def test_code_of_its_own_with_a_tokenizer_reads_text_whatever_its_type() -> None:
    own = checkpoint(config={"model_type": "vit"}, auto_map={"AutoTokenizer": "tokenization_x.X"})
    assert read_instead_of_text(own) is None


@pytest.mark.parametrize(
    ("config", "lacks"),
    [
        ({"model_type": "clip"}, True),
        ({"model_type": "siglip", "text_config": {}}, True),
        ({"model_type": "new", "text_config": {}, "projection_dim": 8}, True),
        ({"model_type": "llava", "text_config": {}, "vision_config": {}}, False),
        ({"model_type": "clip_text_model", "projection_dim": 8}, False),
    ],
)
def test_models_of_two_towers_have_no_vector_of_a_text_alone(
    config: dict[str, Any], lacks: bool
) -> None:
    assert lacks_text_vector(checkpoint(config=config)) is lacks
