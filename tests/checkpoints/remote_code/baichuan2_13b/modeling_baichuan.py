""" PyTorch Baichuan2 model, 13B: ALiBi in a mask that the first run registers, unit-row head. """

import math
from threading import Thread

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast

from .configuration_baichuan import BaichuanConfig
from .generation_utils import TextIterStreamer, build_chat_input


def slopes_of(heads):
    def powers(count):
        ratio = 2 ** (-(2 ** -(math.log2(count) - 3)))
        return [ratio ** (place + 1) for place in range(count)]

    if math.log2(heads).is_integer():
        return powers(heads)
    closest = 2 ** math.floor(math.log2(heads))
    return powers(closest) + slopes_of(2 * closest)[0::2][: heads - closest]


def alibi_mask(heads, length):
    """[heads, length, length]: -inf above the diagonal, a penalty by distance elsewhere."""
    steps = torch.arange(length) - length + 1
    distances = steps.view(1, 1, -1).expand(heads, -1, -1)
    distances = distances - torch.diag(distances[0])[None, None, :].transpose(-1, -2)
    alibi = torch.Tensor(slopes_of(heads)).view(-1, 1, 1) * distances
    future = torch.full((length, length), float("-inf")).triu(1)
    return future.unsqueeze(0) + alibi.view(heads, 1, length)


class RMSNorm(nn.Module):
    def __init__(self, hidden_size, epsilon=1e-6):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(hidden_size))
        self.epsilon = epsilon

    def forward(self, hidden_states):
        variance = hidden_states.to(torch.float32).pow(2).mean(-1, keepdim=True)
        hidden_states = hidden_states * torch.rsqrt(variance + self.epsilon)
        if self.weight.dtype in [torch.float16, torch.bfloat16]:
            hidden_states = hidden_states.to(self.weight.dtype)
        return self.weight * hidden_states


class MLP(nn.Module):
    def __init__(self, hidden_size, intermediate_size, hidden_act):
        super().__init__()
        self.gate_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = nn.Linear(intermediate_size, hidden_size, bias=False)
        self.up_proj = nn.Linear(hidden_size, intermediate_size, bias=False)
        self.act_fn = ACT2FN[hidden_act]

    def forward(self, x):
        return self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))


class BaichuanAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.hidden_size = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.head_dim = self.hidden_size // self.num_heads
        self.max_position_embeddings = config.model_max_length
        self.W_pack = nn.Linear(self.hidden_size, 3 * self.hidden_size, bias=False)
        self.o_proj = nn.Linear(self.num_heads * self.head_dim, self.hidden_size, bias=False)

    def forward(
        self,
        hidden_states,
        attention_mask=None,
        past_key_value=None,
        output_attentions=False,
        use_cache=False,
    ):
        batch, length, _ = hidden_states.size()
        packed = self.W_pack(hidden_states).unflatten(-1, (3, self.hidden_size))
        query, key, value = (
            packed[..., part, :].view(batch, length, self.num_heads, self.head_dim).transpose(1, 2)
            for part in range(3)
        )
        if past_key_value is not None:
            key = torch.cat([past_key_value[0], key], dim=2)
            value = torch.cat([past_key_value[1], value], dim=2)
        past_key_value = (key, value) if use_cache else None
        scores = torch.matmul(query, key.transpose(2, 3)) / math.sqrt(self.head_dim)
        if attention_mask is not None:
            if length == 1:
                if len(attention_mask.size()) == 4:
                    attention_mask = attention_mask[:, :, -1:, :]
                else:
                    attention_mask = attention_mask[:, -1:, :]
            scores = scores + attention_mask
            scores = torch.max(scores, torch.tensor(torch.finfo(scores.dtype).min))
        shares = F.softmax(scores, dim=-1)
        mixed = torch.matmul(shares, value).transpose(1, 2)
        mixed = mixed.reshape(batch, length, self.hidden_size)
        return self.o_proj(mixed), shares if output_attentions else None, past_key_value


class BaichuanLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.hidden_size = config.hidden_size
        self.self_attn = BaichuanAttention(config=config)
        self.mlp = MLP(config.hidden_size, config.intermediate_size, config.hidden_act)
        self.input_layernorm = RMSNorm(config.hidden_size, epsilon=config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, epsilon=config.rms_norm_eps)

    def forward(
        self,
        hidden_states,
        attention_mask=None,
        past_key_value=None,
        output_attentions=False,
        use_cache=False,
    ):
        attended, _, present = self.self_attn(
            hidden_states=self.input_layernorm(hidden_states),
            attention_mask=attention_mask,
            past_key_value=past_key_value,
            output_attentions=output_attentions,
            use_cache=use_cache,
        )
        hidden_states = hidden_states + attended
        hidden_states = hidden_states + self.mlp(self.post_attention_layernorm(hidden_states))
        return (hidden_states, present) if use_cache else (hidden_states,)


class BaichuanPreTrainedModel(PreTrainedModel):
    config_class = BaichuanConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["BaichuanLayer"]
    _keys_to_ignore_on_load_unexpected = [r"decoder\.version"]

    def _init_weights(self, module):
        std = self.config.initializer_range
        if isinstance(module, nn.Linear):
            module.weight.data.normal_(mean=0.0, std=std)
            if module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, nn.Embedding):
            module.weight.data.normal_(mean=0.0, std=std)
            if module.padding_idx is not None:
                module.weight.data[module.padding_idx].zero_()

    def _set_gradient_checkpointing(self, module, value=False):
        if isinstance(module, BaichuanModel):
            module.gradient_checkpointing = value


class BaichuanModel(BaichuanPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.padding_idx = config.pad_token_id
        self.vocab_size = config.vocab_size
        self.n_head = config.num_attention_heads
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, self.padding_idx)
        self.layers = nn.ModuleList(
            [BaichuanLayer(config) for _ in range(config.num_hidden_layers)]
        )
        self.norm = RMSNorm(config.hidden_size, epsilon=config.rms_norm_eps)
        self.gradient_checkpointing = config.gradient_checkpointing
        self.post_init()
        self.max_cache_pos = config.model_max_length
        self.first_run = True
        self.alibi_mask = None

    def get_input_embeddings(self):
        return self.embed_tokens

    def set_input_embeddings(self, value):
        self.embed_tokens = value

    def get_alibi_mask(self, tensor, seq_length_with_past):
        if self.training:
            return alibi_mask(self.n_head, seq_length_with_past).to(tensor)
        if self.first_run or seq_length_with_past > self.max_cache_pos:
            self.first_run = False
            self.max_cache_pos = max(seq_length_with_past, self.max_cache_pos)
            mask = alibi_mask(self.n_head, self.max_cache_pos).to(tensor)
            self.register_buffer("future_mask", mask, persistent=False)
        return self.future_mask[:, :seq_length_with_past, :seq_length_with_past]

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=False,
        output_attentions=False,
        output_hidden_states=False,
        return_dict=True,
    ):
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("You need to provide input_ids or inputs_embeds")
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        batch, length, _ = inputs_embeds.shape
        total = length
        if past_key_values is not None:
            total += past_key_values[0][0].shape[2]
        alibi = self.get_alibi_mask(inputs_embeds, total)
        if attention_mask is not None:
            if len(attention_mask.shape) == 2:
                seen = attention_mask.to(alibi.dtype)
                both = torch.gt(seen[:, :, None] * seen[:, None, :], 0)
                same = torch.eq(seen[:, :, None] - seen[:, None, :], 0)
                seen = torch.tril(both) * same
            else:
                seen = attention_mask
            seen = seen.unsqueeze(1).expand(batch, 1, total, total).to(alibi.dtype)
            hidden = 1.0 - seen
            hidden = hidden.masked_fill(hidden.to(torch.bool), torch.finfo(alibi.dtype).min)
            attention_mask = hidden + alibi.unsqueeze(0)
        else:
            attention_mask = alibi

        hidden_states = inputs_embeds
        all_hidden_states = () if output_hidden_states else None
        next_cache = () if use_cache else None
        for idx, decoder_layer in enumerate(self.layers):
            if output_hidden_states:
                all_hidden_states += (hidden_states,)
            outputs = decoder_layer(
                hidden_states,
                attention_mask=attention_mask,
                past_key_value=past_key_values[idx] if past_key_values is not None else None,
                output_attentions=output_attentions,
                use_cache=use_cache,
            )
            hidden_states = outputs[0]
            if use_cache:
                next_cache += (outputs[1],)
        hidden_states = self.norm(hidden_states)
        if output_hidden_states:
            all_hidden_states += (hidden_states,)
        if not return_dict:
            found = [hidden_states, next_cache, all_hidden_states]
            return tuple(each for each in found if each is not None)
        return BaseModelOutputWithPast(
            last_hidden_state=hidden_states,
            past_key_values=next_cache,
            hidden_states=all_hidden_states,
            attentions=None,
        )


