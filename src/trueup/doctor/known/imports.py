"""Names and packages that a model's own code imports and that are not there. Data only."""

from __future__ import annotations

from trueup.doctor.known.row import CHECK, PLAN, Known

ROWS = (
    Known(
        code="IMP101",
        patterns=(
            r"cannot import name '?(?P<name>DisjunctiveConstraint|PhrasalConstraint|"
            r"ConstrainedBeamSearchScorer)",
        ),
        since="5.0.0",
        cause="`{name}` left transformers; Qwen's first code reaches it through "
        "transformers_stream_generator",
        hint="drop that dependency: stream with `generate(streamer=...)`",
        command=PLAN,
    ),
    Known(
        code="IMP101",
        patterns=(r"cannot import name '?(?P<name>BeamSearchScorer)",),
        since="4.57.0",
        cause="`{name}` left transformers; Qwen's first code reaches it through "
        "transformers_stream_generator",
        hint="drop that dependency: stream with `generate(streamer=...)`",
        command=PLAN,
    ),
    Known(
        code="IMP101",
        patterns=(r"cannot import name '?is_torch_fx_available",),
        since="5.0.0",
        cause="`is_torch_fx_available` left transformers",
        hint="remove the import and what it guards from the model's code",
        command=PLAN,
    ),
    Known(
        code="IMP101",
        patterns=(r"cannot import name '?is_torch_greater_or_equal_than_1_13",),
        since="4.48.0",
        until="4.48.2",
        cause="`is_torch_greater_or_equal_than_1_13` is missing from transformers 4.48.0 and "
        "4.48.1 alone",
        hint="install transformers 4.48.3 or another release",
        command=PLAN,
    ),
    Known(
        code="IMP101",
        patterns=(r"cannot import name '?(?P<name>Llama(?:Flash|Sdpa)\w*Attention2?)",),
        since="4.48.0",
        cause="the attention classes were merged: `{name}` is gone",
        hint="use `LlamaAttention` in its place",
        command=PLAN,
    ),
    Known(
        code="IMP104",
        patterns=(r"No module named '?(?P<name>torch\._six)",),
        cause="torch 2.0 took `{name}` away, and the model's code imports it",
        hint="take what it gives from Python: `inf` is `math.inf`, `string_classes` is `str`",
        command=CHECK,
    ),
    Known(
        code="IMP101",
        patterns=(r"cannot import name '?(?P<name>_expand_mask|_make_causal_mask)",),
        since="4.35.0",
        cause="the private helper `{name}` was moved",
        hint="copy it into the model's code",
        command=PLAN,
    ),
    Known(
        code="IMP102",
        is_broad=True,
        patterns=(r"cannot import name '?(?P<name>\w+)'? from '?(?P<source>transformers[\w.]*)",),
        cause="the installed transformers has no `{name}` in `{source}`",
        hint="check the model against your version: it names the places and a way around",
        command=CHECK,
    ),
    Known(
        code="ENV102",
        patterns=(
            r"requires the following packages that were not found in your environment:\s*"
            r"(?P<packages>[\w, .-]+)",
            r"No module named '?(?P<packages>sentencepiece|tiktoken|einops|timm|"
            r"transformers_stream_generator|flash_attn)",
        ),
        cause="the model's code imports `{packages}`, which is not installed; imports inside "
        "functions count too",
        hint="install it in the environment that loads the model",
        command=CHECK,
    ),
    Known(
        code="ENV101",
        patterns=(r"No module named '?transformers\b",),
        cause="transformers is not installed in the interpreter that ran",
        hint="`pip install transformers torch` with that interpreter",
    ),
)
