""" PyTorch ChatGLM model. """

import copy
import math
from typing import Any, Dict, List, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn import CrossEntropyLoss
from torch.nn.utils import skip_init
from transformers.generation.logits_process import LogitsProcessor
from transformers.generation.utils import LogitsProcessorList, ModelOutput, StoppingCriteriaList
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import logging

from .configuration_chatglm import ChatGLMConfig

logger = logging.get_logger(__name__)


def default_init(cls, *args, **kwargs):
    return cls(*args, **kwargs)


class InvalidScoreLogitsProcessor(LogitsProcessor):
    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if not torch.isfinite(scores).all():
            scores.zero_()
            scores[..., 5] = 5e4
        return scores


class RotaryEmbedding(nn.Module):
    """Frequencies and angles in fp32, whatever the dtype of the model."""

    def __init__(self, dim, original_impl=False, device=None, dtype=None):
        super().__init__()
        inv_freq = 1.0 / (10000 ** (torch.arange(0, dim, 2, device=device).to(dtype=dtype) / dim))
        self.register_buffer("inv_freq", inv_freq)
        self.dim = dim
        self.original_impl = original_impl

    def forward_impl(self, seq_len, n_elem, dtype, device, base=10000):
        exponents = torch.arange(0, n_elem, 2, dtype=torch.float, device=device) / n_elem
        theta = 1.0 / (base ** exponents)
        seq_idx = torch.arange(seq_len, dtype=torch.float, device=device)
        angles = torch.outer(seq_idx, theta).float()
        return torch.stack((angles.cos(), angles.sin()), dim=-1).to(dtype)

    def forward(self, max_seq_len, offset=0):
        return self.forward_impl(
            max_seq_len, self.dim, dtype=self.inv_freq.dtype, device=self.inv_freq.device
        )


@torch.jit.script
def apply_rotary_pos_emb(x: torch.Tensor, rope_cache: torch.Tensor) -> torch.Tensor:
    # x: [sq, b, np, hn], rope_cache: [sq, b, hn / 4, 2]; only the first half of hn turns
    sq, np = x.size(0), x.size(2)
    rot_dim = rope_cache.shape[-2] * 2
    turned, kept = x[..., :rot_dim], x[..., rot_dim:]
    pairs = turned.reshape(sq, -1, np, rot_dim // 2, 2)
    cache = rope_cache[:sq].view(sq, -1, 1, rot_dim // 2, 2)
    cos, sin = cache[..., 0], cache[..., 1]
    turned = torch.stack(
        [pairs[..., 0] * cos - pairs[..., 1] * sin, pairs[..., 1] * cos + pairs[..., 0] * sin], -1
    ).flatten(3)
    return torch.cat((turned, kept), dim=-1)


class RMSNorm(torch.nn.Module):
    def __init__(self, normalized_shape, eps=1e-5, device=None, dtype=None, **kwargs):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.empty(normalized_shape, device=device, dtype=dtype))
        self.eps = eps

    def forward(self, hidden_states: torch.Tensor):
        input_dtype = hidden_states.dtype
        variance = hidden_states.to(torch.float32).pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.eps)
        return (self.weight * hidden_states).to(input_dtype)


class CoreAttention(torch.nn.Module):
    def __init__(self, config: ChatGLMConfig, layer_number):
        super().__init__()
        self.layer_number = max(1, layer_number)
        self.projection_size = config.kv_channels * config.num_attention_heads
        self.norm_factor = math.sqrt(config.kv_channels)
        self.attention_dropout = torch.nn.Dropout(config.attention_dropout)

    def forward(self, query_layer, key_layer, value_layer, attention_mask):
        # [s, b, np, hn] -> [b, np, s, hn]; a mask is True where nothing may be seen
        query_layer, key_layer, value_layer = [
            layer.permute(1, 2, 0, 3) for layer in (query_layer, key_layer, value_layer)
        ]
        if attention_mask is None and query_layer.shape[2] == key_layer.shape[2]:
            context_layer = F.scaled_dot_product_attention(
                query_layer, key_layer, value_layer, is_causal=True
            )
        else:
            if attention_mask is not None:
                attention_mask = ~attention_mask
            context_layer = F.scaled_dot_product_attention(
                query_layer, key_layer, value_layer, attention_mask
            )
        context_layer = context_layer.permute(2, 0, 1, 3)
        return context_layer.reshape(*context_layer.shape[:-2], self.projection_size)


