"""Meets the five errors of ChatGLM2 one behind the other, on the interpreter that runs it.

Usage: `five_errors.py CHECKPOINT`. Prints one JSON object a line for each stage: what was raised,
and in which function of the model's own files. Each repair is applied before the next stage.
"""

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any

import transformers
from transformers import AutoModel, AutoTokenizer

QUESTION = "What is TrueUp?"


def tell(stage: str, act: Callable[[], Any]) -> None:
    """Print the answer, or the error and the innermost frame that is the model's own."""
    told: dict[str, Any] = {"stage": stage, "transformers": transformers.__version__}
    try:
        told["answer"] = act()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if frame.filename.endswith("_chatglm.py")]
        told |= {
            "error": type(error).__name__,
            "message": str(error),
            "function": own[-1].name if own else None,
            "line": own[-1].line if own else None,
        }
    print(json.dumps(told, ensure_ascii=False), flush=True)


def let_pad_take_a_side(tokenizer: Any) -> None:
    old = type(tokenizer)._pad

    def _pad(self: Any, *args: Any, padding_side: str | None = None, **kwargs: Any) -> Any:
        return old(self, *args, **kwargs)

    type(tokenizer)._pad = _pad


def give_back_extract_past(model: Any) -> None:
    def _extract_past_from_model_output(
        self: Any, outputs: Any, standardize_cache_format: bool = False
    ) -> Any:
        return outputs.past_key_values

    type(model)._extract_past_from_model_output = _extract_past_from_model_output


def name_the_layers(model: Any) -> None:
    type(model.config).attribute_map = {"num_hidden_layers": "num_layers"}


def take_an_empty_cache_for_none_in_masks(model: Any) -> None:
    model_class = type(model.transformer)
    old = model_class.get_masks

    def get_masks(self: Any, input_ids: Any, past: Any, padding_mask: Any = None) -> Any:
        is_empty = past is not None and past[0][0] is None
        return old(self, input_ids, None if is_empty else past, padding_mask=padding_mask)

    model_class.get_masks = get_masks


def take_an_empty_cache_for_none_in_attention(model: Any) -> None:
    attention_class = type(model.transformer.encoder.layers[0].self_attention)
    old = attention_class.forward

    def forward(self: Any, *args: Any, kv_cache: Any = None, **kwargs: Any) -> Any:
        is_empty = kv_cache is not None and kv_cache[0] is None
        return old(self, *args, kv_cache=None if is_empty else kv_cache, **kwargs)

    attention_class.forward = forward


def main(checkpoint: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, trust_remote_code=True)
    model = AutoModel.from_pretrained(checkpoint, trust_remote_code=True).float().eval()

    def ask(**kwargs: Any) -> str:
        answer, _ = model.chat(tokenizer, QUESTION, do_sample=False, top_p=1.0, **kwargs)
        return str(answer)

    tell("padding_side", ask)
    let_pad_take_a_side(tokenizer)

    tell("num_hidden_layers", ask)
    # It is the new cache that reads this name, so people go on without a cache: the first way
    # around, and the only one on which the third error comes before the fourth.
    tell("extract_past", lambda: ask(use_cache=False))
    give_back_extract_past(model)
    tell("without a cache", lambda: ask(use_cache=False))
    # The true repair of the second error brings the cache back, and with it the last two.
    name_the_layers(model)

    tell("get_masks", ask)
    take_an_empty_cache_for_none_in_masks(model)

    tell("torch_cat", ask)
    take_an_empty_cache_for_none_in_attention(model)

    tell("repaired", ask)


if __name__ == "__main__":
    main(sys.argv[1])
