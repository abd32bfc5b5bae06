"""What the configuration file's sections share: kinds of values, and how mistakes are stated."""

from __future__ import annotations

from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from trueup.config.secret import HIDDEN, Secret

# The kind of error whose context is a mistake's cause and hint, word for word.
STATED = "stated"


class Section(BaseModel):
    """What all sections have in common: unknown keys are errors, types are meant."""

    model_config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


def stated(cause: str, hint: str | None = None) -> PydanticCustomError:
    """The error of a value that needs words of its own."""
    return PydanticCustomError(STATED, "{cause}", {"cause": cause, "hint": hint})


def secret_of(value: object) -> Secret:
    """The secret of a text that can be sent in a header.

    Raises: ValueError, which says what is expected and not what was found.
    """
    if isinstance(value, Secret):
        return value
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text that is not empty")
    if not value.isascii() or not value.isprintable():
        raise ValueError("printable ASCII characters only")
    if value.strip() == HIDDEN:
        raise ValueError(f"a key, not the `{HIDDEN}` that `trueup config show` prints for one")
    return Secret(value.strip())


Name = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f]+$")]
Filled = Annotated[str, StringConstraints(min_length=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SecretText = Annotated[Secret, BeforeValidator(secret_of), WithJsonSchema({"type": "string"})]
