"""A model in the style of the first ChatGLM-6B: two-dimensional rope, LayerNorm, scaled residuals.

Written for transformers 4.30: caches are tuples with time first, the mask hides with True.
"""

import math
from typing import Any, Dict, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import LayerNorm
from torch.nn.utils import skip_init
from transformers.generation.logits_process import LogitsProcessor
from transformers.generation.utils import LogitsProcessorList, ModelOutput
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import add_start_docstrings, logging

from .configuration_chatglm import ChatGLMConfig

logger = logging.get_logger(__name__)


class InvalidScoreLogitsProcessor(LogitsProcessor):
    def __call__(self, input_ids, scores):
        if torch.isnan(scores).any() or torch.isinf(scores).any():
            scores.zero_()
            scores[..., 5] = 5e4
        return scores


class RotaryEmbedding(nn.Module):
    def __init__(self, dim, base=10000):
        super().__init__()
        inv_freq = 1.0 / (base ** (torch.arange(0, dim, 2).float() / dim))
        self.register_buffer("inv_freq", inv_freq.half())
        self.max_seq_len_cached = None
        self.cos_cached = None
        self.sin_cached = None

    def _load_from_state_dict(self, *args):
        pass  # the file's values are those of the constructor

    def forward(self, x, seq_len):
        if self.max_seq_len_cached is None or seq_len > self.max_seq_len_cached:
            self.max_seq_len_cached = seq_len
            steps = torch.arange(seq_len, device=x.device, dtype=self.inv_freq.dtype)
            angles = torch.einsum("i,j->ij", steps, self.inv_freq)
            angles = torch.cat((angles, angles), dim=-1)
            self.cos_cached, self.sin_cached = angles.cos()[:, None, :], angles.sin()[:, None, :]
        return self.cos_cached[:seq_len, ...], self.sin_cached[:seq_len, ...]

    def _apply(self, fn):
        if self.cos_cached is not None:
            self.cos_cached = fn(self.cos_cached)
        if self.sin_cached is not None:
            self.sin_cached = fn(self.sin_cached)
        return super()._apply(fn)


