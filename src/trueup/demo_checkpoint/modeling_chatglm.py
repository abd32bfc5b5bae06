""" PyTorch ChatGLM model. """

import copy
import warnings
from typing import Any, Callable, Dict, List, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import CrossEntropyLoss
from torch.nn.utils import skip_init
from transformers.generation.logits_process import LogitsProcessor
from transformers.generation.utils import (
    GenerationConfig,
    LogitsProcessorList,
    ModelOutput,
    StoppingCriteriaList,
)
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import logging

from .configuration_chatglm import ChatGLMConfig

logger = logging.get_logger(__name__)


def default_init(cls, *args, **kwargs):
    return cls(*args, **kwargs)


class InvalidScoreLogitsProcessor(LogitsProcessor):
    """A broken distribution yields one fixed token rather than a crash of the sampler."""

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if not torch.isfinite(scores).any(dim=-1).all() or torch.isnan(scores).any():
            scores = torch.zeros_like(scores)
            scores[..., 5] = 5e4
        return scores


def split_tensor_along_last_dim(tensor: torch.Tensor, num_partitions: int) -> Tuple[torch.Tensor, ...]:
    return torch.split(tensor, tensor.size(-1) // num_partitions, dim=-1)


def _config_to_kwargs(config: ChatGLMConfig) -> Dict[str, Any]:
    return {"dtype": config.torch_dtype}


class RotaryEmbedding(nn.Module):
    """The table of cosines and sines, [positions, dim / 2, 2], built in the dtype of the model."""

    def __init__(self, dim, original_impl=False, device=None, dtype=None):
        super().__init__()
        inv_freq = 1.0 / (10000 ** (torch.arange(0, dim, 2, device=device).to(dtype=dtype) / dim))
        self.register_buffer("inv_freq", inv_freq)
        self.dim = dim
        self.original_impl = original_impl

    def forward_impl(self, seq_len: int, n_elem: int, dtype: torch.dtype, device: torch.device, base: int = 10000):
        theta = 1.0 / (base ** (torch.arange(0, n_elem, 2, dtype=dtype, device=device) / n_elem))
        positions = torch.arange(seq_len, dtype=dtype, device=device)
        angles = torch.outer(positions, theta).float()
        return torch.stack((angles.cos(), angles.sin()), dim=-1).to(dtype)

    def forward(self, max_seq_len, offset=0):
        return self.forward_impl(
            max_seq_len, self.dim, dtype=self.inv_freq.dtype, device=self.inv_freq.device
        )


def apply_rotary_pos_emb(x: torch.Tensor, rope_cache: torch.Tensor) -> torch.Tensor:
    """Turn the leading channels of x [seq, batch, heads, dim], taken as pairs (0, 1), (2, 3), ..."""
    rotary_dim = 2 * rope_cache.shape[-2]
    turned, kept = x[..., :rotary_dim], x[..., rotary_dim:]
    even, odd = turned[..., 0::2], turned[..., 1::2]
    # [seq, batch, dim / 2, 2] -> [seq, batch, 1, dim / 2], the same for every head
    cos, sin = rope_cache[: x.size(0)].unsqueeze(2).unbind(-1)
    turned = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(3)
    return torch.cat((turned, kept), dim=-1)


class RMSNorm(nn.Module):
    def __init__(self, normalized_shape, eps=1e-5, device=None, dtype=None, **kwargs):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(normalized_shape, device=device, dtype=dtype))
        self.eps = eps

    def forward(self, hidden_states: torch.Tensor):
        wide = hidden_states.to(torch.float32)
        wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return (self.weight * wide).to(hidden_states.dtype)


