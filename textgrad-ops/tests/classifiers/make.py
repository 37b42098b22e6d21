"""Tiny sequence classifiers with random weights, and their scores by transformers.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers safetensors
    python textgrad-ops/tests/classifiers/make.py [NAME...]

It writes a folder per model beside itself, each with `expected.json`: texts, tokens, and the score of each text by
itself in 32 bits; for encoders also pairs of a question and an answer. With names it writes those alone: the last
digits of scores depend on the processor. Weights are those of a seed. They are kept in 16 bits, which both sides read as the same numbers of
32 bits. The test `textgrad-ops/src/local/classifier/tests.rs` compares with them.
"""

import json
import math
import shutil
import sys
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    Gemma2Config,
    Gemma2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForSequenceClassification,
    Qwen3Config,
    Qwen3ForSequenceClassification,
)

HERE = Path(__file__).parent
BOS, START, END, PAD = "<|begin|>", "<|start|>", "<|end|>", "<|pad|>"
CLS, SEP = "[CLS]", "[SEP]"
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


def trained(special_tokens):
    """A byte-level BPE of 320 tokens, trained on the conversations."""
    bpe = byte_level(models.BPE())
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=special_tokens,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator([text for chat in CHATS for _, text in chat], trainer)
    return bpe


def tokenizer():
    bpe = trained([BOS, START, END, PAD])
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=BOS, eos_token=END, pad_token=PAD)
    fast.chat_template = TEMPLATE
    return fast


def pair_tokenizer(template):
    """A tokenizer that puts a pair between the tokens of an encoder, with 1 as the type of the second text."""
    bpe = trained([CLS, SEP, START, PAD, END])
    bpe.post_processor = processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0",
        pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
        special_tokens=[(CLS, 0), (SEP, 1)],
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token=CLS, cls_token=CLS, sep_token=SEP, pad_token=PAD)
    fast.chat_template = template
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
ENCODER = dict(
    vocab_size=320,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=3,
    num_attention_heads=4,
    max_position_embeddings=512,
    num_labels=1,
    pad_token_id=3,
)
MODERN = ENCODER | dict(global_attn_every_n_layers=2, local_attention=12, bos_token_id=0, eos_token_id=1, cls_token_id=0, sep_token_id=1)
ENCODERS = {
    "modernbert": (ModernBertForSequenceClassification, ModernBertConfig(**MODERN, global_rope_theta=160000.0, local_rope_theta=10000.0)),
    # With all biases, the mean of all positions, and a chat template.
    "modernbert_mean": (
        ModernBertForSequenceClassification,
        ModernBertConfig(
            **MODERN,
            rope_parameters={"full_attention": rope(80000.0), "sliding_attention": rope(20000.0)},
            classifier_pooling="mean",
            attention_bias=True,
            mlp_bias=True,
            norm_bias=True,
            classifier_bias=True,
        ),
    ),
    # As versions 3.
    "deberta": (
        DebertaV2ForSequenceClassification,
        DebertaV2Config(
            **ENCODER,
            type_vocab_size=0,
            position_biased_input=False,
            relative_attention=True,
            position_buckets=8,
            max_relative_positions=-1,
            pos_att_type="p2c|c2p",
            share_att_key=True,
            norm_rel_ebd="layer_norm",
        ),
    ),
    # As the large versions 2, with all that a version can have beside.
    "deberta_conv": (
        DebertaV2ForSequenceClassification,
        DebertaV2Config(
            **ENCODER | dict(max_position_embeddings=256),
            type_vocab_size=2,
            embedding_size=24,
            position_biased_input=True,
            relative_attention=True,
            max_relative_positions=20,
            pos_att_type=["c2p", "p2c"],
            conv_kernel_size=3,
            conv_act="gelu",
            pooler_hidden_act="tanh",
        ),
    ),
}
WITH_TEMPLATE = {"modernbert_mean"}
PAIRS = [
    ("How do I take care of a wooden table?", "Wipe it with a dry cloth, and oil it twice a year."),
    ("What is the color of Mars?", "Red."),
    # A conversation turn by turn.
    (
        "System: Answer in one sentence.\n\nUser: Why is the sky blue?\n\n"
        "Assistant: Air scatters blue light more than red light.\n\nUser: And why is the sunset red?",
        CHATS[2][-1][1],
    ),
    ("¿Qué es esto? 日本語 🙂", ""),
]
# Written as version 4 of transformers did: theta and scaling by themselves, the template among the tokenizer's settings.
OLD = {"llama31", "qwen2", "modernbert"}
# Weights in two files with an index.
SHARDED = {"qwen3"}


