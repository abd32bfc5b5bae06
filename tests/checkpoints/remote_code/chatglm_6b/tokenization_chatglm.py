"""A tokenizer in the style of the first ChatGLM-6B.

`[gMASK] <sop>` stand behind the text, masks hide with True and have three dimensions, positions
have two rows; the vocabulary is set after `super().__init__`.
"""

from typing import List, Optional

import numpy as np
import sentencepiece
from transformers.tokenization_utils import PreTrainedTokenizer
from transformers.utils import PaddingStrategy


class SPTokenizer:
    """Pieces of a sentencepiece model, then four tokens of its own."""

    own_tokens = ("[MASK]", "[gMASK]", "<sop>", "<eop>")

    def __init__(self, vocab_file):
        self.model = sentencepiece.SentencePieceProcessor(vocab_file)
        self.pieces = self.model.get_piece_size()

    @property
    def num_tokens(self):
        return self.pieces + len(self.own_tokens)

    def tokenize(self, text):
        return self.model.encode(text, out_type=str)

    def decode_tokens(self, tokens):
        return self.model.decode_pieces([token for token in tokens if token not in self.own_tokens])

    def __getitem__(self, key):
        if isinstance(key, int):
            if key < self.pieces:
                return self.model.id_to_piece(key)
            own = key - self.pieces
            return self.own_tokens[own] if own < len(self.own_tokens) else "<unk>"
        if key in self.own_tokens:
            return self.pieces + self.own_tokens.index(key)
        return self.model.piece_to_id(key)


class ChatGLMTokenizer(PreTrainedTokenizer):
    vocab_files_names = {"vocab_file": "ice_text.model"}
    model_input_names = ["input_ids", "attention_mask", "position_ids"]

    def __init__(
        self,
        vocab_file,
        bos_token="<sop>",
        eos_token="<eop>",
        end_token="</s>",
        mask_token="[MASK]",
        gmask_token="[gMASK]",
        padding_side="left",
        pad_token="<unk>",
        unk_token="<unk>",
        **kwargs,
    ):
        super().__init__(
            padding_side=padding_side,
            bos_token=bos_token,
            eos_token=eos_token,
            end_token=end_token,
            mask_token=mask_token,
            gmask_token=gmask_token,
            pad_token=pad_token,
            unk_token=unk_token,
            **kwargs,
        )
        self.vocab_file = vocab_file
        self.bos_token = bos_token
        self.eos_token = eos_token
        self.end_token = end_token
        self.mask_token = mask_token
        self.gmask_token = gmask_token
        self.sp_tokenizer = SPTokenizer(vocab_file)

    @property
    def vocab_size(self):
        return self.sp_tokenizer.num_tokens

    def get_vocab(self):
        vocab = {self._convert_id_to_token(index): index for index in range(self.vocab_size)}
        vocab.update(self.added_tokens_encoder)
        return vocab

    def _tokenize(self, text, **kwargs):
        return self.sp_tokenizer.tokenize(text)

    def convert_tokens_to_string(self, tokens):
        return self.sp_tokenizer.decode_tokens(tokens)

    def _convert_token_to_id(self, token):
        return self.sp_tokenizer[token]

    def _convert_id_to_token(self, index):
        return self.sp_tokenizer[index]

    def build_inputs_with_special_tokens(
        self, token_ids_0: List[int], token_ids_1: Optional[List[int]] = None
    ) -> List[int]:
        gmask, start = self.sp_tokenizer[self.gmask_token], self.sp_tokenizer[self.bos_token]
        ids = token_ids_0 + [gmask, start]
        if token_ids_1 is not None:
            ids = ids + token_ids_1 + [self.sp_tokenizer[self.eos_token]]
        return ids

    def _pad(
        self,
        encoded_inputs,
        max_length=None,
        padding_strategy=PaddingStrategy.DO_NOT_PAD,
        pad_to_multiple_of=None,
        return_attention_mask=None,
    ):
        start = self.sp_tokenizer[self.bos_token]
        gmask = self.sp_tokenizer[self.gmask_token]
        mask = self.sp_tokenizer[self.mask_token]
        assert self.padding_side == "left"
        ids = encoded_inputs["input_ids"]
        length = len(ids)
        if padding_strategy == PaddingStrategy.LONGEST:
            max_length = length
        needs_padding = padding_strategy != PaddingStrategy.DO_NOT_PAD and length != max_length
        if max_length is not None:
            context = ids.index(start) if start in ids else length
            if "attention_mask" not in encoded_inputs:
                seen = np.tril(np.ones((1, length, length)))
                seen[:, :, :context] = 1
                encoded_inputs["attention_mask"] = np.bool_(seen < 0.5)
            if "position_ids" not in encoded_inputs:
                positions = np.arange(length, dtype=np.int64)
                place = mask if mask in ids else gmask
                if place in ids:
                    positions[context:] = ids.index(place)
                blocks = np.concatenate(
                    [
                        np.zeros(context, dtype=np.int64),
                        np.arange(1, length - context + 1, dtype=np.int64),
                    ]
                )
                encoded_inputs["position_ids"] = np.stack([positions, blocks], axis=0)
        if needs_padding:
            missing = max_length - length
            if "attention_mask" in encoded_inputs:
                encoded_inputs["attention_mask"] = np.pad(
                    encoded_inputs["attention_mask"],
                    pad_width=[(0, 0), (missing, 0), (missing, 0)],
                    mode="constant",
                    constant_values=True,
                )
            if "position_ids" in encoded_inputs:
                encoded_inputs["position_ids"] = np.pad(
                    encoded_inputs["position_ids"], pad_width=[(0, 0), (missing, 0)]
                )
            encoded_inputs["input_ids"] = [self.pad_token_id] * missing + ids
        return encoded_inputs
