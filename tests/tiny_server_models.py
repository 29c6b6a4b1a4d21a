"""Checkpoints of a few hundred kilobytes that `transformers serve` can serve, made on the spot.

They learn what they are shown by heart, in seconds: the language model (Qwen3) conversations,
the vision model (LLaVA of CLIP and Qwen3, since a Qwen-VL processor needs torchvision) what
to say to which pictures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Turn: TypeAlias = Mapping[str, str]
Part: TypeAlias = Mapping[str, str]

CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}"
    "{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<image>"]
_HIDDEN = 64
_SIDE_PX = 28
_MOST_STEPS = 300
_LEARNT_LOSS = 0.02


def make_language_model(folder: Path, conversations: Sequence[Sequence[Turn]]) -> Path:
    """A Qwen3 checkpoint that knows the assistant's turns of these conversations by heart."""
    import torch
    from transformers import Qwen3ForCausalLM

    torch.manual_seed(0)
    texts = [turn["content"] for conversation in conversations for turn in conversation]
    tokenizer = _tokenizer(texts)
    model = Qwen3ForCausalLM(_text_config(len(tokenizer)))
    samples = []
    for conversation in conversations:
        for index, turn in enumerate(conversation):
            if turn["role"] == "assistant":
                prompt = _ids(tokenizer, conversation[:index])
                samples.append((prompt, _reply_ids(tokenizer, turn["content"]), {}))
    _learn(model, samples)
    _save(model, tokenizer, folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_vision_model(
    folder: Path, shown: Sequence[tuple[Sequence[Part], Sequence[Any], str]]
) -> Path:
    """A LLaVA checkpoint that knows by heart what to say to which content and pictures.

    `shown` holds a user turn's content ("text" and "image" parts), its pictures in order
    (uint8 arrays of shape (height, width, 3)) and the reply. A picture becomes four tokens.
    """
    import torch
    from transformers import CLIPVisionConfig, LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(0)
    texts = [part["text"] for content, _, _ in shown for part in content if "text" in part]
    tokenizer = _tokenizer([*texts, *(reply for _, _, reply in shown)])
    vision = CLIPVisionConfig(
        hidden_size=_HIDDEN,
        intermediate_size=2 * _HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=_SIDE_PX,
        patch_size=_SIDE_PX // 2,
        projection_dim=_HIDDEN,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=_text_config(len(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        image_seq_length=4,
        vision_feature_layer=-1,
    )
    model = LlavaForConditionalGeneration(config)
    processor = _processor(tokenizer)
    samples = []
    for content, pictures, reply in shown:
        prompt = processor.apply_chat_template(
            [{"role": "user", "content": list(content)}], add_generation_prompt=True
        )
        inputs = processor(text=prompt, images=list(pictures), return_tensors="pt")
        ids = inputs["input_ids"][0].tolist()
        samples.append(
            (ids, _reply_ids(tokenizer, reply), {"pixel_values": inputs["pixel_values"]})
        )
    _learn(model, samples)
    _save(model, tokenizer, folder)
    processor.save_pretrained(folder)
    return folder


def _learn(
    model: Any,
    samples: Sequence[tuple[list[int], list[int], dict[str, Any]]],
) -> None:
    """Train until every reply is what greedy decoding writes, or fail."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    model.train()
    for _ in range(_MOST_STEPS):
        worst = 0.0
        for prompt, reply, more in samples:
            ids = torch.tensor([prompt + reply])
            labels = torch.tensor([[-100] * len(prompt) + reply])
            loss = model(input_ids=ids, labels=labels, **more).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            worst = max(worst, float(loss.detach()))
        if worst < _LEARNT_LOSS:
            model.eval()
            return
    raise AssertionError(f"not learnt by heart in {_MOST_STEPS} steps: loss {worst:.2f}")


def _tokenizer(texts: Sequence[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(list(texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", "<image>"],
        chat_template=CHAT_TEMPLATE,
    )


def _processor(tokenizer: Any) -> Any:
    from transformers import LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    pictures = CLIPImageProcessorPil(
        size={"shortest_edge": _SIDE_PX}, crop_size={"height": _SIDE_PX, "width": _SIDE_PX}
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=tokenizer,
        patch_size=_SIDE_PX // 2,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=CHAT_TEMPLATE,
    )


def _ids(tokenizer: Any, turns: Sequence[Turn]) -> list[int]:
    text = tokenizer.apply_chat_template(list(turns), tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _reply_ids(tokenizer: Any, reply: str) -> list[int]:
    ids: list[int] = tokenizer(reply + "<|im_end|>", add_special_tokens=False)["input_ids"]
    return ids


def _text_config(vocabulary: int) -> Any:
    from transformers import Qwen3Config

    return Qwen3Config(
        vocab_size=vocabulary,
        hidden_size=_HIDDEN,
        intermediate_size=2 * _HIDDEN,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
    )


def _save(model: Any, tokenizer: Any, folder: Path) -> None:
    model.generation_config.eos_token_id = tokenizer.convert_tokens_to_ids("<|im_end|>")
    model.generation_config.pad_token_id = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
