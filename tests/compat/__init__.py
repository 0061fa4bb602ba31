"""Differential tests: the same commands on Sherd and on a real server, compared byte for byte.

# Layout

- `script`: the little language that case tables are written in
- `engine`: runs a sequence on a server and collects replies and the final state of every key
- `normalise`: how two replies are compared where order, chance or time make them differ
- `differences`: the documented table of differences that are meant
- `grammar`: random commands of a family, from templates
- `lockstep/`: random conversations of several connections, one step at a time
- `cases/`: one module a family: its case table and its grammar
- `data/commands.tsv`: what COMMAND says in Redis 7.0, Redis 8.0 and Valkey 9.1
"""
