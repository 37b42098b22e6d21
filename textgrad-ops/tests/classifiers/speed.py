"""Speed of reward models in the process beside transformers with torch: the same weights, texts and threads.

    pip install torch==2.15.0 transformers==5.24.0 tokenizers safetensors
    python textgrad-ops/tests/classifiers/speed.py

It makes a Llama of 94 million parameters beside the embeddings (8 layers of 1024) in a temporary folder, and scores
five texts of 512 tokens, and five of 512, 400, 300, 200 and 100, which torch pads. Both sides take turns. MODEL is
another model: `modernbert` or `deberta`, with the layers of ModernBERT-base or DeBERTa-v3-base.
THREADS is the number of threads (2), ROUNDS that of turns (3), CLASSIFIER a compiled benchmark in place of `cargo bench`.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import torch
from make import byte_level, rope
from tokenizers import models, pre_tokenizers
from transformers import (
    DebertaV2Config,
    DebertaV2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
)

MODEL = os.environ.get("MODEL", "llama")
THREADS = int(os.environ.get("THREADS", "2"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
PASSES = 5
ROOT = Path(__file__).resolve().parents[3]

COMMON = dict(vocab_size=256, num_labels=1, pad_token_id=0)
MODELS = {
    "llama": (
        LlamaForSequenceClassification,
        LlamaConfig(
            **COMMON,
            hidden_size=1024,
            intermediate_size=2816,
            num_hidden_layers=8,
            num_attention_heads=16,
            num_key_value_heads=8,
            max_position_embeddings=2048,
            rope_parameters=rope(500000.0),
        ),
    ),
    "modernbert": (
        ModernBertForSequenceClassification,
        ModernBertConfig(**COMMON, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2),
    ),
    "deberta": (
        DebertaV2ForSequenceClassification,
        DebertaV2Config(
            **COMMON,
            hidden_size=768,
            intermediate_size=3072,
            num_hidden_layers=12,
            num_attention_heads=12,
            type_vocab_size=0,
            position_biased_input=False,
            relative_attention=True,
            position_buckets=256,
            pos_att_type="p2c|c2p",
            share_att_key=True,
            norm_rel_ebd="layer_norm",
        ),
    ),
}


def make(folder):
    torch.manual_seed(7)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bpe = byte_level(models.BPE({letter: at for at, letter in enumerate(alphabet)}, []))
    bpe.save(str(folder / "tokenizer.json"))
    kind, config = MODELS[MODEL]
    model = kind(config).eval()
    model.save_pretrained(folder)
    return model, bpe.token_to_id("?")


def with_torch(model, token, lengths):
    ids = torch.zeros((len(lengths), max(lengths)), dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = token
    mask = (ids != 0).long()
    # Without a mask where nothing is padded: torch is faster so.
    mask = None if len(set(lengths)) == 1 else mask
    seconds = []
    for _ in range(PASSES + 1):
        began = time.perf_counter()
        with torch.inference_mode():
            model(ids, attention_mask=mask)
        seconds.append(time.perf_counter() - began)
    return min(seconds[1:]), statistics.median(seconds[1:])


def here(folder, lengths):
    bench = ["cargo", "bench", "-q", "-p", "textgrad-tests", "--features", "local-reward", "--bench", "classifier", "--"]
    command = [os.environ["CLASSIFIER"]] if "CLASSIFIER" in os.environ else bench
    environment = os.environ | {"RAYON_NUM_THREADS": str(THREADS)}
    arguments = [str(folder), *map(str, lengths)]
    output = subprocess.run(command + arguments, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    return json.loads(output.stdout.splitlines()[-1])


def main():
    torch.set_num_threads(THREADS)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model, token = make(folder)
        print(f"{MODEL}, torch {torch.__version__}, {THREADS} threads; tokens/s in the fastest of {PASSES} passes, and the median's")
        for name, lengths in {"equal": [512] * 5, "ragged": [512, 400, 300, 200, 100]}.items():
            for _ in range(ROUNDS):
                fastest, median = with_torch(model, token, lengths)
                ours = here(folder, lengths)
                tokens = ours["tokens"]
                print(
                    f"{name:7} torch {tokens / fastest:6.0f} {tokens / median:6.0f}"
                    f"   here {tokens / ours['fastest_seconds']:6.0f} {tokens / ours['median_seconds']:6.0f}"
                    f"   ratio {fastest / ours['fastest_seconds']:.2f} {median / ours['median_seconds']:.2f}"
                    f"   load {ours['load_seconds']:.1f} s, peak {ours['peak_bytes'] / 1e9:.2f} GB, load of the machine {os.getloadavg()[0]:.1f}"
                )
        print("bf16 with torch:")
        model = model.to(torch.bfloat16)
        fastest, median = with_torch(model, token, [512] * 5)
        print(f"equal   torch {2560 / fastest:6.0f} {2560 / median:6.0f}")


main()
