"""`from_pretrained` and `save_pretrained` of the two classes, with the published files' layout.

What is not as published is told before anything is downloaded, and nothing stays random.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from torch import Tensor, nn

from trueup.checkpoint.files import read_checkpoint
from trueup.checkpoint.hub.watch import Watch
from trueup.checkpoint.source import Source, complete, resolve
from trueup.errors import CheckpointError, ConfigError, HubError
from trueup.kronos.faults import Readable, readable
from trueup.kronos.known import hub_id_of
from trueup.kronos.part import Part

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
CONFIG, WEIGHTS = "config.json", "model.safetensors"
# Arguments of huggingface_hub's mixin, and what does their work here.
INSTEAD = {
    "cache_dir": "set HF_HUB_CACHE",
    "force_download": "`hf download ID --force-download`",
    "local_files_only": "set HF_HUB_OFFLINE=1",
    "map_location": "give `device`",
    "proxies": "set HTTPS_PROXY",
    "strict": "leave it out: every tensor is accounted for",
    "token": "set HF_TOKEN, or `hf auth login`",
}


class LoggedNotes(Watch):
    """Notes for whoever looks at the log; a download tells nobody how far it is."""

    def note(self, text: str) -> None:
        """See Watch."""
        log.warning(text)


class Pretrained(nn.Module):
    """A module that directories and hub ids hold, with config.json and weights."""

    part: ClassVar[Part]

    @classmethod
    def from_pretrained(
        cls,
        source: str | os.PathLike[str],
        *,
        revision: str | None = None,
        device: str | torch.device = "cpu",
        dtype: str | torch.dtype = "float32",
        progress: Watch | None = None,
        **unknown: Any,
    ) -> Self:
        """The model of a directory, a hub id or a known name, in eval mode and without gradients.

        Raises: CheckpointError, HubError where it is not to be had, not whole or not of this
        class; AdaptError for a device or dtype; ConfigError for arguments of the hub's own mixin.
        """
        from trueup.kronos.weights import device_of, dtype_of

        for name in unknown:
            raise ConfigError(
                f"`{cls.part.class_name}.from_pretrained` takes no `{name}`",
                where=name,
                hint=INSTEAD.get(name, "it takes revision, device, dtype and progress"),
            )
        placed, kind = device_of(device), dtype_of(dtype)
        watch = progress or LoggedNotes()
        located = locate(source, cls.part, revision=revision, watch=watch)
        return load(cls, *located, dtype=kind, device=placed, watch=watch)

    def arguments(self) -> dict[str, Any]:
        """What it was constructed with, by name."""
        return {name: getattr(self, name) for name in self.part.arguments}

    def save_pretrained(self, directory: str | os.PathLike[str]) -> None:
        """Write config.json with every argument, and model.safetensors, as the published ones are.

        Each file is whole or as it was.

        Raises: CheckpointError where they cannot be written.
        """
        from safetensors.torch import save

        path = Path(directory).expanduser()
        arguments = self.arguments()
        tensors: dict[str, Tensor] = {
            name: tensor.detach().cpu().contiguous() for name, tensor in self.state_dict().items()
        }
        text = json.dumps(arguments, indent=2) + "\n"
        try:
            path.mkdir(parents=True, exist_ok=True)
            _replace(path / WEIGHTS, save(tensors, metadata={"format": "pt"}))
            _replace(path / CONFIG, text.encode())
        except OSError as error:
            raise CheckpointError(
                f"the model cannot be saved: {error.strerror or error}", where=str(path)
            ) from error


Model = TypeVar("Model", bound=Pretrained)


def locate(
    source: str | os.PathLike[str], part: Part, *, revision: str | None, watch: Watch
) -> tuple[Source, Readable]:
    """Where a part is, and that it can be made of what is there; its weights may stay on the hub.

    Raises: CheckpointError, HubError.
    """
    name = os.fspath(source)
    is_here = Path(name).expanduser().exists()
    try:
        found = resolve(name if is_here else hub_id_of(name), revision=revision, watch=watch)
    except HubError as error:
        if error.kind == "missing" and error.hint is None:
            error.hint = f"{part.title} is `{part.example}`, for one; a directory will do too"
        raise
    return found, readable(read_checkpoint(found), part)


def load(
    kind: type[Model],
    source: Source,
    found: Readable,
    *,
    dtype: torch.dtype,
    device: torch.device,
    watch: Watch,
) -> Model:
    """The model itself; downloads what is still on the hub.

    Raises: CheckpointError, HubError.
    """
    from trueup.kronos.weights import build, fill

    model = build(kind, found)
    for note in found.notes:
        watch.note(note)
    directory = complete(source, watch=watch).directory
    return fill(model, found, directory, dtype=dtype, device=device)


def _replace(path: Path, content: bytes) -> None:
    half = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with half.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)
    finally:
        with contextlib.suppress(OSError):
            half.unlink()
