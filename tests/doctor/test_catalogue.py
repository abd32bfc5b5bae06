"""What people paste, and what it is taken for."""

import ast
import re

import pytest

from trueup.cli.main import VERBS
from trueup.doctor.catalogue import LIMIT_CHARACTERS, PastedError, explain, report
from trueup.doctor.known import KNOWN
from trueup.doctor.message import Message
from trueup.doctor.rule_words import about
from trueup.doctor.rules import RULES

MESSAGES = [
    # The breakages of remote code
    ("AttributeError: 'ChatGLMTokenizer' object has no attribute 'tokenizer'", "TOK101"),
    ("AttributeError: 'ChatGLMTokenizer' object has no attribute 'sp_tokenizer'", "TOK101"),
    ("AttributeError: 'InternLMTokenizer' object has no attribute 'sp_model'", "TOK101"),
    ("AttributeError: ChatGLMTokenizer has no attribute vocab_size", "TOK101"),
    ("ImportError: \n requires the protobuf library but it was not found in your environment",
     "TOK101"),
    ("TypeError: 'property' object cannot be interpreted as an integer", "TOK101"),
    ("TypeError: 'property' object is not iterable", "TOK101"),
    ("TypeError: ChatGLMTokenizer._pad() got an unexpected keyword argument 'padding_side'",
     "TOK104"),
    ("AttributeError: ChatGLM4Tokenizer has no attribute batch_encode_plus", "TOK105"),
    ("AttributeError: 'InternLM2ForCausalLM' object has no attribute 'generate'", "GEN105"),
    ("AttributeError: 'NoneType' object has no attribute 'shape'", "CACHE101"),
    ("AttributeError: 'NoneType' object has no attribute 'size'", "CACHE101"),
    ("KeyError: 'Cache only has 0 layers, attempted to access layer with index 0'", "CACHE101"),
    ("TypeError: The current model class (XModel) is not compatible with `.generate()`, as it "
     "doesn't have a language model head.", "GEN106"),
    ("ValueError: Parameter config in `X(config)` should be an instance of class "
     "`PretrainedConfig`.", "CFG105"),
    ("TypeError: expected Tensor as element 0 in argument 0, but got NoneType", "CACHE102"),
    ("TypeError: 'DynamicCache' object is not subscriptable", "CACHE103"),
    ("AttributeError: 'DynamicCache' object has no attribute 'seen_tokens'", "CACHE104"),
    ("AttributeError: 'DynamicCache' object has no attribute 'get_max_length'", "CACHE105"),
    ("AttributeError: 'DynamicCache' object has no attribute 'get_usable_length'", "CACHE106"),
    ("AttributeError: 'DynamicCache' object has no attribute 'to_legacy_cache'", "CACHE107"),
    ("AttributeError: type object 'DynamicCache' has no attribute 'from_legacy_cache'",
     "CACHE107"),
    ("AttributeError: 'ChatGLMConfig' object has no attribute 'num_hidden_layers'", "CFG101"),
    ("AttributeError: 'ChatGLMConfig' object has no attribute 'max_length'", "CFG102"),
    ("AttributeError: 'ChatGLMConfig' object has no attribute 'use_cache'", "CFG102"),
    ("AttributeError: 'FlorenceConfig' object has no attribute 'forced_bos_token_id'", "CFG102"),
    ("AttributeError: 'Phi3Config' object has no attribute 'pad_token_id'", "CFG104"),
    ("AttributeError: 'XConfig' object has no attribute 'get_text_config'", "CFG105"),
    ("KeyError: 'type'", "CFG106"),
    ("ValueError: The checkpoint you are trying to load has model type `q9` but Transformers "
     "does not recognize this architecture.", "CFG103"),
    ("AttributeError: 'ChatGLMForConditionalGeneration' object has no attribute "
     "'all_tied_weights_keys'", "LOAD102"),
    ("AttributeError: 'list' object has no attribute 'keys'", "LOAD105"),
    ("TypeError: empty(): argument 'dtype' must be torch.dtype, not str", "LOAD101"),
    ("RuntimeError: Tensor.item() cannot be called on meta tensors", "LOAD106"),
    ("AttributeError: 'X' object has no attribute '_supports_sdpa'", "LOAD107"),
    ("AttributeError: 'XModel' object has no attribute 'get_head_mask'", "LOAD108"),
    ("AttributeError: 'XModel' object has no attribute 'get_extended_attention_mask'", "LOAD108"),
    ("RuntimeError: probability tensor contains either `inf`, `nan` or element < 0", "LOAD103"),
    ("ImportError: cannot import name 'BeamSearchScorer' from 'transformers' (/x/__init__.py)",
     "IMP101"),
    ("ImportError: cannot import name 'DisjunctiveConstraint' from 'transformers'", "IMP101"),
    ("ImportError: cannot import name 'is_torch_fx_available' from 'transformers.utils'",
     "IMP101"),
    ("ImportError: cannot import name 'is_torch_greater_or_equal_than_1_13' from "
     "'transformers.pytorch_utils'", "IMP101"),
    ("ImportError: cannot import name 'LlamaFlashAttention2' from 'transformers.models.llama'",
     "IMP101"),
    ("ImportError: cannot import name '_expand_mask' from 'transformers.models.bloom'", "IMP101"),
    ("ModuleNotFoundError: No module named 'torch._six'", "IMP104"),
    ("AttributeError: type object 'XConfig' has no attribute 'register_for_auto_class'", "CFG105"),
    ("ImportError: cannot import name 'Something' from 'transformers.utils'", "IMP101"),
    ("ImportError: This modeling file requires the following packages that were not found in "
     "your environment: einops. Run `pip install einops`", "ENV102"),
    ("ModuleNotFoundError: No module named 'transformers'", "ENV101"),
    ("AttributeError: 'X' object has no attribute '_extract_past_from_model_output'", "GEN101"),
    ("TypeError: GenerationMixin._extract_past_from_model_output() got an unexpected keyword "
     "argument 'standardize_cache_format'", "GEN101"),
    ("AttributeError: 'GenerationConfig' object has no attribute '_eos_token_tensor'", "GEN102"),
    ("AttributeError: 'X' object has no attribute '_get_logits_warper'", "GEN102"),
    ("AttributeError: 'NoneType' object has no attribute 'new_ones'", "GEN103"),
    ("ValueError: `attention_mask` passed to `generate` must be 2D.", "GEN104"),
    ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20 MiB", "MEM101"),
    ("RuntimeError: operator torchvision::nms does not exist", "ENV103"),
    ("AssertionError: Torch not compiled with CUDA enabled", "ENV104"),
    ("ValueError: Tokenizer class TokenizersBackend does not exist or is not currently "
     "imported.", "TOK113"),
    ("""  File "/x/transformers/tokenization_utils_base.py", line 1190, in \
_set_model_specific_special_tokens
AttributeError: 'list' object has no attribute 'keys'""", "TOK114"),
    ("ValueError: `rope_scaling` must be a dictionary with two fields, `type` and `factor`, got "
     "{'factor': 8.0}", "CFG108"),
    ("huggingface_hub.errors.StrictDataclassFieldValidationError: Validation error for field "
     "'hidden_size':\n    TypeError: Field 'hidden_size' expected int, got str", "CFG109"),
    ("Exception: data did not match any variant of untagged enum ModelWrapper at line 382 "
     "column 3", "TOK115"),
    ("KeyError: 'qwen3'", "CFG103"),
    ("AttributeError: module 'transformers' has no attribute 'AutoModelForVision2Seq'", "IMP101"),
    ("RuntimeError: \"addmm_impl_cpu_\" not implemented for 'Half'", "ENV110"),
    ("ImportError: Using `low_cpu_mem_usage=True` or a `device_map` requires Accelerate: `pip "
     "install 'accelerate>=0.26.0'`", "ENV109"),
    ("NameError: name 'init_empty_weights' is not defined", "ENV109"),
    ("RuntimeError: Failed to import peft because of the following error: cannot import name "
     "'EncoderDecoderCache'", "ENV111"),
    # Files
    ("safetensors_rust.SafetensorError: Error while deserializing header: incomplete metadata, "
     "file not fully covered", "DIR107"),
    ("safetensors_rust.SafetensorError: Error while deserializing header: header too large",
     "DIR108"),
    ("_pickle.UnpicklingError: invalid load key, 'v'.", "DIR108"),
    ("OSError: /m does not appear to have a file named modeling_x.py.", "DIR112"),
    ("OSError: /m does not appear to have a file named config.json.", "DIR101"),
    ("OSError: Error no file named pytorch_model.bin, model.safetensors found in directory",
     "DIR103"),
    ("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)", "DIR102"),
    ("_pickle.UnpicklingError: Weights only load failed. ... Unsupported global", "SAFE101"),
    ("RuntimeError: size mismatch for lm_head.weight: copying a param with shape", "DIR115"),
    ("huggingface_hub.errors.LocalEntryNotFoundError: An error happened", "HUB101"),
    ("huggingface_hub.errors.HFValidationError: Repo id must be in the form", "HUB102"),
    # Servers
    ("httpx.RemoteProtocolError: peer closed connection without sending complete message body "
     "(incomplete chunked read)", "STREAM101"),
    ("An error occurred during streaming", "STREAM102"),
    ("requests.exceptions.ConnectTimeout: HTTPSConnectionPool(host='api.hub.langchain.com')",
     "CHATCHAT101"),
    ("AttributeError: 'NoneType' object has no attribute 'dict'", "CHATCHAT102"),
    ("openai.BadRequestError: Error code: 400 - tool_choice is not supported", "CHATCHAT103"),
    ('{"message":"\\"auto\\" tool choice requires --enable-auto-tool-choice and '
     '--tool-call-parser to be set"}', "VLLM101"),
    ('"auto" tool choice requires --enable-auto-tool-choice', "VLLM101"),
    ("KeyError: 'chatglm'", "CFG103"),
    ("AttributeError: property 'eos_token' of 'ChatGLMTokenizer' object has no setter", "TOK112"),
    ("TypeError: get_extended_attention_mask() takes 3 positional arguments", "SIG102"),
    ('{"detail":"Could not validate credentials"}', "XIN101"),
    ('{"detail":"The chat completion request failed. Check the server logs for details."}',
     "XIN102"),
    ("ValueError: Model chatglm2 cannot be run on engine transformers.", "XIN103"),
    ("Internal Server Error: 1 validation error for ChatCompletion", "XIN104"),
    ("500 xinference: 'str' object has no attribute 'get'", "XIN105"),
    # Kronos
    ("TypeError: Kronos.__init__() missing 16 required positional arguments: 'd_in'",
     "MIX101"),
    ("TypeError: KronosTokenizer.__init__() missing 1 required positional argument: 'group_size'",
     "MIX102"),
    ("TypeError: Kronos.__init__() missing 3 required positional arguments: 'a'", "MIX103"),
    ("RuntimeError: size mismatch for tokenizer.bsq.group_basis: copying", "DIR115"),
    ("AttributeError: 'DatetimeIndex' object has no attribute 'dt'", "KRONOS107"),
    ("ValueError: Shape of passed values is (32, 6), indices imply (40, 6)", "KRONOS108"),
    ("RuntimeError: cannot reshape tensor of 0 elements into shape [-1, 0, 5] because the "
     "unspecified dimension size -1 can be any value and is ambiguous", "KRONOS108"),
    ("ValueError: y_timestamp length at index 1 should equal pred_len=5, got 3.", "KRONOS108"),
    ("TypeError: '>' not supported between instances of 'NoneType' and 'int'", "KRONOS109"),
    ("ValueError: Parallel prediction requires all series to have consistent historical lengths, "
     "got: [20, 10]", "KRONOS110"),
    ("ValueError: Input DataFrame contains NaN values in price or volume columns.", "KRONOS111"),
    ("RemoteEntryNotFoundError: 404 Client Error. Entry Not Found for url: "
     "https://huggingface.co/a/b/resolve/main/pytorch_model.bin.", "DIR103"),
    ("LocalEntryNotFoundError: Response from http://hub/a/b/resolve/main/config.json is missing "
     "the 'X-Repo-Commit' header", "HUB103"),
    # LlamaFactory
    ("bash: llamafactory-cli: command not found", "LLAMAFACTORY101"),
    ("ValueError: Template qwen2 does not exist.", "LLAMAFACTORY102"),
    ("ValueError: Can't find 'adapter_config.json' at '/a'", "LLAMAFACTORY103"),
    ("OSError: Failed to load tokenizer.", "LLAMAFACTORY104"),
    ("ValueError: Some specified arguments are not used by the HfArgumentParser: ['--x']",
     "LLAMAFACTORY105"),
    ("asyncssh.misc.HostKeyNotVerifiable: Host key is not trusted for host h", "SSH101"),
    ("user@host: Permission denied (publickey,password).", "SSH102"),
    ("ConnectionRefusedError: [Errno 111] Connection refused", "NET101"),
    ("Killed", "PROC101"),
]  # fmt: skip

