"""LlamaFactory, local or over SSH. Data only."""

from __future__ import annotations

from trueup.doctor.known.row import CHECK, Known

ROWS = (
    Known(
        code="LLAMAFACTORY101",
        patterns=(
            r"llamafactory-cli: (?:command )?not found",
            r"(?:未找到命令|找不到命令).*llamafactory|llamafactory-cli.*(?:未找到命令|找不到命令)",
            r"No such file or directory: '?llamafactory-cli",
        ),
        cause="`llamafactory-cli` is not on the PATH: a plain SSH command reads no profile, and "
        "`bash -lc` does not activate conda",
        hint="call it by its full path in its environment, as `ENV/bin/llamafactory-cli`",
    ),
    Known(
        code="LLAMAFACTORY102",
        patterns=(r"Template (?P<name>[\w.-]+) does not exist",),
        cause="LlamaFactory has no template `{name}`; Qwen2 and Qwen2.5 use `qwen`",
        hint="name an existing template, or none to take the tokenizer's own",
    ),
    Known(
        code="LLAMAFACTORY103",
        patterns=(r"Can't find 'adapter_config\.json'", r"no adapter_config\.json"),
        cause="the adapter's path does not exist or holds no adapter",
        hint="give the folder that has adapter_config.json in it",
    ),
    Known(
        code="LLAMAFACTORY104",
        patterns=(r"Failed to load tokenizer",),
        cause="LlamaFactory did not find the base model, or its tokenizer does not load",
        hint="check the base model's directory: the check says what is missing",
        command=CHECK,
    ),
    Known(
        code="LLAMAFACTORY105",
        patterns=(r"Some specified arguments are not used by the HfArgumentParser",),
        cause="LlamaFactory does not know an argument that was given",
        hint="look for a misspelt key in the YAML file or the command line",
    ),
    Known(
        code="SSH101",
        patterns=(
            r"Host key verification failed",
            r"Host key is not trusted",
            r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        ),
        cause="the host's key is not the one in known_hosts",
        hint="check the key with the host's owner, then update known_hosts",
    ),
    Known(
        code="SSH102",
        patterns=(
            r"Permission denied \((?:publickey|password)[\w,-]*\)",
            r"asyncssh\.\w*\.?PermissionDenied",
        ),
        cause="the host accepts neither the SSH key nor the password",
        hint="look which key is offered: `ssh -v HOST`",
    ),
    Known(
        code="NET101",
        is_broad=True,
        patterns=(r"Connection refused", r"ConnectionRefusedError", r"ECONNREFUSED"),
        cause="nothing listens on that host and port",
        hint="start the server, or correct the address",
    ),
    Known(
        code="PROC101",
        is_broad=True,
        patterns=(r"(?m)^\s*Killed\s*$", r"exit(?:ed with)? (?:code|status) (?:-9|137)\b"),
        cause="the process was killed, most often by the system for want of memory",
        hint="the plan says what the model needs; choose a smaller dtype, model or context",
        command="trueup plan MODEL",
    ),
)
