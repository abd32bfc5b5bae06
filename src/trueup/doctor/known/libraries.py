"""Remote code on a transformers or torch that it was not written for. Data only."""

from __future__ import annotations

from trueup.doctor.known.row import CHAT, CHECK, PLAN, Known

NATIVE_HINT = "TrueUp's native route runs the GLM family without that code"

ROWS = (
    Known(
        code="TOK101",
        patterns=(
            r"has no attribute '?(?:sp_model|sp_tokenizer|tokenizer|vocab_size|mergeable_ranks)'?",
            r"'property' object cannot be interpreted as an integer",
            r"'property' object is not iterable",
        ),
        seen_with=(r"tokenization_\w+\.py", r"get_vocab", r"vocab_size", r"_add_tokens"),
        cause="the tokenizer's own code calls `super().__init__` before its vocabulary is set, "
        "and the base class asks for the vocabulary while it starts",
        hint=f"set the vocabulary first and call `super().__init__` last; {NATIVE_HINT}",
        command=CHECK,
    ),
    Known(
        code="TOK101",
        patterns=(r"requires the protobuf library but it was not found",),
        cause="mostly a mask for another error: the handler of a tokenizer that fails while it "
        "starts needs protobuf itself",
        hint="`pip install protobuf` shows the real error; with remote code it is the order of "
        "`super().__init__` and the vocabulary",
        command=CHECK,
    ),
    Known(
        code="TOK104",
        patterns=(r"_pad\(\) got an unexpected keyword argument '?padding_side",),
        seen_with=(r"tokenization_\w+\.py",),
        cause="the tokenizer's own `_pad` does not accept `padding_side`, which the base class "
        "passes",
        hint=f"add `padding_side=None` to the parameters of `_pad`; {NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="TOK105",
        patterns=(r"no attribute '?_?batch_encode_plus",),
        cause="transformers 5 has no `batch_encode_plus`",
        hint=f"call the tokenizer itself, or its `pad` for ids; {NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="TOK112",
        patterns=(
            r"property '(?P<name>\w+_token)' of '(?P<owner>\w*Tokenizer\w*)' object has no setter",
            r"can't set attribute '?(?P<name>\w+_token)\b",
        ),
        cause="`{name}` is read-only in the tokenizer's own class, and tokenizer_config.json, "
        "written again by another program, sets it",
        hint="take tokenizer_config.json from where the model came from, or remove `{name}` "
        f"from it; {NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="GEN105",
        patterns=(
            r"'(?P<model>\w*(?:For|LMHead|Model)\w*)' object has no attribute '?(?:generate\b|"
            r"generation_config)",
        ),
        since="4.52.1",
        cause="PreTrainedModel no longer brings `generate`; the Auto classes add it to the outer "
        "class of remote code only",
        hint="let the class inherit from GenerationMixin as well, after PreTrainedModel",
        command=CHECK,
    ),
    Known(
        code="CFG101",
        patterns=(r"'(?P<config>\w+)' object has no attribute '?num_hidden_layers",),
        cause="`{config}` has no `num_hidden_layers`, from which `generate` builds its cache",
        hint='add `attribute_map = {{"num_hidden_layers": "num_layers"}}` to the config class; '
        f"{NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="CFG102",
        patterns=(
            r"'(?P<config>\w*Config\w*)' object has no attribute '?(?P<key>max_length|use_cache|"
            r"min_length|do_sample|num_beams|temperature|top_[kp]|repetition_penalty|"
            r"length_penalty|early_stopping|forced_[be]os_token_id|output_scores|"
            r"num_return_sequences|no_repeat_ngram_size|suppress_tokens|typical_p)\b",
        ),
        cause="the model's code reads `{key}` from its config; transformers 5 keeps generation "
        "settings out of configs, even where config.json names them",
        hint=f"read it with a default, or from the generation config; {NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="CFG104",
        patterns=(
            r"'(?P<config>\w*Config\w*)' object has no attribute '?(?P<key>(?:pad|bos|eos|sep|"
            r"decoder_start)_token_id|use_return_dict|tie_word_embeddings|torchscript|"
            r"is_decoder|add_cross_attention|pruned_heads|cross_attention_hidden_size)\b",
        ),
        since="5.0.0",
        cause="the base config of transformers 5 no longer sets `{key}`",
        hint="read it with a default, or name it in config.json",
        command=CHECK,
    ),
    Known(
        code="CFG105",
        patterns=(
            r"object has no attribute '?get_text_config",
            r"type object '\w*Config\w*' has no attribute '?register_for_auto_class",
            r"should be an instance of class `?Pre[tT]rainedConfig",
        ),
        cause="the model's config class does not inherit from PretrainedConfig, and the library "
        "calls its methods",
        hint="let it inherit from PretrainedConfig",
        command=CHECK,
    ),
    Known(
        code="CFG106",
        is_broad=True,
        patterns=(r"KeyError: 'type'",),
        seen_with=(r"rope", r"configuration_\w+\.py", r"_init_rope"),
        since="5.0.0",
        cause="`rope_scaling` has become `rope_parameters`, with `rope_type` for `type`, and the "
        "model's code reads the old key",
        hint="accept `rope_type`, and take `default` for none",
        command=CHECK,
    ),
    Known(
        code="CFG103",
        patterns=(
            r"does not recognize this architecture",
            r"Unrecognized model in .* Should have a `?model_type",
            r"Unrecognized configuration class",
            r"KeyError: '(?:chatglm|baichuan|internlm2?|qwen|aquila)'",
        ),
        cause="neither the installed transformers nor code in the directory implements the model",
        hint="install a newer transformers, or get the model's Python files",
        command=CHECK,
    ),
    Known(
        code="LOAD102",
        patterns=(r"object has no attribute '?all_tied_weights_keys",),
        cause="the model's constructor never calls `self.post_init()`",
        hint=f"call it at the end of `__init__`; {NATIVE_HINT}",
        command=CHAT,
    ),
    Known(
        code="LOAD105",
        is_broad=True,
        patterns=(r"'list' object has no attribute '?keys",),
        seen_with=(r"tied", r"modeling_utils\.py", r"save_pretrained"),
        since="5.0.0",
        cause="`_tied_weights_keys` of the model's code is a list, where transformers 5 wants "
        "target names and sources",
        hint="make it a dictionary of target to source",
        command=CHECK,
    ),
    Known(
        code="LOAD101",
        patterns=(r"argument 'dtype' must be torch\.dtype, not str",),
        cause="the model's constructor hands `config.torch_dtype` to torch while it is still text",
        hint="pass `torch_dtype=` to `from_pretrained`, or leave transformers 4.49",
        command=PLAN,
    ),
    Known(
        code="LOAD106",
        patterns=(
            r"Tensor\.item\(\) cannot be called on meta tensors",
            r"Cannot copy out of meta tensor",
        ),
        since="5.0.0",
        cause="transformers 5 builds models without memory, and the model's constructor computes "
        "with tensors",
        hint="use plain Python arithmetic in the constructor",
        command=CHECK,
    ),
    Known(
        code="LOAD107",
        patterns=(r"object has no attribute '?_supports_sdpa", r"_supports_(?:sdpa|flash_attn)"),
        since="4.54.0",
        cause="the base class asks the model what its attention supports before the part that "
        "would answer is there",
        hint='set it as a class attribute, or load with `attn_implementation="eager"`',
        command=CHECK,
    ),
    Known(
        code="LOAD108",
        patterns=(r"object has no attribute '?get_head_mask",),
        since="5.0.0",
        cause="the base class no longer has `get_head_mask`",
        hint="copy it into the model's code",
        command=CHECK,
    ),
    Known(
        code="LOAD108",
        patterns=(
            r"object has no attribute '?(?P<name>get_extended_attention_mask|"
            r"invert_attention_mask)",
            r"(?P<name>get_extended_attention_mask)",
        ),
        since="5.17.0",
        cause="the base class no longer has `{name}`",
        hint="copy it into the model's code",
        command=CHECK,
    ),
    Known(
        code="LOAD103",
        is_broad=True,
        patterns=(
            r"probability tensor contains either `?inf`?, `?nan`?",
            r"logits (?:are|contain)\w* nan",
        ),
        cause="the logits are not numbers: on transformers 5 often a table of the model's code "
        "that is left unset when it is loaded, else fp16 out of range",
        hint="compare the logits with a known good run before trusting the model",
        command=CHECK,
    ),
)
