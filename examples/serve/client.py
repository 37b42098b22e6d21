"""Asks `tpo serve` with OpenAI's Python client: progress while the search runs, then the answer and its cost.

Run with:
    tpo serve                                # in another terminal: the simulation
    pip install openai
    python examples/serve/client.py "Why is the sky blue?"
"""

import os
import sys

from openai import OpenAI

client = OpenAI(
    base_url=os.environ.get("TPO_URL", "http://localhost:8080/v1"),
    api_key=os.environ.get("TPO_KEY", "unused"),
)
query = sys.argv[1] if len(sys.argv) > 1 else "How do I take care of a wooden table?"
chunks = client.chat.completions.create(
    model="tpo",
    messages=[{"role": "user", "content": query}],
    stream=True,
    stream_options={"include_usage": True},
    # Answer within 30 s, and at once if the first sample scores 4 or more.
    extra_body={"tpo": {"deadline_ms": 30_000, "gate": {"score": 4.0}}},
)
usage, last = None, {}
for chunk in chunks:
    usage = chunk.usage or usage
    own = (chunk.model_extra or {}).get("tpo") or {}
    if own.get("event") == "scored":
        print(f"iteration {own['iteration']}: score {own['score']:.2f}, best so far {own['best_score']:.2f}")
    elif own.get("event") == "answer":
        last = own
    for choice in chunk.choices:
        print(choice.delta.content or "", end="", flush=True)
print(f"\n\nscore {last['score']:.2f}, {usage.total_tokens} tokens", end="")
print(", simulated" if last["simulated"] else "", end="")
print("" if last["complete"] else f", ended by: {last['stopped']}")
