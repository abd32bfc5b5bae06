"""How far an encoder in another dtype is from fp32's, measured on texts of our own."""

from __future__ import annotations

from typing import Any

import numpy as np

from trueup.adapt.plan import Deviation
from trueup.engines.embedding import unit_length
from trueup.engines.embedding_input import InputReader
from trueup.engines.encoder import Encoder, Vectors
from trueup.errors import AdaptError
from trueup.protocol.embedding import EmbeddingRequest

# Code and prose, short and long: the error grows with neither alone.
TEXTS = (
    "def add(left, right):\n    return left + right\n",
    "for (let i = 0; i < rows.length; i++) { total += rows[i].price * rows[i].amount; }",
    "SELECT name, COUNT(*) FROM orders GROUP BY name HAVING COUNT(*) > 3 ORDER BY name;",
    "Returns the exponential moving average of a series of prices.",
    "读取配置文件，检查每一个键，并报告第一个错误所在的行。",
    "public static boolean isPalindrome(String word) {\n"
    "    int left = 0, right = word.length() - 1;\n"
    "    while (left < right) {\n        if (word.charAt(left++) != word.charAt(right--)) return "
    "false;\n    }\n    return true;\n}\n",
    "x",
    '#include <stdio.h>\nint main(void) { printf("%d\\n", 42); return 0; }\n',
)
# Repeated to be as long as whole files are.
LONG = "\n".join(TEXTS) * 4


def measure_deviation(
    reference: Encoder, encoder: Encoder, reader: InputReader, *, dtype: str, where: str
) -> Deviation:
    """Compare vectors of length 1 of both encoders.

    Raises:
        AdaptError: the encoder's vectors have something that is no number.
    """
    request = EmbeddingRequest(model="", inputs=(*TEXTS, LONG), truncate="end")
    rows = reader.read(request).token_ids
    expected, found = _vectors(reference, rows), _vectors(encoder, rows)
    if not np.isfinite(found).all():
        raise AdaptError(
            f"in {dtype} the model computes what is no number",
            where=where,
            hint="use `dtype: float32`",
        )
    cosines = (expected * found).sum(axis=1)
    return Deviation(
        cosine_min=float(cosines.min()),
        cosine_mean=float(cosines.mean()),
        difference_max=float(np.abs(expected - found).max()),
        texts=len(rows),
    )


def _vectors(encoder: Encoder, rows: Any) -> Vectors:
    return unit_length(
        np.concatenate([encoder.encode([row], threads=encoder.lanes) for row in rows])
    )