TRACEBACK = """\
2026-11-21 10:00:01,123 - INFO - 正在加载模型 /data/chatglm2-6b
Traceback (most recent call last):
  File "/app/cli_demo.py", line 12, in main
    response, history = model.chat(tokenizer, "你好", history=[])
  File "/hf/transformers_modules/m/modeling_chatglm.py", line 683, in get_masks
    past_length = past_key_values[0][0].shape[0]
AttributeError: 'NoneType' object has no attribute 'shape'
请问这是什么原因？谢谢
"""

CHAIN = """\
Traceback (most recent call last):
  File "a.py", line 1, in f
TypeError: ChatGLMTokenizer._pad() got an unexpected keyword argument 'padding_side'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in g
AttributeError: 'ChatGLMConfig' object has no attribute 'num_hidden_layers'
"""

CHATCHAT = """\
  + Exception Group Traceback (most recent call last):
  |   File "/env/site-packages/uvicorn/httptools_impl.py", line 1, in run
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "/env/site-packages/chatchat/openai_routes.py", line 87, in generator
    |     async for chunk in await method(**params):
    |   File "/env/site-packages/openai/_streaming.py", line 147, in __aiter__
    | httpx.RemoteProtocolError: peer closed connection without sending complete message body
    +------------------------------------
"""


