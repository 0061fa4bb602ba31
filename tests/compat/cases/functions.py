"""Functions: loading libraries, what they may do meanwhile, how they are called and fail, and the commands around them."""

from __future__ import annotations


def _escaped(code: str) -> str:
    return code.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _loads(title: str, *codes: str) -> str:
    """A case that loads libraries of one name, each with these lines, and looks at what is there in the end."""
    lines = [f'FUNCTION LOAD REPLACE "#!lua name=lib\\n{_escaped(code)}"' for code in codes]
    return "\n".join([f"# {title}", "FUNCTION FLUSH", *lines, "FUNCTION STATS", ""])


def _calls(title: str, *bodies: str) -> str:
    """A case that loads functions f1, f2, ... with these bodies and calls each, to read only as well."""
    lines = [f"# {title}", "FUNCTION FLUSH", "SET k v", "HSET h f v", "ZADD z 1.5 m"]
    for number, body in enumerate(bodies, start=1):
        code = f"redis.register_function('f{number}', function(keys, args)\n{body}\nend)"
        lines += [
            f'FUNCTION LOAD REPLACE "#!lua name=lib{number}\\n{_escaped(code)}"',
            f"FCALL f{number} 1 k a b",
        ]
    return "\n".join([*lines, "FCALL_RO f1 1 k", ""])


_named = "redis.register_function{%s}"
_own = "redis.register_function('f', function(keys, args) return 1 end)"