def rotate_half(x):
    left, right = x[..., : x.shape[-1] // 2], x[..., x.shape[-1] // 2 :]
    return torch.cat((-right, left), dim=x.ndim - 1)


def apply_rotary(q, k, cos, sin, position_id):
    cos = F.embedding(position_id, cos.squeeze(1)).unsqueeze(2)
    sin = F.embedding(position_id, sin.squeeze(1)).unsqueeze(2)
    return (q * cos) + (rotate_half(q) * sin), (k * cos) + (rotate_half(k) * sin)


class SelfAttention(nn.Module):
    def __init__(self, hidden_size, heads, layer_id, params_dtype):
        super().__init__()
        self.layer_id = layer_id
        self.heads = heads
        self.head_dim = hidden_size // heads
        self.rotary_emb = RotaryEmbedding(hidden_size // (heads * 2))
        self.query_key_value = skip_init(
            nn.Linear, hidden_size, 3 * hidden_size, bias=True, dtype=params_dtype
        )
        self.dense = skip_init(nn.Linear, hidden_size, hidden_size, bias=True, dtype=params_dtype)

    def forward(self, hidden_states, position_ids, attention_mask, layer_past, use_cache):
        length, batch, width = hidden_states.shape
        mixed = self.query_key_value(hidden_states)
        mixed = mixed.view(length, batch, self.heads, 3 * self.head_dim)
        query, key, value = torch.split(mixed, self.head_dim, dim=-1)

        q1, q2 = query.chunk(2, dim=-1)
        k1, k2 = key.chunk(2, dim=-1)
        cos, sin = self.rotary_emb(q1, seq_len=position_ids.max() + 1)
        first = position_ids[:, 0, :].transpose(0, 1).contiguous()
        second = position_ids[:, 1, :].transpose(0, 1).contiguous()
        q1, k1 = apply_rotary(q1, k1, cos, sin, first)
        q2, k2 = apply_rotary(q2, k2, cos, sin, second)
        query, key = torch.concat([q1, q2], dim=-1), torch.concat([k1, k2], dim=-1)

        if layer_past is not None:
            past_key, past_value = layer_past[0], layer_past[1]
            key = torch.cat((past_key, key), dim=0)
            value = torch.cat((past_value, value), dim=0)
        present = (key, value) if use_cache else None

        scale = float(self.layer_id + 1)
        query = query / (math.sqrt(self.head_dim) * scale)
        scores = torch.einsum("qbhd,kbhd->bhqk", query, key)
        if not (attention_mask == 0).all():
            scores.masked_fill_(attention_mask, -10000.0)
        shares = F.softmax(scores.float() * scale, dim=-1).type(scores.dtype)
        context = torch.einsum("bhqk,kbhd->qbhd", shares, value)
        return self.dense(context.reshape(length, batch, width)), present


class GLU(nn.Module):
    def __init__(self, hidden_size, inner_hidden_size, params_dtype):
        super().__init__()
        self.dense_h_to_4h = skip_init(
            nn.Linear, hidden_size, inner_hidden_size, bias=True, dtype=params_dtype
        )
        self.dense_4h_to_h = skip_init(
            nn.Linear, inner_hidden_size, hidden_size, bias=True, dtype=params_dtype
        )

    def forward(self, hidden_states):
        inner = self.dense_h_to_4h(hidden_states)
        inner = 0.5 * inner * (1.0 + torch.tanh(0.7978845608028654 * inner * (1.0 + 0.044715 * inner * inner)))
        return self.dense_4h_to_h(inner)


class GLMBlock(nn.Module):
    def __init__(self, config, layer_id, params_dtype):
        super().__init__()
        self.num_layers = config.num_layers
        self.input_layernorm = LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.attention = SelfAttention(
            config.hidden_size, config.num_attention_heads, layer_id, params_dtype
        )
        self.post_attention_layernorm = LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)
        self.mlp = GLU(config.hidden_size, config.inner_hidden_size, params_dtype)

    def forward(self, hidden_states, position_ids, attention_mask, layer_past, use_cache):
        alpha = (2 * self.num_layers) ** 0.5
        normed = self.input_layernorm(hidden_states)
        attended, present = self.attention(
            normed, position_ids, attention_mask, layer_past, use_cache
        )
        normed = self.post_attention_layernorm(normed * alpha + attended)
        return normed * alpha + self.mlp(normed), present


class ChatGLMPreTrainedModel(PreTrainedModel):
    is_parallelizable = False
    supports_gradient_checkpointing = True
    config_class = ChatGLMConfig
    base_model_prefix = "transformer"
    _no_split_modules = ["GLMBlock"]

    def _init_weights(self, module: nn.Module):
        return

    def get_masks(self, input_ids, device):
        batch_size, seq_length = input_ids.shape
        context_lengths = [seq.tolist().index(self.config.bos_token_id) for seq in input_ids]
        attention_mask = torch.ones((batch_size, seq_length, seq_length), device=device)
        attention_mask.tril_()
        for i, context_length in enumerate(context_lengths):
            attention_mask[i, :, :context_length] = 1
        attention_mask.unsqueeze_(1)
        return (attention_mask < 0.5).bool()

    def get_position_ids(self, input_ids, mask_positions, device):
        batch_size, seq_length = input_ids.shape
        context_lengths = [seq.tolist().index(self.config.bos_token_id) for seq in input_ids]
        position_ids = torch.arange(seq_length, dtype=torch.long, device=device)
        position_ids = position_ids.unsqueeze(0).repeat(batch_size, 1)
        blocks = []
        for i, context_length in enumerate(context_lengths):
            position_ids[i, context_length:] = mask_positions[i]
            zeros = torch.zeros(context_length, dtype=torch.long, device=device)
            steps = torch.arange(seq_length - context_length, dtype=torch.long, device=device) + 1
            blocks.append(torch.cat((zeros, steps)))
        return torch.stack((position_ids, torch.stack(blocks, dim=0)), dim=1)

    def get_mask_positions(self, seqs):
        mask, gmask = self.config.mask_token_id, self.config.gmask_token_id
        return [seq.index(gmask if gmask in seq else mask) for seq in seqs]


CHATGLM_START_DOCSTRING = "A model of ours in the style of a published one."


@add_start_docstrings("The transformer without a head.", CHATGLM_START_DOCSTRING)
class ChatGLMModel(ChatGLMPreTrainedModel):
    def __init__(self, config: ChatGLMConfig):
        super().__init__(config)
        self.params_dtype = torch.half
        self.word_embeddings = skip_init(
            nn.Embedding,
            num_embeddings=config.vocab_size,
            embedding_dim=config.hidden_size,
            dtype=self.params_dtype,
        )
        self.layers = nn.ModuleList(
            [GLMBlock(config, layer_id, self.params_dtype) for layer_id in range(config.num_layers)]
        )
        self.final_layernorm = LayerNorm(config.hidden_size, eps=config.layernorm_epsilon)

    def get_input_embeddings(self):
        return self.word_embeddings

    def set_input_embeddings(self, new_embeddings):
        self.word_embeddings = new_embeddings

    def forward(
        self,
        input_ids: Optional[torch.LongTensor] = None,
        position_ids: Optional[torch.LongTensor] = None,
        attention_mask: Optional[torch.Tensor] = None,
        past_key_values: Optional[Tuple[Tuple[torch.Tensor, torch.Tensor], ...]] = None,
        inputs_embeds: Optional[torch.LongTensor] = None,
        use_cache: Optional[bool] = None,
        output_attentions: Optional[bool] = None,
        output_hidden_states: Optional[bool] = None,
        return_dict: Optional[bool] = None,
    ):
        use_cache = use_cache if use_cache is not None else self.config.use_cache
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)
        if past_key_values is None:
            past_key_values = tuple([None] * len(self.layers))
            if attention_mask is None:
                attention_mask = self.get_masks(input_ids, device=input_ids.device)
            if position_ids is None:
                position_ids = self.get_position_ids(
                    input_ids,
                    mask_positions=self.get_mask_positions(input_ids.tolist()),
                    device=input_ids.device,
                )
        hidden_states = inputs_embeds.transpose(0, 1)
        presents = () if use_cache else None
        if attention_mask is None:
            attention_mask = torch.zeros(1, 1, device=input_ids.device).bool()
        for i, layer in enumerate(self.layers):
            hidden_states, present = layer(
                hidden_states, position_ids, attention_mask, past_key_values[i], use_cache
            )
            if use_cache:
                presents = presents + (present,)
        hidden_states = self.final_layernorm(hidden_states)
        if not return_dict:
            return tuple(each for each in (hidden_states, presents) if each is not None)
        return BaseModelOutputWithPast(last_hidden_state=hidden_states, past_key_values=presents)