def test_a_config_without_its_model_type_is_said_to_lack_it() -> None:
    text = (
        "ValueError: Unrecognized model in ./x. Should have a `model_type` key in its config.json."
    )
    match = explain(text)[1][0]
    assert match.code == "CFG103"
    assert "`model_type`" in match.cause
    assert "copy config.json" in match.hint
    assert "install" not in match.hint


@pytest.mark.parametrize(("text", "code"), MESSAGES, ids=[code for _, code in MESSAGES])
def test_a_message_alone_is_recognised(text: str, code: str) -> None:
    _, matches = explain(text)
    assert matches, "not in the catalogue"
    assert matches[0].code == code


COMMANDS = ("trueup", "git", "hf", "pip", "python")


def is_message(quoted: str) -> bool:
    """Whether a quotation is what somebody reads on a screen, no name, command or expression."""
    if " " not in quoted or quoted.partition(" ")[0] in COMMANDS:
        return False
    try:
        ast.parse(quoted.replace("…", "..."), mode="eval")
    except SyntaxError:
        return True
    return False


QUOTED = [
    (quoted, rule.code)
    for rule in RULES
    for quoted in re.findall(r"`([^`]+)`", about(rule))
    if is_message(quoted)
]


@pytest.mark.parametrize(("text", "code"), QUOTED, ids=[f"{c}: {q}"[:60] for q, c in QUOTED])
def test_each_message_that_a_rule_quotes_is_explained_by_its_code(text: str, code: str) -> None:
    _, matches = explain(text)
    assert matches, "not in the catalogue"
    assert matches[0].code == code


