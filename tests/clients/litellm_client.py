"""LiteLLM through `tpo serve`. Run by tests/clients/run."""

import os
import sys
from importlib.metadata import version

# Prices are no part of this test, and are not asked for in the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm  # noqa: E402

litellm.suppress_debug_info = True
question = [{"role": "user", "content": "How do I take care of a wooden table?"}]
same = {"model": "openai/tpo-d1-n3", "messages": question, "api_base": sys.argv[1], "api_key": "unused", "seed": 3}
whole = litellm.completion(**same)
text = whole.choices[0].message.content
assert text and whole.usage.total_tokens > 0
pieces = [chunk.choices[0].delta.content or "" for chunk in litellm.completion(**same, stream=True) if chunk.choices]
assert "".join(pieces) == text
two = litellm.completion(**same, n=2, extra_body={"tpo": {"samples": 2}})
assert len(two.choices) == 2
for model, error in [("openai/gpt-4o", litellm.NotFoundError), ("openai/tpo-d1-n3", litellm.BadRequestError)]:
    try:
        litellm.completion(**{**same, "model": model}, extra_body={"tpo": {"samples": 999}}, num_retries=0)
        raise AssertionError("no error")
    except error:
        pass
print(f"LiteLLM {version('litellm')}: ok")