class CoreAttention(nn.Module):
    """Softmax attention over [seq, batch, heads, dim]; True in the mask means: do not look there."""

    def __init__(self, config: ChatGLMConfig, layer_number):
        super().__init__()
        self.layer_number = max(1, layer_number)
        self.projection_size = config.kv_channels * config.num_attention_heads

    def forward(self, query_layer, key_layer, value_layer, attention_mask):
        query_layer, key_layer, value_layer = [
            layer.permute(1, 2, 0, 3) for layer in (query_layer, key_layer, value_layer)
        ]
        if attention_mask is None and query_layer.shape[2] == key_layer.shape[2]:
            context_layer = F.scaled_dot_product_attention(
                query_layer, key_layer, value_layer, is_causal=True
            )
        else:
            allowed = None if attention_mask is None else ~attention_mask
            context_layer = F.scaled_dot_product_attention(query_layer, key_layer, value_layer, allowed)
        context_layer = context_layer.permute(2, 0, 1, 3)
        return context_layer.reshape(context_layer.shape[:-2] + (self.projection_size,))


class SelfAttention(nn.Module):
    """Input and output are [seq, batch, hidden]; queries share keys and values within a group."""

    def __init__(self, config: ChatGLMConfig, layer_number, device=None):
        super().__init__()
        self.layer_number = max(1, layer_number)
        self.hidden_size_per_attention_head = config.kv_channels
        self.num_attention_heads = config.num_attention_heads
        self.projection_size = config.kv_channels * config.num_attention_heads

        self.multi_query_attention = config.multi_query_attention
        self.qkv_hidden_size = 3 * self.projection_size
        if self.multi_query_attention:
            self.num_multi_query_groups = config.multi_query_group_num
            self.qkv_hidden_size = (
                self.projection_size + 2 * config.kv_channels * config.multi_query_group_num
            )

        factory = _config_to_kwargs(config)
        self.query_key_value = nn.Linear(
            config.hidden_size,
            self.qkv_hidden_size,
            bias=config.add_bias_linear or config.add_qkv_bias,
            device=device,
            **factory
        )
        self.core_attention = CoreAttention(config, self.layer_number)
        self.dense = nn.Linear(
            self.projection_size,
            config.hidden_size,
            bias=config.add_bias_linear,
            device=device,
            **factory
        )

    def _split_heads(self, mixed_x_layer):
        head_dim, heads = self.hidden_size_per_attention_head, self.num_attention_heads
        if not self.multi_query_attention:
            mixed_x_layer = mixed_x_layer.view(mixed_x_layer.shape[:-1] + (heads, 3 * head_dim))
            return split_tensor_along_last_dim(mixed_x_layer, 3)
        groups = self.num_multi_query_groups
        parts = mixed_x_layer.split([heads * head_dim, groups * head_dim, groups * head_dim], dim=-1)
        return [part.view(part.shape[:-1] + (-1, head_dim)) for part in parts]

    def _repeat_for_queries(self, layer):
        """[seq, batch, groups, dim] -> [seq, batch, heads, dim]"""
        repeats = self.num_attention_heads // self.num_multi_query_groups
        return layer.repeat_interleave(repeats, dim=2)

    def forward(self, hidden_states, attention_mask, rotary_pos_emb, kv_cache=None, use_cache=True):
        query_layer, key_layer, value_layer = self._split_heads(self.query_key_value(hidden_states))

        if rotary_pos_emb is not None:
            query_layer = apply_rotary_pos_emb(query_layer, rotary_pos_emb)
            key_layer = apply_rotary_pos_emb(key_layer, rotary_pos_emb)

        if kv_cache is not None:
            cache_k, cache_v = kv_cache
            key_layer = torch.cat((cache_k, key_layer), dim=0)
            value_layer = torch.cat((cache_v, value_layer), dim=0)
        kv_cache = (key_layer, value_layer) if use_cache else None

        if self.multi_query_attention:
            key_layer = self._repeat_for_queries(key_layer)
            value_layer = self._repeat_for_queries(value_layer)

        context_layer = self.core_attention(query_layer, key_layer, value_layer, attention_mask)
        return self.dense(context_layer), kv_cache