@pytest.mark.parametrize(
    "path",
    [
        "/hf/transformers_modules/m/modeling_x.py",
        "/hf/transformers_modules/m/tokenization_x.py",
        "/hf/transformers_modules/m/configuration_x.py",
        "/env/site-packages/transformers/modeling_utils.py",
    ],
)
def test_the_file_of_a_frame_alone_makes_no_other_code_likelier(path: str) -> None:
    for text, code in (*MESSAGES, *QUOTED):
        _, matches = explain(f'  File "{path}", line 9, in forward\n    x = y\n{text}')
        assert matches[0].code == code, text


def test_a_rule_that_recognises_messages_quotes_one() -> None:
    with_messages = {rule.code for rule in RULES if rule.messages}
    # These read as IMP101 and LOAD105 do; the frames tell them apart.
    assert with_messages - {code for _, code in QUOTED} == {"ENV106", "LOAD110", "TOK114"}


def test_every_code_of_the_catalogue_is_shown_by_a_message() -> None:
    shown = {code for _, code in MESSAGES}
    assert {known.code for known in KNOWN} - shown <= {"KRONOS106", "XIN106"}


FRAMES = [
    ("IMP101", "/env/site-packages/x.py", "ImportError: cannot import name 'BeamSearchScorer' "
     "from 'transformers'"),
    ("ENV106", "/env/site-packages/transformers_stream_generator/main.py",
     "ImportError: cannot import name 'BeamSearchScorer' from 'transformers'"),
    ("SIG101", "/env/site-packages/transformers/generation/utils.py",
     "TypeError: Speaker.forward() got an unexpected keyword argument 'cache_position'"),
    ("SIG102", "/hf/transformers_modules/m/modeling_x.py",
     "TypeError: rotate() takes 4 positional arguments but 5 were given"),
    ("LOAD110", "/x.py\", line 9, in save_pretrained\n  File \"/env/transformers/modeling_utils.py",
     "AttributeError: 'list' object has no attribute 'keys'"),
    ("LOAD105", "/x.py\", line 9, in from_pretrained\n  File \"/env/transformers/modeling_utils.py",
     "AttributeError: 'list' object has no attribute 'keys'"),
    ("DIR113", "/hf/transformers_modules/m/modeling_x.py", "SyntaxError: invalid syntax"),
    ("DIR118", "/hf/transformers_modules/m/modeling_x.py",
     "SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?"),
    ("SAFE101", "/env/torch/serialization.py", "_pickle.UnpicklingError: Weights only load failed."
     " Re-running\n\tWeightsUnpickler error: Unsupported global: GLOBAL os.system was not"),
    ("SAFE105", "/env/torch/serialization.py", "_pickle.UnpicklingError: Weights only load failed."
     " Re-running\n\tWeightsUnpickler error: Unsupported operand 149"),
    ("MIX101", "/env/huggingface_hub/hub_mixin.py",
     "TypeError: __init__() missing 11 required positional arguments: 's1_bits'"),
    ("KRONOS108", "/Kronos/model/kronos.py\", line 9, in auto_regressive_inference\n  File \"/m.py",
     "RuntimeError: The size of tensor a (24) must match the size of tensor b (23) at "
     "non-singleton dimension 1"),
    ("KRONOS109", "/Kronos/model/kronos.py\", line 9, in sample_from_logits\n  File \"/m.py",
     "RuntimeError: probability tensor contains either `inf`, `nan` or element < 0"),
]  # fmt: skip


