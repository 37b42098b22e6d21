"""LangChain through `tpo serve`. Run by tests/clients/run."""

import sys
from importlib.metadata import version

from langchain_openai import ChatOpenAI

same = {"base_url": sys.argv[1], "api_key": "unused", "model": "tpo-d1-n3", "seed": 3, "max_retries": 0}
question = [("system", "Be kind."), ("human", "How do I take care of a wooden table?")]
model = ChatOpenAI(**same, extra_body={"tpo": {"deadline_ms": 60000}})
whole = model.invoke(question)
assert whole.content and whole.usage_metadata["total_tokens"] > 0
assert "".join(chunk.content for chunk in model.stream(question)) == whole.content
responses = ChatOpenAI(**{key: value for key, value in same.items() if key != "seed"}, use_responses_api=True)
assert responses.invoke(question).text
answers = model.batch([question] * 4)
assert {answer.content for answer in answers} == {whole.content}
print(f"LangChain {version('langchain-openai')}: ok")
