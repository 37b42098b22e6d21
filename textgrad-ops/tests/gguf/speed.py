"""Speed of policies in the process beside llama-server: the same file, prompt, answers and threads, in turns.

    python textgrad-ops/tests/gguf/speed.py model.gguf path/to/llama-server

It asks for ANSWERS (5) answers of TOKENS (64) tokens to one prompt of some 560 tokens, the server by one request and by
as many requests as answers, with THREADS (1), ROUNDS (3)
times each. SETTINGS are those of the engine, as `sequences=5,exact=false`; SERVER_ARGS more arguments of the server;
POLICY a compiled benchmark in place of `cargo bench`. A line has the fastest and the median wall time, the processor
time, the completion tokens of all answers, and the peak of the memory.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
ANSWERS, TOKENS, THREADS, ROUNDS = (
    int(os.environ.get(name, default)) for name, default in [("ANSWERS", 5), ("TOKENS", 64), ("THREADS", 1), ("ROUNDS", 3)]
)
PORT = 18473
PROMPT = "Write a long story about each of these things. " + " ".join(
    f"{number}. A {color} {thing} near the {place}."
    for number, (color, thing, place) in enumerate(
        ((color, thing, place) for color in ["red", "blue", "green", "old"] for thing in ["boat", "table", "lamp"] for place in ["sea", "hill", "town", "wood"]), 1
    )
)


def here(model):
    settings = os.environ.get("SETTINGS", "")
    line = ",".join([model, f"threads={THREADS}", *filter(None, [settings])])
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as prompt:
        prompt.write(PROMPT)
        prompt.flush()
        arguments = [line, str(ANSWERS), str(TOKENS), prompt.name]
        bench = ["cargo", "bench", "-q", "-p", "textgrad-tests", "--features", "local", "--bench", "policy", "--"]
        command = [os.environ["POLICY"]] if "POLICY" in os.environ else bench
        output = subprocess.run(command + arguments, cwd=ROOT, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in output.stdout.splitlines() if line.startswith("{")]


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_bytes(pid):
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def post(path, body):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=600) as reply:
        return json.load(reply)


def server(model, binary, each):
    """A server asked for `each` answers a request, all requests at once."""
    arguments = ["-m", model, "--port", str(PORT), "-t", str(THREADS), "-np", str(ANSWERS), "--no-webui"]
    arguments += os.environ.get("SERVER_ARGS", "").split()
    environment = os.environ | {"LD_LIBRARY_PATH": str(Path(binary).parent)}
    process = subprocess.Popen([binary, *arguments], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health")
                break
            except OSError:
                time.sleep(0.1)
        results = []
        for beginning in ["First", "Second"]:
            body = {
                "messages": [{"role": "user", "content": f"{beginning}: {PROMPT}"}],
                "n": each, "max_tokens": TOKENS, "temperature": 0.7, "top_p": 0.95,
            }
            began, processor = time.perf_counter(), processor_seconds(process.pid)
            with ThreadPoolExecutor() as pool:
                bodies = [body | {"seed": 7 + index} for index in range(ANSWERS // each)]
                replies = list(pool.map(lambda body: post("/v1/chat/completions", body), bodies))
            results.append({
                "seconds": time.perf_counter() - began,
                "processor_seconds": processor_seconds(process.pid) - processor,
                "prompt_tokens": replies[0]["usage"]["prompt_tokens"],
                # With several choices, the usage has the tokens of one.
                "completion_tokens": sum(len(reply["choices"]) * reply["usage"]["completion_tokens"] for reply in replies),
                "peak_bytes": peak_bytes(process.pid),
            })
        return results
    finally:
        process.terminate()
        process.wait()


def main():
    model, binary = str(Path(sys.argv[1]).resolve()), str(Path(sys.argv[2]).resolve())
    sides = {
        "here": lambda: here(model),
        "llama-server, n": lambda: server(model, binary, ANSWERS),
        "llama-server, requests": lambda: server(model, binary, 1),
    }
    measured = {name: [] for name in sides}
    for _ in range(ROUNDS):
        for name, measure in sides.items():
            measured[name] += measure()
    ours = statistics.median(result["seconds"] for result in measured["here"])
    for name, results in measured.items():
        seconds = [result["seconds"] for result in results]
        median = statistics.median(seconds)
        processor = statistics.median(result["processor_seconds"] for result in results)
        peak = max(result["peak_bytes"] for result in results) / 1e9
        tokens = [result["completion_tokens"] for result in results]
        print(
            f"{name:23} {min(seconds):6.2f} s fastest {median:6.2f} s median {processor:6.2f} s of the processor {peak:.2f} GB"
            f" {results[0]['prompt_tokens']} prompt tokens {tokens} completion tokens; speed here over it {median / ours:.2f}"
        )
    print(f"load of the machine {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
