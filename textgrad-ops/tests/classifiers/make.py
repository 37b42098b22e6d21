"""Tiny sequence classifiers with random weights, and their scores by transformers.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers safetensors
    python textgrad-ops/tests/classifiers/make.py

It writes a folder per model beside itself, each with `expected.json`: texts, tokens, and the score of each text by
itself in 32 bits. Weights are those of a seed. They are kept in 16 bits, which both sides read as the same numbers of
32 bits. The test `textgrad-ops/src/local/classifier/tests.rs` compares with them.
"""

import json
import math
import shutil
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Gemma2Config,
    Gemma2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForSequenceClassification,
)

HERE = Path(__file__).parent
BOS, START, END, PAD = "<|begin|>", "<|start|>", "<|end|>", "<|pad|>"
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '<|start|>' + message['role'] + '\n' + message['content'] | trim + '<|end|>' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)
CHATS = [
    [("user", "How do I take care of a wooden table?"), ("assistant", "Wipe it with a dry cloth, and oil it twice a year.")],
    [("user", "What is the color of Mars?"), ("assistant", "Red.")],
    [
        ("system", "Answer in one sentence."),
        ("user", "Why is the sky blue?"),
        ("assistant", "Air scatters blue light more than red light."),
        ("user", "And why is the sunset red?"),
        ("assistant", "The light crosses more air, which leaves the red of it. " * 6),
    ],
    [("user", "¿Qué es esto? 日本語 🙂"), ("assistant", "")],
]


def byte_level(bpe):
    """A tokenizer of bytes."""
    words = Tokenizer(bpe)
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    return words


def tokenizer():
    """A byte-level BPE of 320 tokens, trained on the conversations."""
    bpe = byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=[BOS, START, END, PAD],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator([text for chat in CHATS for _, text in chat], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BOS, eos_token=END, pad_token=PAD)
    fast.chat_template = TEMPLATE
    return fast


COMMON = dict(
    vocab_size=320,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=512,
    num_labels=1,
    pad_token_id=3,
    bos_token_id=0,
    eos_token_id=2,
)


def rope(theta, **more):
    return {"rope_type": "default", "rope_theta": theta, **more}


LLAMA31 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
MODELS = {
    # The two spellings of the rotary embedding: see OLD.
    "llama": (LlamaForSequenceClassification, LlamaConfig(**COMMON, rope_parameters=rope(500000.0))),
    "llama31": (LlamaForSequenceClassification, LlamaConfig(**COMMON, attention_bias=True, rope_parameters=rope(500000.0) | LLAMA31)),
    "qwen2": (
        Qwen2ForSequenceClassification,
        Qwen2Config(**COMMON, rope_parameters=rope(1000000.0), use_sliding_window=True, sliding_window=24, max_window_layers=1),
    ),
    "qwen3": (Qwen3ForSequenceClassification, Qwen3Config(**COMMON, head_dim=16, rope_parameters=rope(1000000.0))),
    "gemma2": (
        Gemma2ForSequenceClassification,
        Gemma2Config(**COMMON, head_dim=16, query_pre_attn_scalar=24, sliding_window=24, attn_logit_softcapping=2.0, rope_parameters=rope(10000.0)),
    ),
}
# Written as version 4 of transformers did: theta and scaling by themselves, the template among the tokenizer's settings.
OLD = {"llama31", "qwen2"}
# Weights in two files with an index.
SHARDED = {"qwen3"}


def old_layout(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    config["rope_theta"] = rope.pop("rope_theta")
    if rope["rope_type"] != "default":
        config["rope_scaling"] = rope
    config.pop("layer_types", None)
    path.write_text(json.dumps(config, indent=1))
    settings = folder / "tokenizer_config.json"
    template = folder / "chat_template.jinja"
    config = json.loads(settings.read_text())
    config["chat_template"] = template.read_text()
    settings.write_text(json.dumps(config, indent=1))
    template.unlink()


def main():
    torch.set_num_threads(1)
    print(torch.__version__, transformers.__version__)
    for seed, (name, (kind, config)) in enumerate(MODELS.items()):
        torch.manual_seed(1000 + seed)
        # The other implementations leave out Gemma's bound on the products.
        config._attn_implementation = "eager"
        model = kind(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                # Norms near 1 (Gemma's are added to 1), all else wide enough that every part moves the score.
                spread = 0.3 if parameter.ndim == 1 else 1.2 / math.sqrt(parameter.shape[-1])
                center = 1.0 if parameter.ndim == 1 and parameter.mean() > 0.5 else 0.0
                parameter.copy_(center + spread * torch.randn_like(parameter))
        model = model.to(torch.bfloat16)
        folder = HERE / name
        shutil.rmtree(folder, ignore_errors=True)
        size = "40KB" if name in SHARDED else "5GB"
        model.save_pretrained(folder, max_shard_size=size)
        words = tokenizer()
        words.save_pretrained(folder)
        # Read anew: the frequencies of the rotary embedding were rounded to 16 bits with the weights.
        model = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        expected = []
        for chat in CHATS:
            turns = [{"role": role, "content": content} for role, content in chat]
            text = words.apply_chat_template(turns, tokenize=False)
            ids = words.apply_chat_template(turns, tokenize=True, return_dict=False)
            with torch.no_grad():
                score = model(torch.tensor([ids])).logits[0, 0].item()
            expected.append({"turns": chat, "text": text, "tokens": ids, "score": score})
        # Padding within the text counts as padding: the score is that of the last other token.
        ids = expected[0]["tokens"] + [3, 3]
        with torch.no_grad():
            score = model(torch.tensor([ids])).logits[0, 0].item()
        padded = {"text": expected[0]["text"] + PAD + PAD, "tokens": ids, "score": score}
        # Two of the same token that begins a text are another text.
        ids = [0] + expected[0]["tokens"]
        with torch.no_grad():
            score = model(torch.tensor([ids])).logits[0, 0].item()
        doubled = {"text": BOS + expected[0]["text"], "tokens": ids, "score": score}
        if name in OLD:
            old_layout(folder)
        (folder / "expected.json").write_text(json.dumps({"chats": expected, "padded": padded, "doubled": doubled}, indent=1) + "\n")
        for file in folder.iterdir():
            file.chmod(0o644)
        print(name, [round(entry["score"], 4) for entry in expected], "double BOS", round(score, 4))


if __name__ == "__main__":
    main()
