""" Tokenization classes for ChatGLM """

import os
from typing import Dict, List, Optional, Tuple, Union

from sentencepiece import SentencePieceProcessor
from transformers import PreTrainedTokenizer
from transformers.tokenization_utils_base import BatchEncoding, EncodedInput
from transformers.utils import PaddingStrategy, logging

logger = logging.get_logger(__name__)

VOCAB_FILES_NAMES = {"vocab_file": "tokenizer.model"}
SPECIAL_TOKENS = ["[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"]


class SPTokenizer:
    """The sentencepiece model, with five special tokens numbered behind its pieces."""

    def __init__(self, model_path: str):
        if not os.path.isfile(model_path):
            raise FileNotFoundError(f"no sentencepiece model at {model_path}")
        self.sp_model = SentencePieceProcessor(model_file=model_path)

        self.bos_id: int = self.sp_model.bos_id()
        self.eos_id: int = self.sp_model.eos_id()
        self.pad_id: int = self.sp_model.unk_id()

        first_special = self.sp_model.vocab_size()
        self.special_tokens: Dict[str, int] = {
            token: first_special + offset for offset, token in enumerate(SPECIAL_TOKENS)
        }
        self.index_special_tokens: Dict[int, str] = {
            index: token for token, index in self.special_tokens.items()
        }
        self.n_words: int = first_special + len(SPECIAL_TOKENS)

    def tokenize(self, text: str) -> List[str]:
        return self.sp_model.encode_as_pieces(text)

    def encode(self, text: str, bos: bool = False, eos: bool = False) -> List[int]:
        ids = self.sp_model.encode(text)
        return [self.bos_id] * bos + ids + [self.eos_id] * eos

    def decode(self, ids: List[int]) -> str:
        """Special tokens are written out; everything between them is one sentencepiece run."""
        text, run = "", []
        for index in ids:
            if index in self.index_special_tokens:
                text += self.sp_model.decode(run) + self.index_special_tokens[index]
                run = []
            else:
                run.append(index)
        return text + self.sp_model.decode(run)

    def decode_tokens(self, tokens: List[str]) -> str:
        return self.decode([self.convert_token_to_id(token) for token in tokens])

    def convert_token_to_id(self, token: str) -> int:
        if token in self.special_tokens:
            return self.special_tokens[token]
        return self.sp_model.piece_to_id(token)

    def convert_id_to_token(self, index: int) -> str:
        if index in self.index_special_tokens:
            return self.index_special_tokens[index]
        if index < 0 or index >= self.sp_model.vocab_size():
            return ""
        return self.sp_model.id_to_piece(index)


class ChatGLMTokenizer(PreTrainedTokenizer):
    vocab_files_names = VOCAB_FILES_NAMES
    model_input_names = ["input_ids", "attention_mask", "position_ids"]

    def __init__(self, vocab_file, padding_side="left", clean_up_tokenization_spaces=False, **kwargs):
        self.name = "GLMTokenizer"
        self.vocab_file = vocab_file
        self.tokenizer = SPTokenizer(vocab_file)
        self.command_tokens = {
            "<bos>": self.tokenizer.bos_id,
            "<eos>": self.tokenizer.eos_id,
            "<pad>": self.tokenizer.pad_id,
            **self.tokenizer.special_tokens,
        }
        super().__init__(
            padding_side=padding_side,
            clean_up_tokenization_spaces=clean_up_tokenization_spaces,
            **kwargs
        )

    def get_command(self, token: str) -> int:
        if token not in self.command_tokens:
            raise KeyError(f"{token} is not a command of {self.name}")
        return self.command_tokens[token]

    @property
    def unk_token(self) -> str:
        return "<unk>"

    @property
    def pad_token(self) -> str:
        return "<unk>"

    @property
    def pad_token_id(self) -> int:
        return self.get_command("<pad>")

    @property
    def eos_token(self) -> str:
        return "</s>"

    @property
    def eos_token_id(self) -> int:
        return self.get_command("<eos>")

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.n_words

    def get_vocab(self) -> Dict[str, int]:
        vocab = {self._convert_id_to_token(index): index for index in range(self.vocab_size)}
        vocab.update(self.added_tokens_encoder)
        return vocab

    def _tokenize(self, text, **kwargs) -> List[str]:
        return self.tokenizer.tokenize(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.tokenizer.convert_token_to_id(token)

    def _convert_id_to_token(self, index: int) -> str:
        return self.tokenizer.convert_id_to_token(index)

    def convert_tokens_to_string(self, tokens: List[str]) -> str:
        return self.tokenizer.decode_tokens(tokens)

    def save_vocabulary(self, save_directory: str, filename_prefix: Optional[str] = None) -> Tuple[str]:
        name = VOCAB_FILES_NAMES["vocab_file"]
        if filename_prefix:
            name = f"{filename_prefix}-{name}"
        target = os.path.join(save_directory, name)
        with open(self.vocab_file, "rb") as source, open(target, "wb") as copy:
            copy.write(source.read())
        return (target,)

    def get_prefix_tokens(self) -> List[int]:
        return [self.get_command("[gMASK]"), self.get_command("sop")]

    def build_prompt(self, query: str, history: Optional[List[Tuple[str, str]]] = None) -> str:
        rounds = list(history or []) + [(query, "")]
        return "\n\n".join(
            f"[Round {number}]\n\n问：{question}\n\n答：{answer}"
            for number, (question, answer) in enumerate(rounds, start=1)
        )

    def build_inputs_with_special_tokens(
        self, token_ids_0: List[int], token_ids_1: Optional[List[int]] = None
    ) -> List[int]:
        """`[gMASK] sop A` for one text, `[gMASK] sop A B </s>` for a pair."""
        ids = self.get_prefix_tokens() + token_ids_0
        if token_ids_1 is not None:
            ids = ids + token_ids_1 + [self.get_command("<eos>")]
        return ids

    def _pad(
        self,
        encoded_inputs: Union[Dict[str, EncodedInput], BatchEncoding],
        max_length: Optional[int] = None,
        padding_strategy: PaddingStrategy = PaddingStrategy.DO_NOT_PAD,
        pad_to_multiple_of: Optional[int] = None,
        return_attention_mask: Optional[bool] = None,
    ) -> dict:
        """Pad on the left, and give every sample its attention mask and position ids."""
        assert self.padding_side == "left"
        name = self.model_input_names[0]
        ids = encoded_inputs[name]
        length = len(ids)

        encoded_inputs.setdefault("attention_mask", [1] * length)
        encoded_inputs.setdefault("position_ids", list(range(length)))

        if padding_strategy == PaddingStrategy.DO_NOT_PAD:
            return encoded_inputs
        if padding_strategy == PaddingStrategy.LONGEST:
            max_length = length
        if max_length is not None and pad_to_multiple_of:
            max_length = -(-max_length // pad_to_multiple_of) * pad_to_multiple_of

        missing = (max_length or length) - length
        if missing > 0:
            encoded_inputs[name] = [self.pad_token_id] * missing + ids
            for key in ("attention_mask", "position_ids"):
                encoded_inputs[key] = [0] * missing + encoded_inputs[key]
        return encoded_inputs