class SelfAttention(torch.nn.Module):
    def __init__(self, config: ChatGLMConfig, layer_number, device=None):
        super().__init__()
        self.layer_number = max(1, layer_number)
        self.num_heads = config.num_attention_heads
        self.head_dim = config.kv_channels
        self.projection_size = self.num_heads * self.head_dim
        self.multi_query_attention = config.multi_query_attention
        self.num_groups = config.multi_query_group_num if self.multi_query_attention else self.num_heads
        self.query_key_value = nn.Linear(
            config.hidden_size, self.projection_size + 2 * self.num_groups * self.head_dim,
            bias=config.add_bias_linear or config.add_qkv_bias, device=device, **_config_to_kwargs(config)
        )
        self.core_attention = CoreAttention(config, self.layer_number)
        self.dense = nn.Linear(
            self.projection_size, config.hidden_size,
            bias=config.add_bias_linear, device=device, **_config_to_kwargs(config)
        )

    def _split(self, mixed_x_layer):
        leading = mixed_x_layer.shape[:-1]
        if not self.multi_query_attention:
            # every head holds its own query, key and value side by side
            return mixed_x_layer.view(*leading, self.num_heads, 3 * self.head_dim).chunk(3, dim=-1)
        group_size = self.num_groups * self.head_dim
        query_layer, key_layer, value_layer = mixed_x_layer.split(
            [self.projection_size, group_size, group_size], dim=-1
        )
        return (
            query_layer.view(*leading, self.num_heads, self.head_dim),
            key_layer.view(*leading, self.num_groups, self.head_dim),
            value_layer.view(*leading, self.num_groups, self.head_dim),
        )

    def forward(self, hidden_states, attention_mask, rotary_pos_emb, kv_cache=None, use_cache=True):
        query_layer, key_layer, value_layer = self._split(self.query_key_value(hidden_states))
        if rotary_pos_emb is not None:
            query_layer = apply_rotary_pos_emb(query_layer, rotary_pos_emb)
            key_layer = apply_rotary_pos_emb(key_layer, rotary_pos_emb)

        if kv_cache is not None:
            cache_k, cache_v = kv_cache
            key_layer = torch.cat((cache_k, key_layer), dim=0)
            value_layer = torch.cat((cache_v, value_layer), dim=0)
        kv_cache = (key_layer, value_layer) if use_cache else None

        if self.multi_query_attention:
            repeats = self.num_heads // self.num_groups
            key_layer = key_layer.repeat_interleave(repeats, dim=2)
            value_layer = value_layer.repeat_interleave(repeats, dim=2)
        context_layer = self.core_attention(query_layer, key_layer, value_layer, attention_mask)
        return self.dense(context_layer), kv_cache


def _config_to_kwargs(args):
    return {"dtype": args.torch_dtype}


class MLP(torch.nn.Module):
    def __init__(self, config: ChatGLMConfig, device=None):
        super().__init__()
        self.dense_h_to_4h = nn.Linear(
            config.hidden_size, config.ffn_hidden_size * 2,
            bias=config.add_bias_linear, device=device, **_config_to_kwargs(config)
        )
        self.dense_4h_to_h = nn.Linear(
            config.ffn_hidden_size, config.hidden_size,
            bias=config.add_bias_linear, device=device, **_config_to_kwargs(config)
        )

    def activation_func(self, x):
        gate, up = torch.chunk(x, 2, dim=-1)
        return F.silu(gate) * up

    def forward(self, hidden_states):
        return self.dense_4h_to_h(self.activation_func(self.dense_h_to_4h(hidden_states)))


