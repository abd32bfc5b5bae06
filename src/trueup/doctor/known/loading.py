"""Loading on a machine or from a hub that is not as it should be. Data only.

What a rule of the check is about stands with that rule.
"""

from __future__ import annotations

from trueup.doctor.known.row import CHAT, CHECK, PLAN, Known

ROWS = (
    Known(
        code="TOK112",
        patterns=(
            r"property '(?P<name>\w+_token)' of '(?P<owner>\w*Tokenizer\w*)' object has no setter",
            r"can't set attribute '?(?P<name>\w+_token)\b",
        ),
        cause="`{name}` is read-only in the tokenizer's own class, and tokenizer_config.json, "
        "written again by another program, sets it",
        hint="take tokenizer_config.json from where the model came from, or remove `{name}` "
        "from it; TrueUp's native route runs the GLM family without that code",
        command=CHAT,
    ),
    Known(
        code="HUB103",
        patterns=(r"missing the '?X-Repo-Commit'? header",),
        cause="what answered is not a hub: the sign-in page of a network, a proxy, or a wrong "
        "HF_ENDPOINT",
        hint="sign in to the network with a browser, or correct the proxy and HF_ENDPOINT",
        command=CHECK,
    ),
    Known(
        code="HUB101",
        patterns=(
            r"couldn't connect to '?https://huggingface\.co",
            r"LocalEntryNotFoundError",
            r"OfflineModeIsEnabled",
            r"Max retries exceeded.*huggingface\.co",
        ),
        cause="the model is not in the local cache and the hub cannot be reached, or it refused: "
        "huggingface_hub says the same of a 403, 404, 429 and 500",
        hint="the check asks the hub and says which it is; else give a directory, or fill the "
        "cache with `hf download` where there is a network",
        command=CHECK,
    ),
    Known(
        code="HUB102",
        patterns=(
            r"HFValidationError",
            r"Repo id must (?:be in the form|use alphanumeric)",
            r"is not a local folder and is not a valid model identifier",
        ),
        cause="a path that does not exist was taken for a hub id",
        hint="look at the path: the check offers the nearest names that are there",
        command=CHECK,
    ),
    Known(
        code="MEM101",
        patterns=(
            r"CUDA out of memory",
            r"torch\.(?:cuda\.)?OutOfMemoryError",
            r"DefaultCPUAllocator: can't allocate memory",
        ),
        cause="the memory does not hold the model and its cache",
        hint="the plan says what the model needs; choose a smaller dtype or context",
        command=PLAN,
    ),
    Known(
        code="ENV109",
        patterns=(
            r"requires `?[Aa]ccelerate\b",
            r"name 'init_empty_weights' is not defined",
        ),
        cause="`accelerate` is not installed, or too old for this transformers: `device_map`, "
        "`low_cpu_mem_usage` and quantised weights need it",
        hint="pip install --upgrade accelerate",
    ),
    Known(
        code="ENV110",
        patterns=(
            r"\"\w+\" not implemented for '?Half",
            r"'?\w+_cpu_?'? not implemented for '?Half",
        ),
        cause="this torch cannot compute in float16 on the CPU, which the weights are loaded as",
        hint="load them as float32 or bfloat16 (`dtype=`, before transformers 4.56 "
        "`torch_dtype=`), or install a newer torch",
        command="trueup chat MODEL --dtype float32",
    ),
    Known(
        code="ENV111",
        patterns=(r"cannot import name '?EncoderDecoderCache\b",),
        seen_with=(r"\bpeft\b",),
        cause="the installed peft is newer than this transformers: it needs "
        "`transformers.EncoderDecoderCache`, which came with 4.43.0",
        hint="use transformers 4.43.0 or newer, or an older peft",
    ),
    Known(
        code="ENV103",
        patterns=(r"operator torchvision::nms does not exist",),
        cause="the installed torchvision does not match torch, and every import of transformers "
        "or LlamaFactory's code then fails",
        hint="install the torchvision of that torch, or remove torchvision",
    ),
    Known(
        code="ENV104",
        patterns=(
            r"Torch not compiled with CUDA enabled",
            r"Found no NVIDIA driver on your system",
        ),
        cause="the code asks for CUDA, and this torch or this machine has none",
        hint="run on the CPU: `--device cpu`",
        command="trueup chat MODEL --device cpu",
    ),
)