class MLP(nn.Module):
    """SwiGLU: one projection up gives the gate and the values, one projection leads back."""

    def __init__(self, config: ChatGLMConfig, device=None):
        super().__init__()
        factory = dict(bias=config.add_bias_linear, device=device, **_config_to_kwargs(config))
        self.dense_h_to_4h = nn.Linear(config.hidden_size, 2 * config.ffn_hidden_size, **factory)
        self.dense_4h_to_h = nn.Linear(config.ffn_hidden_size, config.hidden_size, **factory)

    def forward(self, hidden_states):
        gate, value = split_tensor_along_last_dim(self.dense_h_to_4h(hidden_states), 2)
        return self.dense_4h_to_h(F.silu(gate) * value)


class GLMBlock(nn.Module):
    def __init__(self, config: ChatGLMConfig, layer_number, device=None):
        super().__init__()
        self.layer_number = layer_number
        self.apply_residual_connection_post_layernorm = config.apply_residual_connection_post_layernorm
        self.hidden_dropout = config.hidden_dropout

        norm = RMSNorm if config.rmsnorm else nn.LayerNorm
        factory = dict(eps=config.layernorm_epsilon, device=device, dtype=config.torch_dtype)
        self.input_layernorm = norm(config.hidden_size, **factory)
        self.self_attention = SelfAttention(config, layer_number, device=device)
        self.post_attention_layernorm = norm(config.hidden_size, **factory)
        self.mlp = MLP(config, device=device)

    def _add_residual(self, output, normed, plain):
        residual = normed if self.apply_residual_connection_post_layernorm else plain
        return residual + F.dropout(output, p=self.hidden_dropout, training=self.training)

    def forward(self, hidden_states, attention_mask, rotary_pos_emb, kv_cache=None, use_cache=True):
        normed = self.input_layernorm(hidden_states)
        attention_output, kv_cache = self.self_attention(
            normed, attention_mask, rotary_pos_emb, kv_cache=kv_cache, use_cache=use_cache
        )
        hidden_states = self._add_residual(attention_output, normed, hidden_states)

        normed = self.post_attention_layernorm(hidden_states)
        return self._add_residual(self.mlp(normed), normed, hidden_states), kv_cache


class GLMTransformer(nn.Module):
    def __init__(self, config: ChatGLMConfig, device=None):
        super().__init__()
        self.fp32_residual_connection = config.fp32_residual_connection
        self.post_layer_norm = config.post_layer_norm
        self.num_layers = config.num_layers
        self.layers = nn.ModuleList(
            [GLMBlock(config, number + 1, device=device) for number in range(config.num_layers)]
        )
        if self.post_layer_norm:
            norm = RMSNorm if config.rmsnorm else nn.LayerNorm
            self.final_layernorm = norm(
                config.hidden_size,
                eps=config.layernorm_epsilon,
                device=device,
                dtype=config.torch_dtype,
            )

    def forward(
        self,
        hidden_states,
        attention_mask,
        rotary_pos_emb,
        kv_caches=None,
        use_cache: Optional[bool] = True,
        output_hidden_states: Optional[bool] = False,
    ):
        if not kv_caches:
            kv_caches = [None] * self.num_layers
        presents = () if use_cache else None
        all_hidden_states = () if output_hidden_states else None

        for index, layer in enumerate(self.layers):
            if output_hidden_states:
                all_hidden_states = all_hidden_states + (hidden_states,)
            hidden_states, kv_cache = layer(
                hidden_states,
                attention_mask,
                rotary_pos_emb,
                kv_cache=kv_caches[index],
                use_cache=use_cache,
            )
            if use_cache:
                presents = presents + (kv_cache,)

        if output_hidden_states:
            all_hidden_states = all_hidden_states + (hidden_states,)
        if self.post_layer_norm:
            hidden_states = self.final_layernorm(hidden_states)
        return hidden_states, presents, all_hidden_states, None


