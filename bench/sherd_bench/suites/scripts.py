"""The scripts suite: what EVAL costs beside the command that it calls.

One call of a script is mostly what surrounds it: finding the script, its keys and arguments, the reply. Twenty calls in
one script are what a command costs from Lua. A loop without commands is Lua itself, and the same everywhere. A rate
limiter is measured in Lua, and where there are commands in Python in that as well. What a long script does to other
clients is `script_pauses.py`.
"""

from dataclasses import replace
from pathlib import Path

from sherd_bench.document import Findings
from sherd_bench.session import Pin, Session
from sherd_bench.suites import script_pauses
from sherd_bench.suites.grid import measure
from sherd_bench.tables import Table
from sherd_bench.workloads import Fill, Workload, choose

# The generator's templates know no blanks within an argument; to Lua a comment is one.
_BLANK = "--[[]]"


def _eval(script: str, *keys: str) -> str:
    return " ".join(["EVAL", script.replace(" ", _BLANK), str(len(keys)), *keys])


_KEY = "key:__rand_int__"
_KEYS = Fill("set", "keys")
_RATE_LIMIT = (
    "local hits=redis.call('incr',KEYS[1]) if hits==1 then redis.call('expire',KEYS[1],ARGV[2]) end "
    "return hits<=tonumber(ARGV[1]) and 1 or 0"
)
_LUA_RATE_LIMIT = Workload("EVAL_RATE_LIMIT", _eval(_RATE_LIMIT, _KEY) + " 100 60", None)
_PYTHON_RATE_LIMIT = Workload("PYTHON_RATE_LIMIT", f"RATE.LIMIT {_KEY} 100 60", None, request_divisor=4)
_PYTHON_COMMANDS = Path(__file__).parents[1] / "rate_limit.py"
WORKLOADS = (
    Workload("EVAL_GET", _eval("return redis.call('get',KEYS[1])", _KEY), _KEYS),
    Workload("EVAL_20_SETS", _eval("for i=1,20 do redis.call('set',KEYS[1],i)end", _KEY), _KEYS, request_divisor=5),
    Workload("EVAL_LOOP", _eval("local s=0 for i=1,1000 do s=s+i end return s"), None, request_divisor=10),
    Workload("EVAL_JSON", _eval("return cjson.encode(cjson.decode(ARGV[1]))") + ' {"a":[1,2,{"b":"c"}]}', None),
    _LUA_RATE_LIMIT,
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
        tables += _in_python(session, pin)
    if not session.parameters.workload_names:
        tables.append(script_pauses.table(session))
    method = "As in the core suite: one generator thread, the median of the rounds, CPU of the whole process."
    return Findings("Scripts", method, tables, pictures)


def _in_python(session: Session, pin: Pin) -> list[Table]:
    """The rate limiter in both languages, where there are commands in Python."""
    arguments = ("--python-commands", str(_PYTHON_COMMANDS))
    plans = [
        replace(plan, extra_arguments=(*plan.extra_arguments, *arguments))
        for plan in session.plans
        if plan.kind.name == "sherd"
    ]
    workloads = choose((_LUA_RATE_LIMIT, _PYTHON_RATE_LIMIT), session.parameters.workload_names)
    if not plans or not workloads:
        return []
    heading = f"A rate limiter in Lua and in Python, {pin.describe()}"
    session.log(heading)
    with session.running(plans, pin) as servers:
        grid = measure(session.pinned(pin), servers, workloads)
    return [grid.cpu_table(heading), grid.throughput_table(heading)]
