"""Embeddings on the wire: the request, parsed, and the shape of the answer.

OpenAI's fields, and three for what it leaves open: `truncate` and `windows` say what becomes of
an input that is longer than the model's context, `prompt_name` chooses one of the model's own
prompts. Without them such an input is an error.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from trueup.errors import RequestError
from trueup.protocol.fields import (
    Reader,
    anything,
    boolean,
    integer,
    read_fields,
    refuse,
    text,
    token_ids,
)
from trueup.protocol.sampling import required

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# OpenAI's own limit; clients split what is more.
MAX_INPUTS = 2048
TRUNCATIONS = ("none", "start", "end")

Truncation = Literal["none", "start", "end"]
Input = str | tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """A checked request of /v1/embeddings; each input is a text or token ids.

    Token ids are taken as they are: the model's special tokens are added around them as around
    a text's. `truncate` says which end of an input that is too long is cut off; `windows`
    embeds all of it piece by piece instead.
    """

    model: str
    inputs: tuple[Input, ...]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None
    truncate: Truncation = "none"
    windows: bool = False
    prompt_name: str | None = None


def _inputs(param: str, value: Any) -> tuple[Input, ...]:
    if isinstance(value, str):
        return (_input(param, value),)
    expected = "a string, token ids, or a list of either that is not empty"
    if not isinstance(value, list) or not value:
        refuse(param, value, expected)
    if isinstance(value[0], int):
        return (token_ids(param, value),)
    if len(value) > MAX_INPUTS:
        raise RequestError(
            f"`{param}` has {len(value)} inputs, expected at most {MAX_INPUTS}",
            param=param,
            hint=f"send them in several requests of up to {MAX_INPUTS} inputs",
        )
    return tuple(_input(f"{param}[{index}]", each) for index, each in enumerate(value))


def _input(place: str, value: Any) -> Input:
    if isinstance(value, list) and value:
        return token_ids(place, value)
    if not isinstance(value, str):
        refuse(place, value, "a string or token ids")
    if not value:
        refuse(place, value, "a text of one character or more")
    return value


def _encoding_format(param: str, value: Any) -> str:
    if value not in ("float", "base64"):
        refuse(param, value, "`float` or `base64`")
    return str(value)


def _truncate(param: str, value: Any) -> Truncation:
    """Booleans as other servers of embeddings take them: true cuts the end off."""
    if isinstance(value, bool):
        return "end" if value else "none"
    word = value.lower() if isinstance(value, str) else None
    if word not in TRUNCATIONS:
        refuse(param, value, "`none`, `start`, `end`, `true` or `false`")
    return word  # type: ignore[return-value]


READERS: dict[str, Reader] = {
    "model": text,
    "input": _inputs,
    "encoding_format": _encoding_format,
    "dimensions": integer(1),
    "truncate": _truncate,
    "windows": boolean,
    "prompt_name": text,
    "user": anything,
}


def parse_embedding_request(body: Mapping[str, Any]) -> EmbeddingRequest:
    """Check the JSON body of a request; null means absent.

    Raises:
        RequestError: a field is missing, out of range or unknown; `param` names it.
    """
    values = read_fields(body, READERS)
    truncate, windows = values.get("truncate", "none"), values.get("windows", False)
    if windows and truncate != "none":
        raise RequestError(
            f"`windows` and `truncate` are both given: `windows` embeds all of a long input, "
            f"`truncate` cuts it at the `{truncate}`",
            param="truncate",
            hint="leave one of them out",
        )
    return EmbeddingRequest(
        model=required(values, "model"),
        inputs=required(values, "input"),
        encoding_format=values.get("encoding_format", "float"),
        dimensions=values.get("dimensions"),
        truncate=truncate,
        windows=windows,
        prompt_name=values.get("prompt_name"),
    )


def embedding_response(
    *,
    model: str,
    vectors: NDArray[np.float32],
    is_base64: bool,
    prompt_tokens: int,
    notes: Mapping[str, Sequence[int]],
) -> dict[str, Any]:
    """The answer; `vectors` has one row for each input.

    A row stays an array for a JSON writer that knows numpy, or becomes base64 of little-endian
    fp32. `notes` lists the inputs that were truncated or embedded by windows.
    """
    rows = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode("ascii")
            if is_base64
            else row,
        }
        for index, row in enumerate(vectors)
    ]
    shape: dict[str, Any] = {
        "object": "list",
        "data": rows,
        "model": model,
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    }
    stated = {name: list(indexes) for name, indexes in notes.items() if indexes}
    return {**shape, "trueup": stated} if stated else shape