class ChatGLMPreTrainedModel(PreTrainedModel):
    config_class = ChatGLMConfig
    base_model_prefix = "transformer"
    is_parallelizable = False
    supports_gradient_checkpointing = False
    _no_split_modules = ["GLMBlock"]

    def _init_weights(self, module: nn.Module):
        return

    def get_masks(self, input_ids, past_key_values, padding_mask=None):
        """[batch, 1, seq, past + seq], True where a position may not look."""
        batch_size, seq_length = input_ids.shape
        past_length = 0
        if past_key_values:
            past_length = past_key_values[0][0].shape[0]

        visible = torch.ones(
            batch_size, seq_length, past_length + seq_length, dtype=torch.bool, device=input_ids.device
        ).tril_(diagonal=past_length)
        if padding_mask is not None:
            padding_mask = padding_mask.bool()
            visible = visible & padding_mask.unsqueeze(1)
            # A padded query sees everything: a row without any key would be NaN.
            visible = visible | ~padding_mask[:, -seq_length:].unsqueeze(-1)
        return ~visible.unsqueeze(1)

    def get_position_ids(self, input_ids, device):
        batch_size, seq_length = input_ids.shape
        positions = torch.arange(seq_length, dtype=torch.long, device=device)
        return positions.unsqueeze(0).repeat(batch_size, 1)


class Embedding(nn.Module):
    """Token ids [batch, seq] -> [seq, batch, hidden], the order of all layers behind it."""

    def __init__(self, config: ChatGLMConfig, device=None):
        super().__init__()
        self.hidden_size = config.hidden_size
        self.word_embeddings = nn.Embedding(
            config.padded_vocab_size, self.hidden_size, dtype=config.torch_dtype, device=device
        )
        self.fp32_residual_connection = config.fp32_residual_connection

    def forward(self, input_ids):
        embeddings = self.word_embeddings(input_ids).transpose(0, 1).contiguous()
        return embeddings.float() if self.fp32_residual_connection else embeddings


class ChatGLMModel(ChatGLMPreTrainedModel):
    def __init__(self, config: ChatGLMConfig, device=None, empty_init=True):
        super().__init__(config)
        if config.pre_seq_len is not None or config.quantization_bit:
            raise ValueError("this checkpoint has neither a prefix encoder nor quantized weights")
        init_method = skip_init if empty_init else default_init
        init_kwargs = {} if device is None else {"device": device}

        self.embedding = init_method(Embedding, config, **init_kwargs)
        self.num_layers = config.num_layers
        self.multi_query_group_num = config.multi_query_group_num
        self.kv_channels = config.kv_channels
        self.seq_length = config.seq_length

        # Half of the channels of a head carry the position, the other half does not.
        self.rotary_pos_emb = RotaryEmbedding(
            config.kv_channels // 2,
            original_impl=config.original_rope,
            device=device,
            dtype=config.torch_dtype,
        )
        self.encoder = init_method(GLMTransformer, config, **init_kwargs)
        self.output_layer = init_method(
            nn.Linear,
            config.hidden_size,
            config.padded_vocab_size,
            bias=False,
            dtype=config.torch_dtype,
            **init_kwargs
        )

    def get_input_embeddings(self):
        return self.embedding.word_embeddings

    def set_input_embeddings(self, value):
        self.embedding.word_embeddings = value

    def forward(
        self,
        input_ids,
        position_ids: Optional[torch.Tensor] = None,
        attention_mask: Optional[torch.BoolTensor] = None,
        full_attention_mask: Optional[torch.BoolTensor] = None,
        past_key_values: Optional[Tuple[Tuple[torch.Tensor, torch.Tensor], ...]] = None,
        inputs_embeds: Optional[torch.Tensor] = None,
        use_cache: Optional[bool] = None,
        output_hidden_states: Optional[bool] = None,
        return_dict: Optional[bool] = None,
    ):
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        use_cache = use_cache if use_cache is not None else self.config.use_cache
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict

        batch_size, seq_length = input_ids.shape
        if inputs_embeds is None:
            inputs_embeds = self.embedding(input_ids)

        if full_attention_mask is None:
            is_padded = attention_mask is not None and not attention_mask.all()
            if is_padded or (past_key_values and seq_length != 1):
                full_attention_mask = self.get_masks(
                    input_ids, past_key_values, padding_mask=attention_mask
                )

        rotary_pos_emb = self.rotary_pos_emb(self.seq_length)
        if position_ids is None:
            rotary_pos_emb = rotary_pos_emb[None, :seq_length]
        else:
            rotary_pos_emb = rotary_pos_emb[position_ids]
        rotary_pos_emb = rotary_pos_emb.transpose(0, 1).contiguous()

        hidden_states, presents, all_hidden_states, all_self_attentions = self.encoder(
            inputs_embeds,
            full_attention_mask,
            rotary_pos_emb=rotary_pos_emb,
            kv_caches=past_key_values,
            use_cache=use_cache,
            output_hidden_states=output_hidden_states,
        )
        if not return_dict:
            outputs = (hidden_states, presents, all_hidden_states, all_self_attentions)
            return tuple(value for value in outputs if value is not None)
        return BaseModelOutputWithPast(
            last_hidden_state=hidden_states,
            past_key_values=presents,
            hidden_states=all_hidden_states,
            attentions=all_self_attentions,
        )


