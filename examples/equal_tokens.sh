#!/bin/sh
# All modes of a search up to the same number of tokens per query, with the controls beside them.
#
#   examples/equal_tokens.sh                          the simulation, which says nothing about real models
#   examples/equal_tokens.sh --engine vllm --reward vllm --reward-model my-rm --data prompts.json --limit 50
#   TOKENS=8000 SEEDS=1,2 examples/equal_tokens.sh --engine ollama/qwen3:8b --reward judge --data prompts.json
#
# Arguments are flags of `tpo study`; with --out DIR, --resume continues an interrupted study.
set -eu
modes=tpo,revision,resample,improve,shuffled,reversed,random,direct,listwise,ungated
modes=$modes,rsa,fuse,tsan,pdr,tournament,feedback-descent,vote
exec cargo run --quiet --release -p tpo -- study \
    --modes "${MODES:-$modes}" --equal "tokens:${TOKENS:-20000}" --seeds "${SEEDS:-1,2,3}" "$@"
