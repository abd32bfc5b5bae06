from __future__ import annotations

from trueup.protocol.answer import chat_id, completion_id, private, usage
from trueup.protocol.model import ModelRow, model_list


def test_ids_are_new_each_time_and_named_after_their_kind() -> None:
    assert chat_id().startswith("chatcmpl-")
    assert completion_id().startswith("cmpl-")
    assert len({chat_id() for _ in range(50)}) == 50


def test_usage_adds_up() -> None:
    assert usage(prompt_tokens=3, completion_tokens=4) == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
    }


def test_the_private_key_tells_where_a_chunk_stands() -> None:
    assert private(position=17, token_ids=(5,)) == {"position": 17, "token_ids": [5]}


def test_model_rows_carry_state_and_plan() -> None:
    row = ModelRow(id="glm", kind="chat", state="ready", plan={"route": "native"})
    assert model_list([row]) == {
        "object": "list",
        "data": [
            {
                "id": "glm",
                "object": "model",
                "created": 0,
                "owned_by": "trueup",
                "trueup": {"kind": "chat", "state": "ready", "plan": {"route": "native"}},
            }
        ],
    }
