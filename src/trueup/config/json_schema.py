"""The configuration's JSON schema, for editors and other tools; `schema.json` is its text."""

from __future__ import annotations

import json
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from trueup.config.schema import Configuration

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# The names of our classes are no titles; what is left are the names of keys.
TITLE = "TrueUp configuration"


class _Schema(GenerateJsonSchema):
    """Without the titles that repeat the keys."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def schema_text() -> str:
    """The schema as JSON, one line for each value, ending in a line break."""
    made: JsonSchemaValue = Configuration.model_json_schema(schema_generator=_Schema)
    shape = {"$schema": DIALECT, **made, "title": TITLE}
    return json.dumps(shape, indent=2, ensure_ascii=False) + "\n"