@pytest.mark.parametrize(("code", "path", "error"), FRAMES, ids=[code for code, _, _ in FRAMES])
def test_the_file_that_failed_decides_which_rule_it_is(code: str, path: str, error: str) -> None:
    _, matches = explain(f'  File "{path}", line 9, in f\n    x = f(y)\n{error}\n')
    assert (matches[0].code, matches[0].is_guess) == (code, False)


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("cannot import name 'is_torch_fx_available' from 'transformers.utils'", ("5.0.0", None)),
        ("cannot import name 'is_torch_greater_or_equal_than_1_13' from "
         "'transformers.pytorch_utils'", ("4.48.0", "4.48.2")),
        ("cannot import name 'Nothing' from 'transformers'", (None, None)),
        ("'DynamicCache' object has no attribute 'seen_tokens'", ("4.54.0", None)),
        ("KeyError: 'type'", ("5.0.0", None)),
        ("no attribute '_extract_past_from_model_output'", ("4.49.0", None)),
    ],
)  # fmt: skip
def test_since_when_is_the_rules_gate_or_the_history_of_the_name(
    text: str, gate: tuple[str | None, str | None]
) -> None:
    match = explain(text)[1][0]
    assert (match.since, match.until) == gate


def test_the_native_route_is_told_of_the_family_that_it_runs() -> None:
    error = "AttributeError: '{}Config' object has no attribute 'num_hidden_layers'"
    (glm, *_), (other, *_) = (explain(error.format(name))[1] for name in ("ChatGLM", "Phi"))
    assert glm.command == "trueup chat MODEL"
    assert glm.hint == f"{other.hint}; TrueUp's native route runs the GLM family without that code"


@pytest.mark.parametrize(
    "wrap",
    [
        lambda text: text,
        lambda text: text.replace("\n", "\r\n"),
        lambda text: f"\x1b[31m{text}\x1b[0m",
        lambda text: "\n".join(f"\x1b[1;33m{line}\x1b[0m" for line in text.splitlines()),
        lambda text: "\n".join(f"2026-11-21T10:00:00.1Z ERROR {x}" for x in text.splitlines()),
        lambda text: "\n".join(f"(worker pid=77) {line}" for line in text.splitlines()),
        lambda text: "\n".join(f"│ {line:<120} │" for line in text.splitlines()),
        lambda text: "\n".join(f"E   {line}" for line in text.splitlines()),
        lambda text: "我的程序报错了，如下：\n```\n" + text + "```\n怎么办？",
    ],
    ids=["bare", "CRLF", "colour", "colours", "log", "ray", "box", "pytest", "chinese"],
)
def test_noise_around_a_traceback_hides_nothing(wrap: object) -> None:
    assert callable(wrap)
    pasted, matches = explain(wrap(TRACEBACK))
    assert matches[0].code == "CACHE101"
    assert pasted.where is not None
    where, function = pasted.where
    assert (str(where), function) == ("modeling_chatglm.py:683", "get_masks")


