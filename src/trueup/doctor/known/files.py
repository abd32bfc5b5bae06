"""Incomplete, damaged or dangerous files, as the loaders report them. Data only."""

from __future__ import annotations

from trueup.doctor.known.row import CHECK, Known

ROWS = (
    Known(
        code="DIR107",
        patterns=(
            r"incomplete metadata, file not fully covered",
            r"MetadataIncompleteBuffer",
            r"PytorchStreamReader failed (?:reading zip archive|finding central directory)",
            r"unexpected EOF, expected \d+ more bytes",
        ),
        cause="a weight file is cut short: a download or a copy that ended early",
        hint="copy the file again; the check names it and how much is missing",
        command=CHECK,
    ),
    Known(
        code="DIR108",
        patterns=(
            r"header too large",
            r"HeaderTooLarge",
            r"invalid load key, '(?:v|<|\\n)'",
            r"UnpicklingError: invalid load key",
            r"not a string.*sentencepiece|could not parse ModelProto",
        ),
        cause="a file holds something else than its name says: a Git LFS pointer or a web page "
        "in place of the content",
        hint="fetch the content: `git lfs pull`, or `hf download`",
        command=CHECK,
    ),
    Known(
        code="DIR110",
        patterns=(r"InvalidHeader", r"HeaderTooSmall", r"Error while deserializing header"),
        cause="the header of a safetensors file cannot be read",
        hint="copy the file again; the check names it",
        command=CHECK,
    ),
    Known(
        code="DIR112",
        patterns=(r"does not appear to have a file named (?P<file>[\w.-]+\.py)",),
        cause="`auto_map` in config.json names `{file}`, which is not in the directory",
        hint="copy it from where the model came from; the native route does not need it",
        command=CHECK,
    ),
    Known(
        code="DIR101",
        patterns=(r"does not appear to have a file named (?P<file>config\.json)",),
        cause="there is no config.json in the directory",
        hint="copy it from where the model came from",
        command=CHECK,
    ),
    Known(
        code="DIR103",
        patterns=(
            r"no file named (?:pytorch_model\.bin|model\.safetensors)",
            r"does not appear to have a file named (?:pytorch_model\.bin|model\.safetensors)",
        ),
        cause="there are no weights in the directory",
        hint="copy the weight files from where the model came from",
        command=CHECK,
    ),
    Known(
        code="DIR104",
        patterns=(r"No such file or directory.*(?P<file>(?:model|pytorch_model)-\d+-of-\d+\.\w+)",),
        cause="the index names `{file}`, which is not in the directory",
        hint="copy the missing shard; the check lists all of them",
        command=CHECK,
    ),
    Known(
        code="DIR102",
        is_broad=True,
        patterns=(
            r"It looks like the config file at '?(?P<file>[^']+)'? is not a valid JSON",
            r"JSONDecodeError: (?:Expecting|Extra data|Invalid)",
        ),
        cause="a JSON file of the model does not parse",
        hint="copy it again; the check names the file and the line",
        command=CHECK,
    ),
    Known(
        code="SAFE101",
        patterns=(
            r"Weights only load failed",
            r"WeightsUnpickler error: Unsupported (?:global|class|operand)",
            r"is not an allowed global by default",
        ),
        cause="the pickled weights name functions that plain weights do not need; unpickling "
        "would call them",
        hint="do not set `weights_only=False`; get the weights as safetensors",
        command=CHECK,
    ),
    Known(
        code="LOAD104",
        patterns=(r"require users to upgrade torch to at least v?2\.6", r"CVE-2025-32434"),
        cause="pickled weights and a torch older than 2.6, whose loader could be made to run code",
        hint='`pip install "torch>=2.6"`, or use safetensors',
        command=CHECK,
    ),
    Known(
        code="DIR115",
        is_broad=True,
        patterns=(r"size mismatch for (?P<name>[\w.]+)",),
        cause="the weights are of another size than config.json says, `{name}` first",
        hint="config.json and the weights are of different models or versions: copy both again",
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
        cause="the model is not in the local cache and the hub cannot be reached",
        hint="give a directory, or fill the cache with `hf download` where there is a network",
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
)
