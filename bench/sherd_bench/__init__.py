"""Benchmarks of Sherd beside Redis and Valkey on the same machine in the same run.

Layout, lower modules first:

- `procfs`: CPU time and memory of a process; facts of the machine
- `resp`: the smallest client that can ask a server for PING, INFO and FLUSHALL
- `servers`: finds, starts and stops the servers
- `load`: runs the generator `sherd-load` and reads its JSON
- `workloads`: the commands and what must be in the server before they make sense
- `session`: one benchmark session: parameters, running servers, interleaved rounds, medians
- `tables`, `plot`, `document`: Markdown tables, SVG bars, the page that is written
- `suites/`: one module a suite

Only the standard library is needed, so that the benchmarks run wherever a server does.
"""