class ChatGLMForConditionalGeneration(ChatGLMPreTrainedModel):
    def __init__(self, config: ChatGLMConfig):
        super().__init__(config)
        self.max_sequence_length = config.max_sequence_length
        self.transformer = ChatGLMModel(config)
        self.lm_head = skip_init(
            nn.Linear, config.hidden_size, config.vocab_size, bias=False, dtype=torch.half
        )
        self.config = config
        self.quantized = False

    def get_output_embeddings(self):
        return self.lm_head

    def set_output_embeddings(self, new_embeddings):
        self.lm_head = new_embeddings

    def _update_model_kwargs_for_generation(
        self,
        outputs: ModelOutput,
        model_kwargs: Dict[str, Any],
        is_encoder_decoder: bool = False,
        standardize_cache_format: bool = False,
    ) -> Dict[str, Any]:
        model_kwargs["past_key_values"] = self._extract_past_from_model_output(
            outputs, standardize_cache_format=standardize_cache_format
        )
        if "attention_mask" in model_kwargs:
            attention_mask = model_kwargs["attention_mask"]
            if attention_mask is not None and attention_mask.dtype == torch.bool:
                attention_mask = torch.cat(
                    [attention_mask, attention_mask.new_ones((*attention_mask.shape[:3], 1))], dim=3
                )
                new_attention_mask = attention_mask[:, :, -1:].clone()
                new_attention_mask[..., -1] = False
                model_kwargs["attention_mask"] = torch.cat(
                    [attention_mask, new_attention_mask], dim=2
                )
        if "position_ids" in model_kwargs:
            position_ids = model_kwargs["position_ids"]
            new_position_id = position_ids[..., -1:].clone()
            new_position_id[:, 1, :] += 1
            model_kwargs["position_ids"] = torch.cat([position_ids, new_position_id], dim=-1)
        return model_kwargs

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.LongTensor,
        past: Optional[torch.Tensor] = None,
        past_key_values: Optional[torch.Tensor] = None,
        attention_mask: Optional[torch.Tensor] = None,
        position_ids: Optional[torch.Tensor] = None,
        **kwargs,
    ) -> dict:
        seqs = input_ids.tolist()
        mask_positions = self.get_mask_positions(seqs)
        if past is not None or past_key_values is not None:
            if attention_mask is not None and attention_mask.dtype == torch.bool:
                attention_mask = attention_mask[:, :, -1:]
            else:
                attention_mask = None
            if position_ids is not None:
                position_ids = position_ids[..., -1:]
            else:
                starts = [seq.index(self.config.bos_token_id) for seq in seqs]
                rows = [
                    [place, input_ids.shape[1] - start]
                    for place, start in zip(mask_positions, starts)
                ]
                position_ids = torch.tensor(rows, dtype=torch.long, device=input_ids.device)
                position_ids = position_ids.unsqueeze(-1)
            return {
                "input_ids": input_ids[:, -1].unsqueeze(-1),
                "past_key_values": past if past is not None else past_key_values,
                "position_ids": position_ids,
                "attention_mask": attention_mask,
            }
        if attention_mask is not None and attention_mask.dtype != torch.bool:
            attention_mask = None
        if attention_mask is None:
            attention_mask = self.get_masks(input_ids, device=input_ids.device)
        if position_ids is None:
            position_ids = self.get_position_ids(
                input_ids, device=input_ids.device, mask_positions=mask_positions
            )
        return {
            "input_ids": input_ids,
            "past_key_values": past,
            "position_ids": position_ids,
            "attention_mask": attention_mask,
        }

    def forward(
        self,
        input_ids: Optional[torch.Tensor] = None,
        position_ids: Optional[torch.Tensor] = None,
        attention_mask: Optional[torch.Tensor] = None,
        past_key_values: Optional[Tuple[torch.FloatTensor]] = None,
        inputs_embeds: Optional[torch.Tensor] = None,
        labels: Optional[torch.Tensor] = None,
        use_cache: Optional[bool] = None,
        output_attentions: Optional[bool] = None,
        output_hidden_states: Optional[bool] = None,
        return_dict: Optional[bool] = None,
    ):
        use_cache = use_cache if use_cache is not None else self.config.use_cache
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict
        outputs = self.transformer(
            input_ids=input_ids,
            position_ids=position_ids,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            return_dict=return_dict,
        )
        lm_logits = self.lm_head(outputs[0]).permute(1, 0, 2).contiguous()
        if not return_dict:
            return (lm_logits,) + outputs[1:]
        return CausalLMOutputWithPast(logits=lm_logits, past_key_values=outputs.past_key_values)

    @staticmethod
    def _reorder_cache(past, beam_idx):
        return tuple(
            (
                layer[0].index_select(1, beam_idx.to(layer[0].device)),
                layer[1].index_select(1, beam_idx.to(layer[1].device)),
            )
            for layer in past
        )

    @torch.no_grad()
    def chat(self, tokenizer, query, history=None, max_length=2048, num_beams=1, **kwargs):
        history = history or []
        prompt = query
        if history:
            prompt = ""
            for i, (old_query, response) in enumerate(history):
                prompt += "[Round {}]\n问：{}\n答：{}\n".format(i, old_query, response)
            prompt += "[Round {}]\n问：{}\n答：".format(len(history), query)
        inputs = tokenizer([prompt], return_tensors="pt").to(self.device)
        processors = LogitsProcessorList([InvalidScoreLogitsProcessor()])
        outputs = self.generate(
            **inputs, max_length=max_length, num_beams=num_beams, logits_processor=processors, **kwargs
        )
        answer = tokenizer.decode(outputs.tolist()[0][len(inputs["input_ids"][0]) :])
        return answer.strip(), history + [(query, answer.strip())]
