"""Make a small encoder with random weights, to try the agents without a download.

A RoBERTa of two layers with a byte-level BPE tokenizer trained on the code of a folder. Its
vectors know which tokens a text has and nothing of what they mean: copies of code are found,
descriptions in words are not. Usage: `python make_encoder.py [--out DIR] [--code FOLDER]`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
VOCABULARY = 1000
CONTEXT_TOKENS = 512
# Of freshly made weights all vectors are nearly the same one; larger ones keep texts apart.
WEIGHT_SCALE = 4.0


def read_code(folder: Path) -> list[str]:
    """The texts of the folder's Python files, sorted by path."""
    paths = sorted(path for path in folder.rglob("*.py") if path.is_file())
    return [path.read_text(encoding="utf-8", errors="replace") for path in paths]


def make_tokenizer(texts: list[str]) -> Any:
    """A tokenizer as RoBERTa's: pieces of bytes, `<s>` and `</s>` around each text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> $B </s>",
        special_tokens=[(token, SPECIAL.index(token)) for token in ("<s>", "</s>")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=CONTEXT_TOKENS,
        bos_token="<s>",
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        mask_token="<mask>",
        cls_token="<s>",
        sep_token="</s>",
    )


def make_model(vocabulary: int) -> Any:
    """Two layers of 64 numbers; always the same ones."""
    import torch
    from transformers import RobertaConfig, RobertaModel

    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=CONTEXT_TOKENS + 2,  # RoBERTa counts from the padding id 1 on
        type_vocab_size=1,
        bos_token_id=SPECIAL.index("<s>"),
        pad_token_id=SPECIAL.index("<pad>"),
        eos_token_id=SPECIAL.index("</s>"),
    )
    model = RobertaModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(WEIGHT_SCALE)
        # Which tokens there are tells texts apart here; where they stand would only add noise.
        model.embeddings.position_embeddings.weight.mul_(0.05)
    return model


def main(words: list[str] | None = None) -> int:
    """Write the encoder; 1 where the folder has no code or the directory is taken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=HERE / "encoder", metavar="DIR")
    parser.add_argument("--code", type=Path, default=HERE / "sample_project", metavar="FOLDER")
    arguments = parser.parse_args(words)
    texts = read_code(arguments.code)
    if not any(text.strip() for text in texts):
        print(f"error: `{arguments.code}` has no Python files with code", file=sys.stderr)
        return 1
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
        tokenizer = make_tokenizer(texts)
        tokenizer.save_pretrained(arguments.out)
        make_model(len(tokenizer)).save_pretrained(arguments.out)
    except OSError as error:
        print(f"error: `{arguments.out}` cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: an encoder with random weights, {len(tokenizer)} tokens")
    print("its vectors know only which tokens a text has, not what they mean", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
