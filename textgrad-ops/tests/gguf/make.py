"""Writes tiny.gguf: a Llama of random weights with a vocabulary of bytes, for tests of models in the process.

Run with Python 3.11, gguf 0.19.0 and numpy 2.4.6, as `python make.py`. The seed is 0.
"""

from pathlib import Path

import gguf
import numpy as np

EMBEDDING, LAYERS, HEADS, KV_HEADS, FEED_FORWARD, CONTEXT = 64, 2, 2, 1, 96, 8192

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def byte_letters():
    """The letters that stand for bytes in vocabularies of the kind of GPT-2."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    letters = {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}
    return [letters[byte] for byte in range(256)]


def main():
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(str(Path(__file__).with_name("tiny.gguf")), "llama")
    tokens = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *byte_letters()]
    # Rows of whole blocks.
    tokens += [f"<|unused{i}|>" for i in range(-len(tokens) % 32)]
    control, normal = gguf.TokenType.CONTROL, gguf.TokenType.NORMAL
    types = [control if token.startswith("<|") else normal for token in tokens]
    writer.add_name("tiny")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(EMBEDDING // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)

    def add(name, rows, columns, spread):
        weights = random.normal(0.0, spread, (rows, columns)).astype(np.float32)
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(name, gguf.quantize(weights, kind), raw_dtype=kind)

    def ones(name):
        writer.add_tensor(name, np.ones(EMBEDDING, dtype=np.float32))

    kv = EMBEDDING // HEADS * KV_HEADS
    add("token_embd.weight", len(tokens), EMBEDDING, 1.0)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        ones(block + "attn_norm.weight")
        add(block + "attn_q.weight", EMBEDDING, EMBEDDING, 0.3)
        add(block + "attn_k.weight", kv, EMBEDDING, 0.3)
        add(block + "attn_v.weight", kv, EMBEDDING, 0.3)
        add(block + "attn_output.weight", EMBEDDING, EMBEDDING, 0.3)
        ones(block + "ffn_norm.weight")
        add(block + "ffn_gate.weight", FEED_FORWARD, EMBEDDING, 0.2)
        add(block + "ffn_up.weight", FEED_FORWARD, EMBEDDING, 0.2)
        add(block + "ffn_down.weight", EMBEDDING, FEED_FORWARD, 0.2)
    ones("output_norm.weight")
    add("output.weight", len(tokens), EMBEDDING, 0.25)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