class NormHead(nn.Module):
    def __init__(self, hidden_size, vocab_size, bias=False):
        super().__init__()
        self.weight = nn.Parameter(torch.empty((vocab_size, hidden_size)))
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        self.first_flag = True

    def forward(self, hidden_states):
        if self.training:
            self.first_flag = True
            return F.linear(hidden_states, F.normalize(self.weight))
        if self.first_flag:
            self.first_flag = False
            self.weight.data = F.normalize(self.weight)
        return F.linear(hidden_states, self.weight)


class BaichuanForCausalLM(BaichuanPreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.model = BaichuanModel(config)
        self.lm_head = NormHead(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def get_input_embeddings(self):
        return self.model.embed_tokens

    def set_input_embeddings(self, value):
        self.model.embed_tokens = value

    def get_output_embeddings(self):
        return self.lm_head

    def set_output_embeddings(self, new_embeddings):
        self.lm_head = new_embeddings

    def set_decoder(self, decoder):
        self.model = decoder

    def get_decoder(self):
        return self.model

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        past_key_values=None,
        inputs_embeds=None,
        labels=None,
        use_cache=None,
        output_attentions=False,
        output_hidden_states=False,
        return_dict=True,
        **kwargs,
    ):
        return_dict = return_dict if return_dict is not None else self.config.use_return_dict
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=return_dict,
        )
        logits = self.lm_head(outputs[0])
        loss = None
        if labels is not None:
            guesses = logits[..., :-1, :].contiguous().view(-1, self.config.vocab_size)
            targets = labels[..., 1:].contiguous().view(-1).to(guesses.device)
            z_loss = self.config.z_loss_weight * (guesses.max(-1).values ** 2).mean()
            loss = nn.functional.cross_entropy(guesses, targets) + z_loss
        if not return_dict:
            output = (logits,) + outputs[1:]
            return (loss,) + output if loss is not None else output
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )

    def prepare_inputs_for_generation(
        self, input_ids, past_key_values=None, attention_mask=None, inputs_embeds=None, **kwargs
    ):
        if past_key_values:
            input_ids = input_ids[:, -1:]
        if inputs_embeds is not None and past_key_values is None:
            model_inputs = {"inputs_embeds": inputs_embeds}
        else:
            model_inputs = {"input_ids": input_ids}
        model_inputs.update(
            {
                "past_key_values": past_key_values,
                "use_cache": kwargs.get("use_cache"),
                "attention_mask": attention_mask,
            }
        )
        return model_inputs

    @staticmethod
    def _reorder_cache(past_key_values, beam_idx):
        return tuple(
            tuple(state.index_select(0, beam_idx) for state in layer) for layer in past_key_values
        )

    def chat(self, tokenizer, messages, stream=False, generation_config=None):
        settings = generation_config or self.generation_config
        input_ids = build_chat_input(self, tokenizer, messages, settings.max_new_tokens)
        if stream:
            streamer = TextIterStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
            inputs = dict(inputs=input_ids, streamer=streamer, generation_config=settings)
            Thread(target=self.generate, kwargs=inputs).start()
            return streamer
        outputs = self.generate(input_ids, generation_config=settings)
        return tokenizer.decode(outputs[0][len(input_ids[0]) :], skip_special_tokens=True)