class GLMBlock(torch.nn.Module):
    def __init__(self, config: ChatGLMConfig, layer_number, device=None):
        super().__init__()
        self.layer_number = layer_number
        self.apply_residual_connection_post_layernorm = config.apply_residual_connection_post_layernorm
        self.hidden_dropout = config.hidden_dropout
        self.input_layernorm = RMSNorm(
            config.hidden_size, eps=config.layernorm_epsilon, device=device, dtype=config.torch_dtype
        )
        self.self_attention = SelfAttention(config, layer_number, device=device)
        self.post_attention_layernorm = RMSNorm(
            config.hidden_size, eps=config.layernorm_epsilon, device=device, dtype=config.torch_dtype
        )
        self.mlp = MLP(config, device=device)

    def _add(self, output, normed, residual):
        if self.apply_residual_connection_post_layernorm:
            residual = normed
        return residual + F.dropout(output, p=self.hidden_dropout, training=self.training)

    def forward(self, hidden_states, attention_mask, rotary_pos_emb, kv_cache=None, use_cache=True):
        normed = self.input_layernorm(hidden_states)
        output, kv_cache = self.self_attention(
            normed, attention_mask, rotary_pos_emb, kv_cache=kv_cache, use_cache=use_cache
        )
        hidden_states = self._add(output, normed, hidden_states)
        normed = self.post_attention_layernorm(hidden_states)
        return self._add(self.mlp(normed), normed, hidden_states), kv_cache


class GLMTransformer(torch.nn.Module):
    def __init__(self, config: ChatGLMConfig, device=None):
        super().__init__()
        self.num_layers = config.num_layers
        self.post_layer_norm = config.post_layer_norm
        self.layers = torch.nn.ModuleList(
            [GLMBlock(config, number + 1, device=device) for number in range(self.num_layers)]
        )
        if self.post_layer_norm:
            self.final_layernorm = RMSNorm(
                config.hidden_size, eps=config.layernorm_epsilon, device=device, dtype=config.torch_dtype
            )

    def forward(
            self, hidden_states, attention_mask, rotary_pos_emb, kv_caches=None,
            use_cache: Optional[bool] = True, output_hidden_states: Optional[bool] = False,
    ):
        if not kv_caches:
            kv_caches = [None for _ in range(self.num_layers)]
        presents = () if use_cache else None
        all_hidden_states = () if output_hidden_states else None
        for layer, layer_cache in zip(self.layers, kv_caches):
            if output_hidden_states:
                all_hidden_states = all_hidden_states + (hidden_states,)
            hidden_states, kv_cache = layer(
                hidden_states, attention_mask, rotary_pos_emb, kv_cache=layer_cache, use_cache=use_cache
            )
            if use_cache:
                presents = presents + (kv_cache,)
        if output_hidden_states:
            all_hidden_states = all_hidden_states + (hidden_states,)
        if self.post_layer_norm:
            hidden_states = self.final_layernorm(hidden_states)
        return hidden_states, presents, all_hidden_states, None


class ChatGLMPreTrainedModel(PreTrainedModel):
    is_parallelizable = False
    supports_gradient_checkpointing = True
    config_class = ChatGLMConfig
    base_model_prefix = "transformer"
    _no_split_modules = ["GLMBlock"]

    def _init_weights(self, module: nn.Module):
        return

    def get_masks(self, input_ids, past_key_values, padding_mask=None):
        batch_size, seq_length = input_ids.shape
        full_attention_mask = torch.ones(batch_size, seq_length, seq_length, device=input_ids.device)
        full_attention_mask.tril_()
        past_length = 0
        if past_key_values:
            past_length = past_key_values[0][0].shape[0]
        if past_length:
            seen = torch.ones(batch_size, seq_length, past_length, device=input_ids.device)
            full_attention_mask = torch.cat((seen, full_attention_mask), dim=-1)
        if padding_mask is not None:
            full_attention_mask = full_attention_mask * padding_mask.unsqueeze(1)
            if not past_length:
                # a padding row sees everything, so that no softmax runs over nothing
                full_attention_mask -= padding_mask.unsqueeze(-1) - 1
        full_attention_mask = (full_attention_mask < 0.5).bool()
        full_attention_mask.unsqueeze_(1)
        return full_attention_mask

    def get_position_ids(self, input_ids, device):
        batch_size, seq_length = input_ids.shape
        return torch.arange(seq_length, dtype=torch.long, device=device).unsqueeze(0).repeat(batch_size, 1)


class Embedding(torch.nn.Module):
    def __init__(self, config: ChatGLMConfig, device=None):
        super().__init__()
        self.word_embeddings = nn.Embedding(
            config.padded_vocab_size, config.hidden_size, dtype=config.torch_dtype, device=device
        )
        self.fp32_residual_connection = config.fp32_residual_connection

    def forward(self, input_ids):
        # [b, s, h] -> [s, b, h]
        embeddings = self.word_embeddings(input_ids).transpose(0, 1).contiguous()
        return embeddings.float() if self.fp32_residual_connection else embeddings


