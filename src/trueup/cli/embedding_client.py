"""The embedder of the commands: a model behind a server, running or our own."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from trueup.cli.client import ChatClient
from trueup.cli.served import served
from trueup.errors import BackendError, RequestError

if TYPE_CHECKING:
    from trueup.similarity.embedder import Vectors

# A request stays well below what servers take in one body.
REQUEST_TEXTS = 256
REQUEST_CHARACTERS = 2**21
# Whatever the model's config says: it is asked for embeddings.
PRIVATE = ("--kind", "embedding")
# A change of the rule for windows changes vectors.
WINDOWS_VERSION = 1
IDENTITY_KEYS = ("weights_digest", "pooling", "lower_case", "prompts", "default_prompt")


@contextlib.asynccontextmanager
async def embedding_client(
    model: str,
    *,
    url: str | None = None,
    revision: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    pooling: str | None = None,
) -> AsyncIterator[EmbeddingClient]:
    """An embedder by `model` (a directory, a hub id, or a name that a server knows).

    Raises:
        RequestError: the model is not one of embeddings.
        PrivateServerEnded, BackendError, ConfigError: see `served`.
    """
    options = {"revision": revision, "dtype": dtype, "device": device, "pooling": pooling}
    async with served(model, url=url, options=options, private=PRIVATE) as (client, name):
        yield EmbeddingClient(client, name, await _row(client, name))


def embedder_of(arguments: argparse.Namespace) -> AbstractAsyncContextManager[EmbeddingClient]:
    """The embedder that a command line names, by the options that `similar` declares."""
    return embedding_client(
        arguments.model,
        url=arguments.url,
        revision=arguments.revision,
        dtype=arguments.dtype,
        device=arguments.device,
        pooling=arguments.pooling,
    )


class EmbeddingClient:
    """Embeds texts by one served model (see `Embedder`)."""

    def __init__(self, client: ChatClient, model: str, row: Mapping[str, Any]) -> None:
        self.model = model
        self._client = client
        self._is_ours = "trueup" in row
        ours = row.get("trueup") or {}
        if ours.get("kind", "embedding") != "embedding":
            raise RequestError(
                f"the model `{model}` gives text, not embeddings",
                where=client.url,
                hint="name an embedding model: --model microsoft/codebert-base",
            )
        self.identity = _identity(client.url, model, ours.get("plan"))

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 for each text; long texts by windows (see `Embedder.embed`)."""
        import numpy as np

        # Another's server has no windows: what is too long there is its own error.
        options = {"windows": True} if self._is_ours else {}
        rows: list[bytes] = []
        for part in _parts(texts):
            found, _ = await self._client.embeddings(self.model, part, options)
            rows += found
        if not rows:
            return np.empty((0, 0), dtype=np.float32)
        return _unit_rows(rows, self._client.url)


def _parts(texts: Sequence[str]) -> list[Sequence[str]]:
    """The texts in requests of a sensible size."""
    parts: list[Sequence[str]] = []
    start = characters = 0
    for position, text in enumerate(texts):
        characters += len(text)
        if position > start and (
            position - start >= REQUEST_TEXTS or characters > REQUEST_CHARACTERS
        ):
            parts.append(texts[start:position])
            start, characters = position, len(text)
    if start < len(texts):
        parts.append(texts[start:])
    return parts


def _unit_rows(rows: Sequence[bytes], url: str) -> Vectors:
    import numpy as np

    if len({len(row) for row in rows}) > 1:
        raise BackendError(
            "the server's embeddings differ in their dimensions", retryable=False, where=url
        )
    vectors = np.stack([np.frombuffer(row, dtype="<f4") for row in rows]).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
    return unit


async def _row(client: ChatClient, name: str) -> Mapping[str, Any]:
    """The row of the model that answers to a name; a role's or an alias's is its model's."""
    rows = {row.get("id"): row for row in await client.models()}
    row = rows.get(name) or {}
    for _ in range(2):  # an alias of a role of a model
        ours = row.get("trueup") or {}
        further = ours.get("alias_of") or (ours.get("role") or {}).get("answers")
        row = rows.get(further) or row
    return row


def _identity(url: str, model: str, plan: Mapping[str, Any] | None) -> str:
    """What tells vectors apart: the files and how they are run, else the server and the name."""
    if not plan or not plan.get("embedding"):
        return f"{url} {model}"
    embedding = plan["embedding"]
    facts = [
        WINDOWS_VERSION,
        plan["model"]["digest"],
        *(plan[key] for key in ("implementation", "dtype", "context_tokens")),
        *(embedding[key] for key in IDENTITY_KEYS),
    ]
    return "sha256:" + hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