class ChatGLMForConditionalGeneration(ChatGLMPreTrainedModel):
    def __init__(self, config: ChatGLMConfig, empty_init=True, device=None):
        super().__init__(config)
        self.max_sequence_length = config.max_length
        self.transformer = ChatGLMModel(config, empty_init=empty_init, device=device)
        self.config = config

    def get_output_embeddings(self):
        return self.transformer.output_layer

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
        # The token that was just made takes part from now on, one position further.
        if "attention_mask" in model_kwargs:
            attention_mask = model_kwargs["attention_mask"]
            model_kwargs["attention_mask"] = F.pad(attention_mask, (0, 1), value=1)
        if "position_ids" in model_kwargs:
            position_ids = model_kwargs["position_ids"]
            model_kwargs["position_ids"] = torch.cat(
                (position_ids, position_ids[..., -1:] + 1), dim=-1
            )
        model_kwargs["is_first_forward"] = False
        return model_kwargs

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.LongTensor,
        past_key_values: Optional[Tuple] = None,
        attention_mask: Optional[torch.Tensor] = None,
        position_ids: Optional[torch.Tensor] = None,
        use_cache: Optional[bool] = None,
        is_first_forward: bool = True,
        **kwargs
    ) -> dict:
        if position_ids is None:
            position_ids = self.get_position_ids(input_ids, device=input_ids.device)
        if not is_first_forward and past_key_values is not None:
            position_ids = position_ids[..., -1:]
            input_ids = input_ids[:, -1:]
        return {
            "input_ids": input_ids,
            "past_key_values": past_key_values,
            "position_ids": position_ids,
            "attention_mask": attention_mask,
            "use_cache": use_cache,
            "return_last_logit": True,
        }

    def forward(
        self,
        input_ids: Optional[torch.Tensor] = None,
        position_ids: Optional[torch.Tensor] = None,
        attention_mask: Optional[torch.Tensor] = None,
        past_key_values: Optional[Tuple[Tuple[torch.Tensor, torch.Tensor], ...]] = None,
        inputs_embeds: Optional[torch.Tensor] = None,
        labels: Optional[torch.Tensor] = None,
        use_cache: Optional[bool] = None,
        output_attentions: Optional[bool] = None,
        output_hidden_states: Optional[bool] = None,
        return_dict: Optional[bool] = None,
        return_last_logit: Optional[bool] = False,
    ):
        use_cache = use_cache if use_cache is not None else self.config.use_cache
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict

        transformer_outputs = self.transformer(
            input_ids=input_ids,
            position_ids=position_ids,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        hidden_states = transformer_outputs[0]
        if return_last_logit:
            hidden_states = hidden_states[-1:]
        lm_logits = self.transformer.output_layer(hidden_states).transpose(0, 1).contiguous()

        loss = None
        if labels is not None:
            # Position n predicts token n + 1; the loss is taken in fp32.
            predicted = lm_logits[:, :-1].float().flatten(0, 1)
            loss = CrossEntropyLoss(ignore_index=-100)(predicted, labels[:, 1:].flatten())

        if not return_dict:
            output = (lm_logits,) + transformer_outputs[1:]
            return output if loss is None else (loss,) + output
        return CausalLMOutputWithPast(
            loss=loss,
            logits=lm_logits,
            past_key_values=transformer_outputs.past_key_values,
            hidden_states=transformer_outputs.hidden_states,
            attentions=transformer_outputs.attentions,
        )

    @staticmethod
    def _reorder_cache(past: Tuple[Tuple[torch.Tensor, torch.Tensor], ...], beam_idx: torch.LongTensor):
        """Each beam goes on with the cache of the beam that it came from (the batch is dim 1)."""
        return tuple(
            tuple(state.index_select(1, beam_idx.to(state.device)) for state in layer_past)
            for layer_past in past
        )

    def process_response(self, response: str) -> str:
        return response.strip()

    def build_inputs(self, tokenizer, query: str, history: Optional[List[Tuple[str, str]]] = None):
        prompt = tokenizer.build_prompt(query, history=history)
        return tokenizer([prompt], return_tensors="pt").to(self.device)

    def build_stream_inputs(self, tokenizer, query: str, history: Optional[List[Tuple[str, str]]] = None):
        """Only the new round: what came before it is in the cache already."""
        if not history:
            return self.build_inputs(tokenizer, query)
        prompt = f"\n\n[Round {len(history) + 1}]\n\n问：{query}\n\n答："
        # A run of text begins with a blank of sentencepiece's, here there must be none.
        input_ids = tokenizer.encode(prompt, add_special_tokens=False)[1:]
        return tokenizer.batch_encode_plus(
            [(input_ids, None)], return_tensors="pt", add_special_tokens=False
        ).to(self.device)

    @torch.inference_mode()
    def chat(
        self,
        tokenizer,
        query: str,
        history: Optional[List[Tuple[str, str]]] = None,
        max_length: int = 1024,
        num_beams=1,
        do_sample=True,
        top_p=0.8,
        temperature=0.8,
        logits_processor=None,
        **kwargs
    ):
        """The answer to query, and the history with this round added."""
        history = list(history or [])
        logits_processor = logits_processor or LogitsProcessorList()
        logits_processor.append(InvalidScoreLogitsProcessor())
        gen_kwargs = {
            "max_length": max_length,
            "num_beams": num_beams,
            "do_sample": do_sample,
            "top_p": top_p,
            "temperature": temperature,
            "logits_processor": logits_processor,
            **kwargs,
        }
        inputs = self.build_inputs(tokenizer, query, history=history)
        outputs = self.generate(**inputs, **gen_kwargs)
        outputs = outputs.tolist()[0][len(inputs["input_ids"][0]) :]
        if outputs and outputs[-1] == tokenizer.eos_token_id:
            outputs = outputs[:-1]
        response = self.process_response(tokenizer.decode(outputs))
        return response, history + [(query, response)]

    @torch.inference_mode()
    def stream_chat(
        self,
        tokenizer,
        query: str,
        history: Optional[List[Tuple[str, str]]] = None,
        past_key_values=None,
        max_length: int = 1024,
        do_sample=True,
        top_p=0.8,
        temperature=0.8,
        logits_processor=None,
        return_past_key_values=False,
        **kwargs
    ):
        """Yield the answer as far as it has come, again and again, with the history so far."""
        history = list(history or [])
        logits_processor = logits_processor or LogitsProcessorList()
        logits_processor.append(InvalidScoreLogitsProcessor())
        gen_kwargs = {
            "max_length": max_length,
            "do_sample": do_sample,
            "top_p": top_p,
            "temperature": temperature,
            "logits_processor": logits_processor,
            **kwargs,
        }
        if past_key_values is None:
            inputs = self.build_inputs(tokenizer, query, history=history)
        else:
            inputs = self.build_stream_inputs(tokenizer, query, history=history)
            past_length = past_key_values[0][0].shape[0]
            inputs["position_ids"] = inputs["position_ids"] + past_length
            inputs["attention_mask"] = F.pad(inputs["attention_mask"], (past_length, 0), value=1)

        prompt_length = len(inputs["input_ids"][0])
        for output_ids, new_past in self.stream_generate(
            **inputs, past_key_values=past_key_values, return_past_key_values=True, **gen_kwargs
        ):
            made = output_ids.tolist()[0][prompt_length:]
            if made and made[-1] == tokenizer.eos_token_id:
                made = made[:-1]
            response = tokenizer.decode(made)
            # A character of several bytes is shown when its last byte is there.
            if not response or response.endswith("\ufffd"):
                continue
            response = self.process_response(response)
            new_history = history + [(query, response)]
            if return_past_key_values:
                yield response, new_history, new_past
            else:
                yield response, new_history

    @torch.inference_mode()
    def stream_generate(
        self,
        input_ids,
        generation_config: Optional[GenerationConfig] = None,
        logits_processor: Optional[LogitsProcessorList] = None,
        stopping_criteria: Optional[StoppingCriteriaList] = None,
        prefix_allowed_tokens_fn: Optional[Callable[[int, torch.Tensor], List[int]]] = None,
        return_past_key_values=False,
        **kwargs
    ):
        """The loop of generate() for greedy search and sampling, yielding after each token."""
        generation_config = copy.deepcopy(generation_config or self.generation_config)
        model_kwargs = generation_config.update(**kwargs)
        model_kwargs["use_cache"] = generation_config.use_cache

        eos_token_id = generation_config.eos_token_id
        if isinstance(eos_token_id, int):
            eos_token_id = [eos_token_id]
        eos_token_ids = torch.tensor(eos_token_id or [], device=input_ids.device)

        prompt_length = input_ids.shape[1]
        if generation_config.max_new_tokens is not None:
            generation_config.max_length = prompt_length + generation_config.max_new_tokens
        if prompt_length >= generation_config.max_length:
            warnings.warn(
                f"the prompt has {prompt_length} tokens, max_length is {generation_config.max_length}",
                UserWarning,
            )

        logits_processor = self._get_logits_processor(
            generation_config=generation_config,
            input_ids_seq_length=prompt_length,
            encoder_input_ids=input_ids,
            prefix_allowed_tokens_fn=prefix_allowed_tokens_fn,
            logits_processor=logits_processor or LogitsProcessorList(),
        )
        stopping_criteria = self._get_stopping_criteria(
            generation_config=generation_config,
            stopping_criteria=stopping_criteria or StoppingCriteriaList(),
        )
        logits_warper = self._get_logits_warper(generation_config)

        is_unfinished = torch.ones(input_ids.shape[0], dtype=torch.bool, device=input_ids.device)
        while True:
            model_inputs = self.prepare_inputs_for_generation(input_ids, **model_kwargs)
            outputs = self(**model_inputs, return_dict=True)
            scores = logits_processor(input_ids, outputs.logits[:, -1, :])
            if generation_config.do_sample:
                probs = F.softmax(logits_warper(input_ids, scores).float(), dim=-1)
                next_tokens = torch.multinomial(probs, num_samples=1).squeeze(1)
            else:
                next_tokens = torch.argmax(scores, dim=-1)

            input_ids = torch.cat((input_ids, next_tokens[:, None]), dim=-1)
            model_kwargs = self._update_model_kwargs_for_generation(outputs, model_kwargs)
            is_unfinished = is_unfinished & ~torch.isin(next_tokens, eos_token_ids)

            if return_past_key_values:
                yield input_ids, outputs.past_key_values
            else:
                yield input_ids

            stop = stopping_criteria(input_ids, scores)
            stop = stop.all() if isinstance(stop, torch.Tensor) else stop
            if stop or not is_unfinished.any():
                break