class ChatGLMModel(ChatGLMPreTrainedModel):
    def __init__(self, config: ChatGLMConfig, device=None, empty_init=True):
        super().__init__(config)
        init_method = skip_init if empty_init else default_init
        init_kwargs = {} if device is None else {"device": device}
        self.embedding = init_method(Embedding, config, **init_kwargs)
        self.num_layers = config.num_layers
        self.seq_length = config.seq_length
        rotary_dim = config.kv_channels
        self.rotary_pos_emb = RotaryEmbedding(
            rotary_dim // 2, original_impl=True, device=device, dtype=config.torch_dtype
        )
        self.encoder = init_method(GLMTransformer, config, **init_kwargs)
        self.output_layer = init_method(
            nn.Linear, config.hidden_size, config.padded_vocab_size, bias=False,
            dtype=config.torch_dtype, **init_kwargs
        )

    def get_input_embeddings(self):
        return self.embedding.word_embeddings

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
        seq_length = input_ids.shape[1]
        if inputs_embeds is None:
            inputs_embeds = self.embedding(input_ids)
        if full_attention_mask is None:
            padded = attention_mask is not None and not attention_mask.all()
            if padded or (past_key_values and seq_length != 1):
                full_attention_mask = self.get_masks(input_ids, past_key_values, padding_mask=attention_mask)

        rotary_pos_emb = self.rotary_pos_emb(self.seq_length)
        if position_ids is not None:
            rotary_pos_emb = rotary_pos_emb[position_ids]
        else:
            rotary_pos_emb = rotary_pos_emb[None, :seq_length]
        rotary_pos_emb = rotary_pos_emb.transpose(0, 1).contiguous()

        hidden_states, presents, all_hidden_states, all_self_attentions = self.encoder(
            inputs_embeds, full_attention_mask, rotary_pos_emb=rotary_pos_emb,
            kv_caches=past_key_values, use_cache=use_cache, output_hidden_states=output_hidden_states
        )
        if not return_dict:
            parts = (hidden_states, presents, all_hidden_states, all_self_attentions)
            return tuple(part for part in parts if part is not None)
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
            model_kwargs["attention_mask"] = torch.cat(
                [attention_mask, attention_mask.new_ones((attention_mask.shape[0], 1))], dim=-1
            )
        if "position_ids" in model_kwargs:
            position_ids = model_kwargs["position_ids"]
            model_kwargs["position_ids"] = torch.cat([position_ids, position_ids[..., -1:] + 1], dim=-1)
        model_kwargs["is_first_forward"] = False
        return model_kwargs

    def prepare_inputs_for_generation(
            self,
            input_ids: torch.LongTensor,
            past_key_values: Optional[torch.Tensor] = None,
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
            "return_last_logit": True,
            "use_cache": use_cache,
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
            shift_logits = lm_logits[..., :-1, :].float()
            shift_labels = labels[..., 1:].contiguous()
            loss = CrossEntropyLoss(ignore_index=-100)(
                shift_logits.reshape(-1, shift_logits.size(-1)), shift_labels.view(-1)
            ).to(hidden_states.dtype)
        if not return_dict:
            output = (lm_logits,) + transformer_outputs[1:]
            return ((loss,) + output) if loss is not None else output
        return CausalLMOutputWithPast(
            loss=loss,
            logits=lm_logits,
            past_key_values=transformer_outputs.past_key_values,
            hidden_states=transformer_outputs.hidden_states,
            attentions=transformer_outputs.attentions,
        )

    @staticmethod
    def _reorder_cache(past, beam_idx: torch.LongTensor):
        return tuple(
            tuple(part.index_select(1, beam_idx.to(part.device)) for part in layer_past)
            for layer_past in past
        )

    def process_response(self, output, history):
        content = ""
        history = copy.deepcopy(history)
        for response in output.split("<|assistant|>"):
            metadata, newline, content = response.partition("\n")
            if not newline:
                metadata, content = "", response
            if not metadata.strip():
                content = content.strip()
                history.append({"role": "assistant", "metadata": metadata, "content": content})
            else:
                history.append({"role": "assistant", "metadata": metadata, "content": content})
                content = {"name": metadata.strip(), "content": content}
        return content, history

    def _stop_ids(self, tokenizer):
        return [
            tokenizer.eos_token_id,
            tokenizer.convert_tokens_to_ids("<|user|>"),
            tokenizer.convert_tokens_to_ids("<|observation|>"),
        ]

    @torch.inference_mode()
    def chat(
            self, tokenizer, query: str, history: List[Dict] = None, role: str = "user",
            max_length: int = 8192, num_beams=1, do_sample=True, top_p=0.8, temperature=0.8,
            logits_processor=None, **kwargs
    ):
        history = [] if history is None else history
        logits_processor = LogitsProcessorList() if logits_processor is None else logits_processor
        logits_processor.append(InvalidScoreLogitsProcessor())
        inputs = tokenizer.build_chat_input(query, history=history, role=role).to(self.device)
        outputs = self.generate(
            **inputs, max_length=max_length, num_beams=num_beams, do_sample=do_sample, top_p=top_p,
            temperature=temperature, logits_processor=logits_processor,
            eos_token_id=self._stop_ids(tokenizer), **kwargs
        )
        response = tokenizer.decode(outputs.tolist()[0][len(inputs["input_ids"][0]):-1])
        history = history + [{"role": role, "content": query}]
        return self.process_response(response, history)

    @torch.inference_mode()
    def stream_chat(
            self, tokenizer, query: str, history: List[Dict] = None, role: str = "user",
            max_length: int = 8192, do_sample=True, top_p=0.8, temperature=0.8,
            logits_processor=None, **kwargs
    ):
        history = [] if history is None else history
        logits_processor = LogitsProcessorList() if logits_processor is None else logits_processor
        logits_processor.append(InvalidScoreLogitsProcessor())
        inputs = tokenizer.build_chat_input(query, history=history, role=role).to(self.device)
        history = history + [{"role": role, "content": query}]
        for outputs in self.stream_generate(
                **inputs, max_length=max_length, do_sample=do_sample, top_p=top_p, temperature=temperature,
                logits_processor=logits_processor, eos_token_id=self._stop_ids(tokenizer), **kwargs
        ):
            response = tokenizer.decode(outputs.tolist()[0][len(inputs["input_ids"][0]):-1])
            if response and response[-1] != "\ufffd":
                yield self.process_response(response, history)

    @torch.inference_mode()
    def stream_generate(
            self, input_ids, generation_config=None, logits_processor=None, stopping_criteria=None,
            **kwargs
    ):
        generation_config = copy.deepcopy(generation_config or self.generation_config)
        model_kwargs = generation_config.update(**kwargs)
        model_kwargs["use_cache"] = generation_config.use_cache
        eos_token_id = generation_config.eos_token_id
        stop_ids = torch.tensor([eos_token_id] if isinstance(eos_token_id, int) else eos_token_id)
        logits_processor = self._get_logits_processor(
            generation_config=generation_config, input_ids_seq_length=input_ids.shape[-1],
            encoder_input_ids=input_ids, prefix_allowed_tokens_fn=None,
            logits_processor=logits_processor or LogitsProcessorList(),
        )
        stopping_criteria = self._get_stopping_criteria(
            generation_config=generation_config, stopping_criteria=stopping_criteria or StoppingCriteriaList()
        )
        logits_warper = self._get_logits_warper(generation_config)
        unfinished = input_ids.new_ones(input_ids.shape[0])
        while True:
            model_inputs = self.prepare_inputs_for_generation(input_ids, **model_kwargs)
            outputs = self(**model_inputs, return_dict=True)
            scores = logits_warper(input_ids, logits_processor(input_ids, outputs.logits[:, -1, :]))
            if generation_config.do_sample:
                next_tokens = torch.multinomial(F.softmax(scores, dim=-1), num_samples=1).squeeze(1)
            else:
                next_tokens = torch.argmax(scores, dim=-1)
            input_ids = torch.cat([input_ids, next_tokens[:, None]], dim=-1)
            model_kwargs = self._update_model_kwargs_for_generation(outputs, model_kwargs)
            unfinished = unfinished * ~torch.isin(next_tokens, stop_ids.to(input_ids.device))
            yield input_ids
            if unfinished.max() == 0 or bool(torch.as_tensor(stopping_criteria(input_ids, scores)).all()):
                break
