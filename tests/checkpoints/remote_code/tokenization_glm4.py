import base64
import os
from typing import Dict, List, Optional, Union

import tiktoken
from transformers import PreTrainedTokenizer
from transformers.tokenization_utils_base import BatchEncoding, EncodedInput
from transformers.utils import PaddingStrategy

ROLES = ["system", "user", "assistant", "observation"]
PATTERN = (
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
)


class ChatGLM4Tokenizer(PreTrainedTokenizer):
    vocab_files_names = {"vocab_file": "tokenizer.model"}
    model_input_names = ["input_ids", "attention_mask", "position_ids"]

    def __init__(
            self, vocab_file, padding_side="left", clean_up_tokenization_spaces=False,
            encode_special_tokens=False, **kwargs
    ):
        self.name = "GLM4Tokenizer"
        self.vocab_file = vocab_file
        self.encode_special_tokens = encode_special_tokens
        self.mergeable_ranks = {}
        with open(vocab_file) as lines:
            for line in lines:
                token, rank = line.strip().split()
                self.mergeable_ranks[base64.b64decode(token)] = int(rank)
        self.tokenizer = tiktoken.Encoding(
            name="my_tokenizer", pat_str=PATTERN, mergeable_ranks=self.mergeable_ranks, special_tokens={}
        )
        self.decoder = {rank: token for token, rank in self.mergeable_ranks.items()}
        self.n_words = len(self.decoder)
        super().__init__(
            padding_side=padding_side, clean_up_tokenization_spaces=clean_up_tokenization_spaces, **kwargs
        )

    @property
    def vocab_size(self):
        return self.n_words

    def get_vocab(self):
        vocab = {self._convert_id_to_token(index): index for index in range(self.vocab_size)}
        vocab.update(self.added_tokens_encoder)
        return vocab

    def convert_tokens_to_string(self, tokens: List[Union[bytes, str]]) -> str:
        text, pending = "", b""
        for token in tokens:
            if isinstance(token, bytes):
                pending += token
            else:
                text += pending.decode("utf-8", errors="replace") + token
                pending = b""
        return text + pending.decode("utf-8", errors="replace")

    def _tokenize(self, text, **kwargs):
        return [self.decoder[index] for index in self.tokenizer.encode(text)]

    def _convert_token_to_id(self, token):
        return self.mergeable_ranks[token]

    def _convert_id_to_token(self, index):
        return self.decoder.get(index, "")

    def save_vocabulary(self, save_directory, filename_prefix=None):
        vocab_file = os.path.join(save_directory, self.vocab_files_names["vocab_file"])
        with open(self.vocab_file, "rb") as source, open(vocab_file, "wb") as target:
            target.write(source.read())
        return (vocab_file,)

    def get_prefix_tokens(self):
        return [self.convert_tokens_to_ids("[gMASK]"), self.convert_tokens_to_ids("<sop>")]

    def build_single_message(self, role, metadata, message, tokenize=True):
        assert role in ROLES, role
        if not tokenize:
            return f"<|{role}|>{metadata}\n{message}"
        role_tokens = [self.convert_tokens_to_ids(f"<|{role}|>")]
        role_tokens += self.tokenizer.encode(f"{metadata}\n", disallowed_special=())
        return role_tokens + self.tokenizer.encode(message, disallowed_special=())

    def build_chat_input(self, query, history=None, role="user"):
        input_ids = []
        for item in history or []:
            input_ids += self.build_single_message(item["role"], item.get("metadata", ""), item["content"])
        input_ids += self.build_single_message(role, "", query)
        input_ids.append(self.convert_tokens_to_ids("<|assistant|>"))
        return self.batch_encode_plus([input_ids], return_tensors="pt", is_split_into_words=True)

    def build_inputs_with_special_tokens(
            self, token_ids_0: List[int], token_ids_1: Optional[List[int]] = None
    ) -> List[int]:
        token_ids = self.get_prefix_tokens() + token_ids_0
        if token_ids_1 is not None:
            token_ids = token_ids + token_ids_1 + [self.eos_token_id]
        return token_ids

    def _pad(
            self,
            encoded_inputs: Union[Dict[str, EncodedInput], BatchEncoding],
            max_length: Optional[int] = None,
            padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
            pad_to_multiple_of: Optional[int] = None,
            return_attention_mask: Optional[bool] = None,
    ) -> dict:
        assert self.padding_side == "left"
        required_input = encoded_inputs[self.model_input_names[0]]
        length = len(required_input)
        if padding_strategy == PaddingStrategy.LONGEST:
            max_length = length
        if max_length is not None and pad_to_multiple_of is not None:
            max_length = -(-max_length // pad_to_multiple_of) * pad_to_multiple_of
        if "attention_mask" not in encoded_inputs:
            encoded_inputs["attention_mask"] = [1] * length
        if "position_ids" not in encoded_inputs:
            encoded_inputs["position_ids"] = list(range(length))
        if padding_strategy != PaddingStrategy.DO_NOT_PAD and length != max_length:
            missing = max_length - length
            encoded_inputs["attention_mask"] = [0] * missing + encoded_inputs["attention_mask"]
            encoded_inputs["position_ids"] = [0] * missing + encoded_inputs["position_ids"]
            encoded_inputs[self.model_input_names[0]] = [self.pad_token_id] * missing + required_input
        return encoded_inputs