def test_the_error_that_ended_it_comes_first_and_the_one_before_it_second() -> None:
    _, matches = explain(CHAIN)
    assert [match.code for match in matches] == ["CFG101", "TOK104"]


def test_the_deepest_frame_of_the_models_own_code_is_the_place() -> None:
    text = TRACEBACK.replace(
        "AttributeError",
        '  File "/env/site-packages/transformers/x.py", line 9, in lib\nAttributeError',
    )
    where = PastedError(text).where
    assert where is not None
    assert str(where[0]) == "modeling_chatglm.py:683"


def test_files_and_functions_decide_between_equals() -> None:
    error = "AttributeError: 'list' object has no attribute 'keys'"
    _, plain = explain(error)
    _, with_frame = explain(f'  File "modeling_utils.py", line 3, in save_pretrained\n{error}')
    assert with_frame[0].score > plain[0].score


def test_what_many_errors_read_like_is_called_a_guess_until_a_frame_speaks_for_it() -> None:
    assert explain("AttributeError: 'NoneType' object has no attribute 'shape'")[1][0].is_guess
    assert not explain(TRACEBACK)[1][0].is_guess
    assert not explain(MESSAGES[7][0])[1][0].is_guess


def test_a_match_says_what_its_rule_says_and_nothing_twice() -> None:
    text = "AttributeError: 'XConfig' object has no attribute 'num_hidden_layers'"
    assert "Map the standard name to the model's own" in report(text)["matches"][0]["about"]
    (match,) = report("tokenizer.chat_template is not set")["matches"]
    assert match["cause"] == "a chat model without a chat template"
    assert match["hint"].startswith("copy `chat_template.jinja`")
    assert "Before 4.44.0 a default of the class was taken" in match["about"]
    assert "A chat model without" not in match["about"]
    assert "Copy `chat_template.jinja`" not in match["about"]


def test_an_exception_group_is_seen_through() -> None:
    pasted, matches = explain(CHATCHAT)
    assert matches[0].code == "STREAM101"
    assert pasted.where is not None
    assert pasted.where[0].path == "_streaming.py"


def test_a_message_that_a_terminal_broke_into_lines_is_found() -> None:
    text = "AttributeError: 'ChatGLMConfig' object has no\nattribute 'num_hidden_layers'"
    assert explain(text)[1][0].code == "CFG101"


def test_names_in_the_error_stand_in_the_explanation() -> None:
    _, (match, *_rest) = explain("AttributeError: 'MyConfig' object has no attribute 'use_cache'")
    assert "`use_cache`" in match.cause
    assert match.since == "5.0.0"


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "ValueError: something nobody has seen",
        "\x00\x01\x02",
        "a" * 100_000,
        "{}{name}{0}",
        "\n\n\n",
        "Traceback (most recent call last):",
        "((((" * 10_000,
    ],
)
def test_what_is_unknown_is_said_to_be(text: str) -> None:
    answer = report(text)
    assert answer["matches"] == []


def test_of_a_huge_log_the_end_counts() -> None:
    text = "INFO nothing happened here\n" * 60_000 + TRACEBACK
    assert len(text) > LIMIT_CHARACTERS
    assert report(text)["matches"][0]["code"] == "CACHE101"


SUBJECTS: list[tuple[str, Message]] = [
    *((rule.code, message) for rule in RULES for message in rule.messages),
    *((known.code, known) for known in KNOWN),
]


def test_all_patterns_are_valid_and_name_what_their_texts_use() -> None:
    for code, message in SUBJECTS:
        for pattern in message.patterns:
            groups = re.compile(pattern).groupindex
            texts = f"{message.cause}{message.hint}{message.dotted}"
            used = set(re.findall(r"(?<!\{)\{(\w+)\}(?!\})", texts))
            assert used <= set(groups), (code, pattern)


def test_commands_of_the_catalogue_exist() -> None:
    texts = [text for known in KNOWN for text in (known.command, known.hint) if text]
    texts += [message.hint for _, message in SUBJECTS if message.hint]
    for text in texts:
        for verb in re.findall(r"trueup ([a-z]+)", text):
            assert verb in VERBS


def test_what_a_rule_is_about_stands_with_the_rule_alone() -> None:
    assert {known.code for known in KNOWN}.isdisjoint(rule.code for rule in RULES)
