"""The scripts suite: what EVAL costs beside the command that it calls.

One call of a script is mostly what surrounds it: finding the script, its keys and arguments, the reply. Twenty calls in
one script are what a command costs from Lua. A loop without commands is Lua itself, and the same everywhere.
"""

from sherd_bench.document import Findings
from sherd_bench.session import Pin, Session
from sherd_bench.suites.grid import measure
from sherd_bench.workloads import Fill, Workload, choose

# The generator's templates know no blanks within an argument; to Lua a comment is one.
_BLANK = "--[[]]"


def _eval(script: str, *keys: str) -> str:
    return " ".join(["EVAL", script.replace(" ", _BLANK), str(len(keys)), *keys])


_KEY = "key:__rand_int__"
_KEYS = Fill("set", "keys")
WORKLOADS = (
    Workload("EVAL_GET", _eval("return redis.call('get',KEYS[1])", _KEY), _KEYS),
    Workload("EVAL_20_SETS", _eval("for i=1,20 do redis.call('set',KEYS[1],i)end", _KEY), _KEYS, request_divisor=5),
    Workload("EVAL_LOOP", _eval("local s=0 for i=1,1000 do s=s+i end return s"), None, request_divisor=10),
    Workload("EVAL_JSON", _eval("return cjson.encode(cjson.decode(ARGV[1]))") + ' {"a":[1,2,{"b":"c"}]}', None),
)


def run(session: Session) -> Findings:
    """Scripts with one command, with twenty, with none, and with JSON, at every pipeline depth."""
    tables, pictures = [], {}
    for pin in session.parameters.pins or (Pin.APART,):
        workloads = choose(WORKLOADS, session.parameters.workload_names)
        if not workloads:
            continue
        heading = f"Scripts, {pin.describe()}"
        session.log(heading)
        with session.running(pin=pin) as servers:
            grid = measure(session.pinned(pin), servers, workloads)
        tables += [grid.cpu_table(heading), grid.throughput_table(heading), grid.latency_table(heading)]
        pictures[f"cpu-{pin.value}"] = grid.cpu_picture(heading)
    method = "As in the core suite: one generator thread, the median of the rounds, CPU of the whole process."
    return Findings("Scripts", method, tables, pictures)
