"""Loads the demo checkpoint as it is, on the interpreter that runs it, and tells what happens.

Usage: `unpatched.py CHECKPOINT`. Prints one JSON object a line for the tokenizer and the model.
"""

import sys
from typing import Any

from five_errors import QUESTION, tell  # type: ignore[import-not-found]
from transformers import AutoModel, AutoTokenizer


def main(checkpoint: str) -> None:
    def encode() -> Any:
        tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=True)
        return tokenizer(QUESTION)["input_ids"]

    def build() -> str:
        return type(AutoModel.from_pretrained(checkpoint, trust_remote_code=True)).__name__

    tell("tokenizer", encode)
    tell("model", build)


if __name__ == "__main__":
    main(sys.argv[1])
