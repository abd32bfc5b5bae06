"""A tiny random Qwen2 checkpoint with a tokenizer and a chat template, for servers of others.

`python -m tests.clients.checkpoint FOLDER` writes one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

CORPUS = Path(__file__).parent.parent / "checkpoints" / "corpus.txt"
CONTEXT_TOKENS = 2048
VOCABULARY_TOKENS = 700
SPECIAL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
# As many templates do, it refuses what is out of turn: what a server then says is a row of its own.
CHAT_TEMPLATE = """\
{%- if messages[0]['role'] == 'system' -%}
{%- set first = messages[0]['content'] -%}{%- set turns = messages[1:] -%}
{%- else -%}
{%- set first = 'You are a helpful assistant.' -%}{%- set turns = messages -%}
{%- endif -%}
<|im_start|>system
{{ first }}{%- if tools %}
Tools: {{ tools | tojson }}{%- endif %}<|im_end|>
{% for message in turns -%}
{%- if message['role'] not in ('user', 'assistant', 'tool') -%}
{{- raise_exception('unexpected role ' + message['role']) -}}
{%- endif -%}
<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endfor -%}
{%- if add_generation_prompt -%}<|im_start|>assistant
{% endif -%}"""


def write_checkpoint(folder: Path, *, seed: int = 0, context_tokens: int = CONTEXT_TOKENS) -> Path:
    """Write the checkpoint into `folder` (made if missing) and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary_tokens = _write_tokenizer(folder, context_tokens)
    _write_model(folder, vocabulary_tokens, seed, context_tokens)
    return folder


def _write_tokenizer(folder: Path, context_tokens: int) -> int:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(CORPUS)], trainer)
    tokenizer.add_special_tokens(
        [AddedToken(each, normalized=False, special=True) for each in SPECIAL_TOKENS]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": CHAT_TEMPLATE,
        "eos_token": "<|im_end|>",
        "pad_token": "<|endoftext|>",
        "model_max_length": context_tokens,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2), "utf-8")
    return int(tokenizer.get_vocab_size())


def _write_model(folder: Path, vocabulary_tokens: int, seed: int, context_tokens: int) -> None:
    import torch
    import transformers

    torch.manual_seed(seed)
    first_special = vocabulary_tokens - len(SPECIAL_TOKENS)
    config = transformers.Qwen2Config(
        vocab_size=vocabulary_tokens,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context_tokens,
        tie_word_embeddings=False,
        eos_token_id=first_special + SPECIAL_TOKENS.index("<|im_end|>"),
        pad_token_id=first_special,
        bos_token_id=None,
    )
    model = transformers.Qwen2ForCausalLM(config)
    with torch.no_grad():
        # Wider than at the start of a training, so that greedy answers say something.
        model.lm_head.weight.mul_(20)
        # Next to never chosen: answers end where they are told to.
        model.lm_head.weight[first_special:].zero_()
    model.save_pretrained(folder)


if __name__ == "__main__":
    print(write_checkpoint(Path(sys.argv[1])))
