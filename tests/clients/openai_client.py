"""OpenAI's Python client against `tpo serve`: its own parsing is the judge. Run by tests/clients/run."""

import asyncio
import sys
import time
import urllib.request

import openai
from openai import AsyncOpenAI, OpenAI

URL = sys.argv[1]
client = OpenAI(base_url=URL, api_key="unused", max_retries=0)
QUESTION = [{"role": "user", "content": "How do I take care of a wooden table?"}]


def metric(sample):
    with urllib.request.urlopen(URL.removesuffix("/v1") + "/metrics") as reply:
        lines = reply.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.rsplit(" ", 1)[0] == sample)


def until(what, holds):
    for _ in range(500):
        if holds():
            return
        time.sleep(0.02)
    raise AssertionError(what)


def whole():
    answer = client.chat.completions.create(
        model="tpo-d1-n3", messages=QUESTION, seed=3, n=2, extra_body={"tpo": {"trajectory": True}}
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert all(choice.message.content and choice.finish_reason == "stop" for choice in answer.choices)
    own = answer.model_extra["tpo"]
    assert own["complete"] and own["simulated"] and own["candidates"] == 6
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert len(own["trajectory"]["candidates"]) == 6
    best = max(candidate["score"] for candidate in own["trajectory"]["candidates"])
    assert answer.choices[0].model_extra["tpo"]["score"] == best == own["score"]
    again = client.chat.completions.create(model="tpo-d1-n3", messages=QUESTION, seed=3)
    assert again.choices[0].message.content == answer.choices[0].message.content


def stream():
    text, scored, usage = "", [], None
    with client.chat.completions.create(
        model="tpo-d1-n3", messages=QUESTION, seed=3, stream=True, stream_options={"include_usage": True}
    ) as chunks:
        for chunk in chunks:
            usage = chunk.usage or usage
            for choice in chunk.choices:
                text += choice.delta.content or ""
            own = (chunk.model_extra or {}).get("tpo") or {}
            scored += [own["score"]] if own.get("event") == "scored" else []
    whole_answer = client.chat.completions.create(model="tpo-d1-n3", messages=QUESTION, seed=3)
    assert text == whole_answer.choices[0].message.content
    assert len(scored) == 6 and usage.total_tokens == whole_answer.usage.total_tokens


def responses():
    answer = client.responses.create(model="bon-3", input="Why is the sky blue?", instructions="Be kind.")
    assert answer.status == "completed" and answer.output_text
    assert answer.usage.total_tokens > 0
    with client.responses.stream(model="bon-3", input="Why is the sky blue?") as events:
        kinds = [event.type for event in events]
        final = events.get_final_response()
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    assert final.output_text


def errors():
    for call, error, param in [
        (lambda: client.chat.completions.create(model="gpt-4o", messages=QUESTION), openai.NotFoundError, "model"),
        (lambda: client.chat.completions.create(model="tpo", messages=[]), openai.BadRequestError, "messages"),
        (lambda: client.responses.create(model="nothing", input="x"), openai.NotFoundError, "model"),
    ]:
        try:
            call()
            raise AssertionError("no error")
        except error as refused:
            assert refused.param == param, refused


def models():
    names = [model.id for model in client.models.list()]
    assert {"tpo", "bon-8", "policy"} <= set(names), names
    assert client.models.retrieve("tpo-d1-n3").id == "tpo-d1-n3"


def timeout_and_cancellation():
    deadline = client.chat.completions.create(
        model="tpo", messages=QUESTION, extra_body={"tpo": {"iterations": 16, "deadline_ms": 150}}
    )
    assert deadline.model_extra["tpo"]["stopped"] == "deadline"
    cancelled = 'tpo_searches_total{end="cancelled"}'
    before = metric(cancelled)
    long = {"tpo": {"iterations": 16}}
    try:
        client.with_options(timeout=0.2).chat.completions.create(model="tpo", messages=QUESTION, extra_body=long)
        raise AssertionError("no time-out")
    except openai.APITimeoutError:
        pass
    chunks = client.chat.completions.create(model="tpo", messages=QUESTION, stream=True, extra_body=long)
    next(iter(chunks))
    chunks.close()
    until("the searches of clients that left go on", lambda: metric(cancelled) == before + 2)
    until("requests stay in flight", lambda: metric("tpo_in_flight") == 0)


async def many():
    async with AsyncOpenAI(base_url=URL, api_key="unused") as many_client:
        one = lambda: many_client.chat.completions.create(model="bon-2", messages=QUESTION)
        answers = await asyncio.gather(*(one() for _ in range(50)))
    assert len({answer.id for answer in answers}) == 50


for check in [whole, stream, responses, errors, models, timeout_and_cancellation]:
    check()
asyncio.run(many())
print(f"openai {openai.__version__} for Python: ok")