def old_layout(folder):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    rope = config.pop("rope_parameters")
    if "full_attention" in rope:
        config["global_rope_theta"] = rope["full_attention"]["rope_theta"]
        config["local_rope_theta"] = rope["sliding_attention"]["rope_theta"]
    else:
        config["rope_theta"] = rope.pop("rope_theta")
        if rope["rope_type"] != "default":
            config["rope_scaling"] = rope
    config.pop("layer_types", None)
    path.write_text(json.dumps(config, indent=1))
    settings = folder / "tokenizer_config.json"
    template = folder / "chat_template.jinja"
    if not template.exists():
        return
    config = json.loads(settings.read_text())
    config["chat_template"] = template.read_text()
    settings.write_text(json.dumps(config, indent=1))
    template.unlink()


def saved(name, kind, config, words, seed):
    """A model with the weights of a seed as it is read from its folder."""
    torch.manual_seed(seed)
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
    words.save_pretrained(folder)
    # Read anew: the frequencies of the rotary embedding were rounded to 16 bits with the weights.
    return kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


def scored(model, ids, **more):
    with torch.no_grad():
        return model(torch.tensor([ids]), **more).logits[0, 0].item()


def scored_chats(model, words):
    expected = []
    for chat in CHATS:
        turns = [{"role": role, "content": content} for role, content in chat]
        text = words.apply_chat_template(turns, tokenize=False)
        ids = words.apply_chat_template(turns, tokenize=True, return_dict=False)
        expected.append({"turns": chat, "text": text, "tokens": ids, "score": scored(model, ids)})
    return expected


def scored_pairs(model, words):
    expected = []
    for query, answer in PAIRS:
        # By lists: transformers takes a single pair whose second text is empty for a single text.
        encoded = words([query], [answer], return_token_type_ids=True)
        ids, types = encoded["input_ids"][0], encoded["token_type_ids"][0]
        more = {"token_type_ids": torch.tensor([types])} if isinstance(model, DebertaV2ForSequenceClassification) else {}
        expected.append({"query": query, "answer": answer, "tokens": ids, "types": types, "score": scored(model, ids, **more)})
    return expected


def write(name, expected):
    folder = HERE / name
    if name in OLD:
        old_layout(folder)
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)


def main():
    torch.set_num_threads(1)
    print(torch.__version__, transformers.__version__)
    wanted = lambda name: name in sys.argv[1:] or len(sys.argv) == 1
    for seed, (name, (kind, config)) in enumerate(MODELS.items()):
        if not wanted(name):
            continue
        words = tokenizer()
        model = saved(name, kind, config, words, 1000 + seed)
        expected = scored_chats(model, words)
        # Padding within the text counts as padding: the score is that of the last other token.
        ids = expected[0]["tokens"] + [3, 3]
        padded = {"text": expected[0]["text"] + PAD + PAD, "tokens": ids, "score": scored(model, ids)}
        # Two of the same token that begins a text are another text.
        ids = [0] + expected[0]["tokens"]
        doubled = {"text": BOS + expected[0]["text"], "tokens": ids, "score": scored(model, ids)}
        write(name, {"chats": expected, "padded": padded, "doubled": doubled})
        print(name, [round(entry["score"], 4) for entry in expected], "double BOS", round(doubled["score"], 4))
    for seed, (name, (kind, config)) in enumerate(ENCODERS.items()):
        if not wanted(name):
            continue
        words = pair_tokenizer(TEMPLATE if name in WITH_TEMPLATE else None)
        model = saved(name, kind, config, words, 2000 + seed)
        chats = scored_chats(model, words) if name in WITH_TEMPLATE else []
        pairs = scored_pairs(model, words)
        write(name, {"chats": chats, "pairs": pairs})
        print(name, [round(entry["score"], 4) for entry in chats + pairs], [len(entry["tokens"]) for entry in pairs])


if __name__ == "__main__":
    main()
