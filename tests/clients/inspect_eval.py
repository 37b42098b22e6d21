"""A small evaluation by inspect_ai through `tpo serve`. Run by tests/clients/run."""

import sys

import inspect_ai
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import get_model
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

url, logs = sys.argv[1:3]
questions = [f"How do I take care of wooden table number {number}?" for number in range(6)]
task = Task(
    dataset=[Sample(input=question, target="table") for question in questions], solver=generate(), scorer=includes()
)
model = get_model("openai-api/tpo/tpo-d1-n2", base_url=url, api_key="unused")
log = eval(task, model=model, display="none", log_dir=logs)[0]
assert log.status == "success", log.error
assert log.results.scores[0].metrics["accuracy"].value > 0.5, log.results
print(f"inspect_ai {inspect_ai.__version__}: ok")