CASES = "\n".join([
    r"""
# FUNCTION LOAD wants a library with a name
FUNCTION FLUSH
FUNCTION LOAD
FUNCTION LOAD ""
FUNCTION LOAD "return 1"
FUNCTION LOAD "#!lua name=lib"
FUNCTION LOAD "#!lua\n"
FUNCTION LOAD "#!lua name=\n"
FUNCTION LOAD "#!lua name=a-b\n"
FUNCTION LOAD "#!lua name=a name=b\n"
FUNCTION LOAD "#!lua name=a flags=no-writes\n"
FUNCTION LOAD "#!lua name=\"a\n"
FUNCTION LOAD "#!lua name=\"quoted\" x\n"
FUNCTION LOAD "#!python name=a\n"
FUNCTION LOAD "#! name=a\n"
FUNCTION LOAD "#!lua name=a\n"
FUNCTION LOAD "#!lua name=a\nreturn ("
FUNCTION LOAD "#!lua name=a\nlocal x = 1"
FUNCTION LOAD REPLACE
FUNCTION LOAD NOSUCH "#!lua name=a\n"
FUNCTION LOAD REPLACE REPLACE "#!LUA NAME=lib\nredis.register_function('f', function() return 1 end)"
FUNCTION LOAD "#!lua name=lib\nredis.register_function('g', function() return 1 end)"
FUNCTION LOAD "#!lua name=other\nredis.register_function('f', function() return 1 end)"
FUNCTION LOAD REPLACE "#!lua name=other\nredis.register_function('f', function() return 1 end)"
FUNCTION LIST
FUNCTION LIST WITHCODE

# FUNCTION LIST, DELETE and FLUSH
FUNCTION FLUSH
FUNCTION LIST
FUNCTION LOAD "#!lua name=lib_a\nredis.register_function('f', function() return 1 end)"
FUNCTION LIST LIBRARYNAME lib*
FUNCTION LIST LIBRARYNAME LIB_?
FUNCTION LIST LIBRARYNAME lib
FUNCTION LIST LIBRARYNAME lib* WITHCODE
FUNCTION LIST withcode libraryname *
FUNCTION LIST LIBRARYNAME
FUNCTION LIST LIBRARYNAME a LIBRARYNAME b
FUNCTION LIST WITHCODE WITHCODE
FUNCTION LIST NOSUCH
FUNCTION DELETE lib
FUNCTION DELETE LIB_A
FUNCTION DELETE lib_a
FUNCTION DELETE lib_a
FUNCTION DELETE
FCALL f 0
FUNCTION LOAD "#!lua name=lib_a\nredis.register_function('f', function() return 1 end)"
FUNCTION FLUSH SYNC
FUNCTION FLUSH ASYNC
FUNCTION FLUSH NOW
FUNCTION FLUSH SYNC x
FUNCTION LIST
FUNCTION STATS
FUNCTION KILL
SCRIPT KILL
FUNCTION
FUNCTION NOSUCH
FUNCTION STATS x
FUNCTION KILL x
FUNCTION DUMP x

# FCALL wants a function and as many keys as it says
FUNCTION FLUSH
FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function(keys, args) return {#keys, #args, keys[1], args[1]} end)"
FCALL
FCALL f
FCALL f x
FCALL f -1
FCALL f 1
FCALL f 2 a
FCALL nosuch x
FCALL F 0
FCALL f 0
FCALL f 0 a b
FCALL f 1 a b
FCALL f 2 a b
FCALL_RO f 1 a b
COMMAND GETKEYS FCALL f 2 a b c
COMMAND GETKEYSANDFLAGS FCALL f 1 a c
COMMAND GETKEYSANDFLAGS FCALL_RO f 1 a c
COMMAND GETKEYS FCALL f x

# A library that is loaded again has its new functions only
FUNCTION FLUSH
FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function() return 'old' end)\nredis.register_function('g', function() return 'g' end)"
FCALL f 0
FUNCTION LOAD REPLACE "#!lua name=lib\nredis.register_function('f', function() return 'new' end)"
FCALL f 0
FCALL g 0
FUNCTION LOAD REPLACE "#!lua name=lib\nredis.register_function('f', function() return 'newer' end) error('x')"
FCALL f 0
FUNCTION LOAD "#!lua name=lib\nredis.register_function('h', function() return 'newer' end)"
FCALL f 0
FUNCTION STATS

# Flags say what a function may do
FUNCTION FLUSH
SET k v
FUNCTION LOAD "#!lua name=lib1\nredis.register_function{function_name='reads', callback=function(keys) return redis.call('get', keys[1]) end, flags={'no-writes'}}"
FUNCTION LOAD "#!lua name=lib2\nredis.register_function{function_name='lies', callback=function(keys) return redis.call('set', keys[1], 'x') end, flags={'no-writes', 'allow-stale'}}"
FUNCTION LOAD "#!lua name=lib3\nredis.register_function{function_name='writes', callback=function(keys) return redis.call('set', keys[1], 'x') end, flags={'allow-oom', 'no-cluster', 'allow-cross-slot-keys'}, description='It writes.'}"
FCALL reads 1 k
FCALL_RO reads 1 k
FCALL lies 1 k
FCALL_RO lies 1 k
FCALL_RO writes 1 k
GET k
FCALL writes 1 k
GET k
FUNCTION LIST LIBRARYNAME lib3

# Functions in a transaction, and libraries too
FUNCTION FLUSH
MULTI
FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('incr', keys[1]) end)"
FCALL f 1 n
FCALL f 1 n
FUNCTION LIST
FCALL nosuch 0
FUNCTION FLUSH
FCALL f 1 n
EXEC
GET n

# Functions are not called from scripts, nor libraries changed
FUNCTION FLUSH
FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('fcall', 'f', 0) end)"
FCALL f 0
EVAL "return redis.call('fcall', 'f', 0)" 0
EVAL "return redis.call('function', 'list')" 0
EVAL "return redis.call('function', 'flush')" 0
EVAL "return redis.call('script', 'flush')" 0
EVAL "return redis.register_function" 0
FUNCTION STATS

# A watched key that a function changes has changed
FUNCTION FLUSH
FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('set', keys[1], 'x') end)"
WATCH k
2> FCALL f 1 k
MULTI
PING
EXEC

# What FUNCTION DUMP answers is restored
FUNCTION FLUSH
FUNCTION RESTORE x
FUNCTION RESTORE ""
FUNCTION RESTORE x NOSUCH
FUNCTION RESTORE x FLUSH y
FUNCTION RESTORE "\n\x00\xe7\xd4\x1d\xb5\xd7\xda\x97\xb7"
FUNCTION RESTORE

# FUNCTION HELP
FUNCTION HELP x
""",
    _loads("What register_function takes, by position",
           "redis.register_function('f', function() return 1 end)",
           "redis.register_function(1, function() return 1 end)",
           "redis.register_function('a-b', function() return 1 end)",
           "redis.register_function('', function() return 1 end)",
           "redis.register_function('f', 'x')",
           "redis.register_function({}, function() end)",
           "redis.register_function('f')",
           "redis.register_function()",
           "redis.register_function('f', function() end, 1)",
           "redis.register_function('f', function() end) redis.register_function('f', function() end)",
           "redis.register_function(nil, function() end)"),
    _loads("What register_function takes, by name",
           _named % "function_name='f', callback=function() end",
           _named % "FUNCTION_NAME='f', CALLBACK=function() end, DESCRIPTION='d', FLAGS={'NO-WRITES'}",
           _named % "function_name='f', callback=function() end, description=12",
           _named % "function_name=12, callback=function() end",
           _named % "callback=function() end",
           _named % "function_name='f'",
           _named % "function_name='f', callback='x'",
           _named % "function_name={}, callback=function() end",
           _named % "function_name='f', callback=function() end, description={}",
           _named % "function_name='f', callback=function() end, flags='no-writes'",
           _named % "function_name='f', callback=function() end, flags={'nosuch'}",
           _named % "function_name='f', callback=function() end, flags={{}}",
           _named % "function_name='f', callback=function() end, flags={}",
           _named % "function_name='f', callback=function() end, nosuch=1",
           _named % "1",
           _named % "[{}]=1",
           _named % "[true]=1"),
    _loads("What a library may do while it is loaded",
           f"redis.call('ping') {_own}",
           f"redis.pcall('ping') {_own}",
           f"redis.setresp(3) {_own}",
           f"redis.sha1hex('x') {_own}",
           f"redis.error_reply('x') {_own}",
           f"redis.set_repl(1) {_own}",
           f"redis.acl_check_cmd('ping') {_own}",
           f"local x = redis.LOG_WARNING + redis.REDIS_VERSION_NUM {_own}",
           f"math.random() {_own}",
           f"string.rep('x', 3) {_own}",
           f"local x = ('x'):rep(3) {_own}",
           f"tostring(1) {_own}",
           f"pcall(1) {_own}",
           f"setmetatable({{}}, {{}}) {_own}",
           f"print('x') {_own}",
           f"local x = _G {_own}",
           f"KEYS[1] = 1 {_own}",
           f"x = 1 {_own}",
           f"redis.x = 1 {_own}",
           f"redis = nil {_own}",
           f"function g() end {_own}",
           f"local a = nil a.b = 1 {_own}",
           f"error('x') {_own}",
           f"cjson.encode(1) {_own}",
           f"os.clock() {_own}",
           f"local x = redis.nosuch {_own}",
           f"return 1, 2, {_own}"),
    _loads("Where a library fails", "\n\nlocal a = nil\na.b = 1", "\n\n+", "local x = nosuch", "nosuch = 1"),
    _calls("What functions see",
           "return {keys, args}",
           "return KEYS",
           "return ARGV",
           "return redis.call('get', keys[1])",
           "return redis.call('set', keys[1], args[1])",
           "return redis.pcall('incr', 'h')",
           "return redis.call('incr', 'h')",
           "return redis.call('nosuch')",
           "x = 1",
           "return nosuch",
           "redis.call = nil",
           "string.x = 1",
           "_G.x = 1",
           "return type(_G)",
           "return tostring(rawequal(_G, getfenv))",
           "return type(getmetatable(_G))",
           "return loadstring('return KEYS')()",
           "return loadstring('return 1 + 1')()",
           "return load(function() return nil end)()",
           "error('x')",
           "error({err='MY x'})",
           "return {err='x'}",
           "return redis.error_reply('MY x')",
           "return redis.status_reply('FINE')",
           "return cjson.encode({1, 2})",
           "return bit.band(6, 3)",
           "return redis.sha1hex('x')",
           "return math.floor(3.7)",
           "redis.setresp(3) return redis.call('hgetall', 'h')",
           "return redis.call('zscore', 'z', 'm')",
           "return redis.acl_check_cmd('get', 'x')",
           "return redis.set_repl(redis.REPL_ALL)",
           "return redis.replicate_commands",
           "return redis.breakpoint",
           "return redis.debug",
           "return redis.register_function('g', function() end)",
           "return type(redis.register_function)",
           "return coroutine.wrap(function() return loadstring('return KEYS')() end)()",
           "return pcall(error, 'x')",
           "return __redis__err__handler",
           "return nil",
           "return 3.7",
           "redis.call('select', 3) redis.call('set', 'k', 'in 3') return redis.call('get', 'k')"),
    _calls("Names of redis and of the globals that functions see",
           "local n = {} for k in pairs(redis) do if not k:find('^[VS]') then n[#n + 1] = k end end "
           "table.sort(n) return n",
           # Those that only some of the servers have are left out.
           "local n = {} for k in pairs(_G) do if k ~= 'os' and k ~= 'server' then n[#n + 1] = k end end "
           "table.sort(n) return n"),
    _loads("What a library logs while it is loaded",
           f"redis.log(redis.LOG_DEBUG, 'x') {_own}",
           f"redis.log() {_own}",
           f"redis.log(redis.LOG_DEBUG, 'x', 1, nil) {_own}").replace(
               "FUNCTION FLUSH", "% not valkey9: it crashes there\nFUNCTION FLUSH"),
    """
# A library keeps what is local to it
FUNCTION FLUSH
FUNCTION LOAD "#!lua name=lib\\nlocal function twice(x) return x * 2 end\\nlocal names = {'a', 'b'}\\nredis.register_function('f', function(keys, args) return {twice(args[1]), names} end)"
FCALL f 0 21
FCALL f 0 4

# A function that recurses without end
FUNCTION FLUSH
FUNCTION LOAD "#!lua name=lib\\nlocal function f() return 1 + f() end\\nredis.register_function('f', f)"
FCALL f 0
FUNCTION STATS

# A function is called in whatever case its letters are, and a library is not found so
FUNCTION FLUSH
FUNCTION LOAD "#!lua name=lib\\nredis.register_function('f', function() return 'f' end)"
FUNCTION LOAD "#!lua name=LIB\\nredis.register_function('F', function() return 'F' end)"
FUNCTION LOAD "#!lua name=Lib\\nredis.register_function('g', function() return 'g' end)"
FCALL f 0
FCALL F 0
FCALL_RO G 0
FUNCTION DELETE LIB
FUNCTION STATS
""",
])  # fmt: skip
