"""Lua scripts: what they see, what they return, how they fail, and the commands around them."""

CASES = r"""
# EVAL wants as many keys as it says
EVAL
EVAL "return 1"
EVAL "return 1" x
EVAL "return 1" -1
EVAL "return 1" 2 a
EVAL "return 1" 1 a
EVAL "return #KEYS + #ARGV" 1 a b c
EVAL "" 0
EVAL_RO "return 1" 3 a
EVALSHA abc 0
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA abc 1
EVALSHA abc x
EVALSHA_RO abc -1
EVALSHA ffffffffffffffffffffffffffffffffffffffff 1
EVALSHA ffffffffffffffffffffffffffffffffffffffff x

# A list of flags may be empty, but not a flag
EVAL "#!lua flags=\nreturn 1" 0
EVAL "#!lua flags=,\nreturn 1" 0
EVAL "#!lua flags=no-writes,\nreturn 1" 0

# Scripts are known by their digests
SCRIPT LOAD "return 1"
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
EVALSHA E0E1F9FABFC9D4800C877A703B823AC0578FF8DB 0
EVALSHA_RO e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db ffffffffffffffffffffffffffffffffffffffff x
EVAL "return 'by eval'" 0
SCRIPT EXISTS 2ce1fa9f6f3a0a1a2d2c7d2c8b1c1c1c1c1c1c1c
SCRIPT FLUSH
SCRIPT EXISTS e0e1f9fabfc9d4800c877a703b823ac0578ff8db
EVALSHA e0e1f9fabfc9d4800c877a703b823ac0578ff8db 0
SCRIPT LOAD "return ("
SCRIPT FLUSH SYNC
SCRIPT FLUSH ASYNC
SCRIPT FLUSH NOW
SCRIPT FLUSH SYNC x
SCRIPT KILL
SCRIPT LOAD
SCRIPT EXISTS
SCRIPT NOSUCH

# The text of a script is shown
% only valkey9
SCRIPT LOAD "return 1"
SCRIPT SHOW e0e1f9fabfc9d4800c877a703b823ac0578ff8db
SCRIPT SHOW ffffffffffffffffffffffffffffffffffffffff

# Scripts that must not write do not
SET k v
EVAL_RO "return redis.call('get', KEYS[1])" 1 k
EVAL_RO "return redis.call('set', KEYS[1], 'x')" 1 k
EVAL_RO "return redis.pcall('set', KEYS[1], 'x')" 1 k
EVAL "#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])" 1 k
EVAL "#!lua flags=no-writes\nreturn redis.call('set', KEYS[1], 'x')" 1 k
EVAL "#!lua flags=no-writes,allow-stale\nreturn 1" 0
EVAL_RO "#!lua flags=no-writes\nreturn redis.call('get', KEYS[1])" 1 k
EVAL_RO "#!lua\nreturn redis.call('get', KEYS[1])" 1 k
EVAL "#!lua\nreturn redis.call('set', KEYS[1], 'x')" 1 k
EVAL "#!lua flags=no-cluster,allow-oom,allow-cross-slot-keys\nreturn 1" 0
EVAL "#!lua flags=what\nreturn 1" 0
EVAL "#!lua what=x\nreturn 1" 0
EVAL "#!lua" 0
GET k

# Lines are counted from the first one
EVAL "\n\nerror('third')" 0
EVAL "#!lua\nerror('second')" 0
EVAL "return 1\n+\n{}" 0
EVAL "#!lua\nreturn (" 0

# Patterns: arguments, and what is wrong with them
EVAL "return {string.find('hello', 'l')}" 0
EVAL "return {string.find('hello', 'l', -2)}" 0
EVAL "return {string.find('hello', '', 10), string.find('', '')}" 0
EVAL "return {string.find('a.b', '.', 2, true)}" 0
EVAL "return {string.find('a.b', '.', 1, false)}" 0
EVAL "return {string.find(12345, 34), string.match(12345, '3(.)'), string.gsub(121, 1, 2)}" 0
EVAL "return {('hello'):find('(l)(l)()')}" 0
EVAL "return {('hello'):match('(h)(.)(%2*l*)')}" 0
EVAL "return string.find()" 0
EVAL "return string.find('a')" 0
EVAL "return string.find('a', {})" 0
EVAL "return string.find('a', 'a', {})" 0
EVAL "return string.find('a', 'a', 'x')" 0
EVAL "return ('a'):find(nil)" 0
EVAL "return ('a'):match('%')" 0
EVAL "return ('a'):match('[a')" 0
EVAL "return ('a'):match('[a%')" 0
EVAL "return ('a'):match('(a')" 0
EVAL "return ('a'):match('a)')" 0
EVAL "return ('a'):match('%1')" 0
EVAL "return ('a'):match('%b')" 0
EVAL "return ('a'):match('%f')" 0
EVAL "return ('a'):match(string.rep('()', 32))" 0
EVAL "return ('a'):match(string.rep('()', 33))" 0
EVAL "return {pcall(string.match, 'a', '%')}" 0
EVAL "return string.gmatch('a')" 0
EVAL "return string.gmatch(nil, 'a')" 0
EVAL "local t = {} for k, v in string.gmatch('a=1, b=2', '(%w+)=(%w+)') do t[#t + 1] = k .. v end return t" 0
EVAL "local t = {} for k in string.gmatch('^a^', '^') do t[#t + 1] = k end return t" 0
EVAL "local t = {} for k in string.gfind('abc', '()') do t[#t + 1] = k end return t" 0
EVAL "return {string.gsub('hello', '', '-')}" 0
EVAL "return {string.gsub('hello', 'l', 'L', 1)}" 0
EVAL "return {string.gsub('hello', 'l', 'L', 0)}" 0
EVAL "return {string.gsub('hello', 'l', 'L', -1)}" 0
EVAL "return {string.gsub('hello', '^h', '%0%0')}" 0
EVAL "return {string.gsub('hello', '()l', '%1')}" 0
EVAL "return {string.gsub('hello', 'l', {l = 5})}" 0
EVAL "return {string.gsub('hello', 'l', {l = false})}" 0
EVAL "return {string.gsub('hello', 'l', {l = {}})}" 0
EVAL "return {string.gsub('hello', 'l', setmetatable({}, {__index = function(t, k) return k .. k end}))}" 0
EVAL "return {string.gsub('hello', '(l)(.)', function(a, b) return b .. a end)}" 0
EVAL "return {string.gsub('hello', 'l', function() end)}" 0
EVAL "return {string.gsub('hello', 'l', function() return {} end)}" 0
EVAL "return {string.gsub('hello', 'l', function() return print end)}" 0
EVAL "return {string.gsub('hello', 'l', function() error('inner') end)}" 0
EVAL "return {string.gsub('hello', 'l', function() redis.call('nosuch') end)}" 0
EVAL "return {string.gsub('hello', 'l', function() return redis.call('incr', 'n') end), redis.call('get', 'n')}" 0
EVAL "return string.gsub('hello', 'l')" 0
EVAL "return string.gsub('hello', 'l', true)" 0
EVAL "return string.gsub('hello', 'l', nil, 'x')" 0
EVAL "return string.gsub('hello', 'l', '%2')" 0
EVAL "return string.gsub('hello', '(l', 'x')" 0
EVAL "return {string.gsub('hello', 'l', '%')}" 0
EVAL "return #string.gsub(string.rep('ab', 10000), 'b', '%0%0')" 0

# Sorting, inserting and repeating
EVAL "local t = {3, 1, 2} table.sort(t) return t" 0
EVAL "local t = {3, 1, 2} table.sort(t, function(a, b) return a > b end) return t" 0
EVAL "local t = {3, 'a', 2} table.sort(t) return t" 0
EVAL "table.sort({3, 1, 2}, function() return true end)" 0
EVAL "table.sort({3, 1, 2, 5, 4}, function() return true end)" 0
EVAL "table.sort()" 0
EVAL "table.sort({}, 1)" 0
EVAL "table.sort({1, 2}, function() error('inner') end)" 0
EVAL "local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) table.insert(t, 6, 6) return {t[1], t[2], t[3], t[4], t[6]}" 0
EVAL "local t = {1, 2} table.insert(t, -1, 5) return {t[-1] or 'none', t[0] or 'none', t[1] or 'none', t[2] or 'none', t[3] or 'none'}" 0
EVAL "table.insert({}, 1, 2, 3)" 0
EVAL "table.insert({})" 0
EVAL "table.insert(nil, 1)" 0
EVAL "table.insert({}, 'x', 1)" 0
EVAL "return {string.rep('ab', 3), string.rep('ab', 0), string.rep('ab', -1), string.rep('', 100), string.rep(1, 3)}" 0
EVAL "return string.rep('ab')" 0
EVAL "return string.rep('', 'x')" 0
EVAL "return string.rep()" 0

# Scripts in a transaction
% not redis7: blocking commands are allowed since Redis 7.2
MULTI
SET k 1
EVAL "return redis.call('incr', KEYS[1])" 1 k
EVAL "return redis.call('incr', 'other')" 0
EVAL "return redis.call('nosuch')" 0
EVAL "return redis.call('blpop', 'nothing', 0)" 0
GET k
EXEC
GET other

# Blocking commands do not wait in a script
% not redis7: they are refused there
RPUSH l a b
EVAL "return redis.call('blpop', 'l', 0)" 0
EVAL "return redis.call('blpop', 'nothing', 0)" 0
EVAL "return redis.call('brpop', 'nothing', 0)" 0
EVAL "return redis.call('blmove', 'nothing', 'l', 'LEFT', 'LEFT', 0)" 0
EVAL "return redis.call('bzpopmin', 'nothing', 0)" 0
EVAL "return redis.call('xread', 'block', 0, 'streams', 'nothing', '$')" 0
EVAL "return redis.call('wait', 0, 0)" 0

# A script that pushes wakes who waits
RPUSH l a
EVAL "redis.call('rpush', KEYS[1], 'b') redis.call('del', KEYS[1]) redis.call('rpush', KEYS[1], 'c')" 1 l
LRANGE l 0 -1

# SELECT in a script is the script's own
EVAL "redis.call('select', 3) redis.call('set', 'k', 'in 3') return redis.call('get', 'k')" 0
GET k
SELECT 3
GET k

# Keys that are not named are touched all the same
EVAL "for i = 1, 100 do redis.call('set', 'k' .. i, 'v' .. i) end return redis.call('mget', 'k1', 'k50', 'k100')" 0
EVAL "return redis.call('get', KEYS[1])" 1 k7
EVAL "return redis.call('get', ARGV[1])" 1 k7 k8
EVAL "return redis.call('get', ARGV[1])" 1 k7 k9
EVAL "return redis.call('mset', KEYS[1], 'x', KEYS[2], 'y', ARGV[1], 'z')" 2 a b c
MGET a b c
EVAL "return redis.call('del', KEYS[1], KEYS[2])" 2 a b
EXISTS a b c

# A watched key that a script changes has changed
WATCH k
2> EVAL "return redis.call('set', KEYS[1], 'x')" 1 k
MULTI
PING
EXEC

# Scripts answer, fail and convert as everywhere, part 1
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return 1" 1 key arg x
EVAL "return 'x'" 1 key arg x
EVAL "return 1.5" 1 key arg x
EVAL "return -1.5" 1 key arg x
EVAL "return 1e30" 1 key arg x
EVAL "return 0/0" 1 key arg x
EVAL "return true" 1 key arg x
EVAL "return false" 1 key arg x
EVAL "return nil" 1 key arg x
EVAL "return {}" 1 key arg x
EVAL "return {1,2,3}" 1 key arg x
EVAL "return {1,nil,3}" 1 key arg x
EVAL "return {1,{2,{3,'x'}}}" 1 key arg x
EVAL "return {a=1}" 1 key arg x
EVAL "return {ok='FINE'}" 1 key arg x
EVAL "return {ok='a\\r\\nb'}" 1 key arg x
EVAL "return {err='MY error'}" 1 key arg x
EVAL "return {err='a\\r\\nb'}" 1 key arg x
EVAL "return {err='x'}" 1 key arg x
EVAL "return {err=1}" 1 key arg x
EVAL "return {ok=1}" 1 key arg x
EVAL "return {double=1.5}" 1 key arg x
EVAL "return {double='x'}" 1 key arg x
EVAL "return {double=1/0}" 1 key arg x
EVAL "return {double=3}" 1 key arg x
EVAL "return {big_number='123'}" 1 key arg x
EVAL "return {big_number='12\\r\\n3'}" 1 key arg x
EVAL "return {verbatim_string={format='txt',string='abc'}}" 1 key arg x
EVAL "return {verbatim_string={format='t',string='abc'}}" 1 key arg x
EVAL "return {verbatim_string={format='text',string='abc'}}" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 2
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return {verbatim_string={format='txt'}}" 1 key arg x
EVAL "return {verbatim_string='x'}" 1 key arg x
EVAL "return {map={a=1}}" 1 key arg x
EVAL "return {map={}}" 1 key arg x
EVAL "return {set={a=true}}" 1 key arg x
EVAL "return {map={a={1,2}},set={b=true}}" 1 key arg x
EVAL "return {{err='inner'},{ok='fine'},{double=2}}" 1 key arg x
EVAL "redis.setresp(3) return true" 1 key arg x
EVAL "redis.setresp(3) return false" 1 key arg x
EVAL "redis.setresp(3) return {true,false,nil}" 1 key arg x
EVAL "redis.setresp(3) return redis.call('hgetall','h')" 1 key arg x
EVAL "redis.setresp(3) return redis.call('smembers','s')" 1 key arg x
EVAL "redis.setresp(3) return redis.call('get','nokey')" 1 key arg x
EVAL "redis.setresp(3) return redis.call('zscore','z','m')" 1 key arg x
EVAL "redis.setresp(3) return redis.call('zrange','z',0,-1,'withscores')" 1 key arg x
EVAL "redis.setresp(3) return type(redis.call('get','nokey'))" 1 key arg x
EVAL "return redis.call('hgetall','h')" 1 key arg x
EVAL "return redis.call('zscore','z','m')" 1 key arg x
EVAL "return redis.call('smembers','s')" 1 key arg x
EVAL "return type(redis.call('get','nokey'))" 1 key arg x
EVAL "return redis.call('set','k','v')" 1 key arg x
EVAL "return type(redis.call('set','k','v'))" 1 key arg x
EVAL "return redis.call('set','k','v').ok" 1 key arg x
EVAL "return redis.call('incr','k')" 1 key arg x
EVAL "return redis.pcall('incr','k')" 1 key arg x
EVAL "return redis.pcall('incr','k').err" 1 key arg x
EVAL "local ok, e = pcall(redis.call,'incr','k') return {tostring(ok), e}" 1 key arg x
EVAL "local ok, e = pcall(error,{err='abc'}) return {tostring(ok), e}" 1 key arg x
EVAL "local ok, e = pcall(error,{x='abc'}) return {tostring(ok), type(e)}" 1 key arg x
EVAL "local ok, e = pcall(error,'abc') return {tostring(ok), e}" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 3
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "local ok, e = pcall(error) return {tostring(ok), tostring(e)}" 1 key arg x
EVAL "return {pcall(function(...) return ... end, 1, 2, 3)}" 1 key arg x
EVAL "return xpcall(function() error('x') end, function(e) return {e} end)" 1 key arg x
EVAL "return {xpcall(function() error('x') end, function(e) return {e} end)}" 1 key arg x
EVAL "error('x')" 1 key arg x
EVAL "error('x', 0)" 1 key arg x
EVAL "error('x', 2)" 1 key arg x
EVAL "error(12)" 1 key arg x
EVAL "error({err='z'})" 1 key arg x
EVAL "error({err='a', source='b', line=3})" 1 key arg x
EVAL "local t = nil; t.x = 1" 1 key arg x
EVAL "return nosuchglobal" 1 key arg x
EVAL "nosuchglobal = 1" 1 key arg x
EVAL "_G.x = 1" 1 key arg x
EVAL "rawset(_G, 'x', 1)" 1 key arg x
EVAL "redis.call = nil" 1 key arg x
EVAL "string.x = 1" 1 key arg x
EVAL "KEYS = 1" 1 key arg x
EVAL "KEYS[1] = 'x' return KEYS" 1 key arg x
EVAL "getmetatable(_G).__index = 1" 1 key arg x
EVAL "setmetatable(_G, {})" 1 key arg x
EVAL "return type(getmetatable(_G))" 1 key arg x
EVAL "return tostring(getmetatable(redis))" 1 key arg x
EVAL "return type(getmetatable(''))" 1 key arg x
EVAL "getmetatable('').__index = 1" 1 key arg x
EVAL "table.insert(redis, 1)" 1 key arg x
EVAL "return #redis" 1 key arg x
EVAL "return redis.x" 1 key arg x
EVAL "return select('#', 1, 2, 3)" 1 key arg x
EVAL "return {unpack({1,2,3})}" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 4
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return tostring(1e15)" 1 key arg x
EVAL "return tostring(123456789012)" 1 key arg x
EVAL "return tostring(0.1)" 1 key arg x
EVAL "return tostring(1/3)" 1 key arg x
EVAL "return tostring(-0.0)" 1 key arg x
EVAL "return tostring(0/0)" 1 key arg x
EVAL "return tostring(1/0)" 1 key arg x
EVAL "return tonumber('0x10')" 1 key arg x
EVAL "return tostring(tonumber('zz', 36))" 1 key arg x
EVAL "return string.format('%5.2f|%d|%s|%q|%x', 1.234, 7, 'a', 'b\"c', 255)" 1 key arg x
EVAL "return string.rep('ab', 3)" 1 key arg x
EVAL "return {string.find('hello world', 'o w')}" 1 key arg x
EVAL "return {('x'):rep(3), #'abc'}" 1 key arg x
EVAL "return table.concat({1,2,3}, ',')" 1 key arg x
EVAL "local t = {3,1,2} table.sort(t) return t" 1 key arg x
EVAL "return math.floor(1.7)" 1 key arg x
EVAL "return math.pi" 1 key arg x
EVAL "return tostring(math.huge)" 1 key arg x
EVAL "return redis.sha1hex('abc')" 1 key arg x
EVAL "return redis.sha1hex('')" 1 key arg x
EVAL "return redis.sha1hex()" 1 key arg x
EVAL "return redis.sha1hex(1)" 1 key arg x
EVAL "return redis.sha1hex(nil)" 1 key arg x
EVAL "return redis.error_reply('x')" 1 key arg x
EVAL "return redis.error_reply('MY x')" 1 key arg x
EVAL "return redis.error_reply('-MY x')" 1 key arg x
EVAL "return redis.error_reply('MY x\\r\\n')" 1 key arg x
EVAL "return redis.error_reply()" 1 key arg x
EVAL "return redis.error_reply(1)" 1 key arg x
EVAL "return redis.status_reply('x')" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 5
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return redis.status_reply()" 1 key arg x
EVAL "return redis.status_reply('a b', 'c')" 1 key arg x
EVAL "return redis.log()" 1 key arg x
EVAL "return redis.log('x','y')" 1 key arg x
EVAL "return redis.log(redis.LOG_WARNING,'y')" 1 key arg x
EVAL "return redis.setresp(4)" 1 key arg x
EVAL "return redis.set_repl(redis.REPL_ALL)" 1 key arg x
EVAL "return redis.set_repl(8)" 1 key arg x
EVAL "return redis.replicate_commands()" 1 key arg x
EVAL "return redis.breakpoint()" 1 key arg x
EVAL "return redis.debug('x')" 1 key arg x
EVAL "return redis.call()" 1 key arg x
EVAL "return redis.call({})" 1 key arg x
EVAL "return redis.call(nil)" 1 key arg x
EVAL "return redis.call('get')" 1 key arg x
EVAL "return redis.call('get','a','b')" 1 key arg x
EVAL "return redis.call('nosuch','a')" 1 key arg x
EVAL "return redis.call('object')" 1 key arg x
EVAL "return redis.call('multi')" 1 key arg x
EVAL "return redis.call('eval','x',0)" 1 key arg x
EVAL "return redis.call('hello')" 1 key arg x
EVAL "return redis.call('auth','x')" 1 key arg x
EVAL "return redis.call('ping')" 1 key arg x
EVAL "return redis.call('ping','x')" 1 key arg x
EVAL "return redis.call('echo','x')" 1 key arg x
EVAL "return redis.call('select', 1)" 1 key arg x
EVAL "redis.call('select', 1) redis.call('set', 'sel', 'x') return redis.call('exists', 'sel')" 1 key arg x
EVAL "return redis.call('exists', 'sel')" 1 key arg x
EVAL "return redis.call('select', 99)" 1 key arg x
EVAL "return redis.call('select', 'x')" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 6
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return redis.call('lrange','nolist',0,-1)" 1 key arg x
EVAL "return redis.call('mget','k','nokey','h')" 1 key arg x
EVAL "return redis.call('time')[1] == redis.call('time')[1]" 1 key arg x
EVAL "return redis.call('set','k','v','px',10000)" 1 key arg x
EVAL "return redis.call('type','k')" 1 key arg x
EVAL "return redis.call('dbsize') > 0" 1 key arg x
EVAL "return cjson.encode({1,2,3})" 1 key arg x
EVAL "return cjson.encode({a=1})" 1 key arg x
EVAL "return cjson.encode({})" 1 key arg x
EVAL "return cjson.encode({{}})" 1 key arg x
EVAL "return cjson.encode('a\"b\\\\c/d\\n\\t\\r\\b\\f\\0\\127x')" 1 key arg x
EVAL "return cjson.encode(1.5)" 1 key arg x
EVAL "return cjson.encode(1e15)" 1 key arg x
EVAL "return cjson.encode(123456789012345)" 1 key arg x
EVAL "return cjson.encode(1234567890123456)" 1 key arg x
EVAL "return cjson.encode(0.1)" 1 key arg x
EVAL "return cjson.encode(1/3)" 1 key arg x
EVAL "return cjson.encode(-0.0)" 1 key arg x
EVAL "return cjson.encode(1e100)" 1 key arg x
EVAL "return cjson.encode(0/0)" 1 key arg x
EVAL "return cjson.encode(1/0)" 1 key arg x
EVAL "return cjson.encode(true)" 1 key arg x
EVAL "return cjson.encode(nil)" 1 key arg x
EVAL "return cjson.encode(cjson.null)" 1 key arg x
EVAL "return cjson.encode({1,nil,3})" 1 key arg x
EVAL "return cjson.encode({[1]=1,[2]=2,[100]=3})" 1 key arg x
EVAL "return cjson.encode({[5]=1})" 1 key arg x
EVAL "return cjson.encode({[11]=1})" 1 key arg x
EVAL "return cjson.encode({[1.5]=1})" 1 key arg x
EVAL "return cjson.encode({[true]=1})" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 7
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return cjson.encode(function() end)" 1 key arg x
EVAL "return cjson.encode({f=function() end})" 1 key arg x
EVAL "return cjson.encode(1,2)" 1 key arg x
EVAL "return cjson.encode()" 1 key arg x
EVAL "local t = {} t[1]=t return cjson.encode(t)" 1 key arg x
EVAL "local t = {} for i=1,1001 do t={t} end return cjson.encode(t)" 1 key arg x
EVAL "local t = {} for i=1,998 do t={t} end return #cjson.encode(t)" 1 key arg x
EVAL "return cjson.encode_keep_buffer()" 1 key arg x
EVAL "return cjson.decode('[1,2,3]')" 1 key arg x
EVAL "return cjson.decode('[1,2,3')" 1 key arg x
EVAL "return cjson.decode('{\"a\":1}').a" 1 key arg x
EVAL "return cjson.decode('{\"a\":1,}')" 1 key arg x
EVAL "return cjson.decode('{a:1}')" 1 key arg x
EVAL "return cjson.decode('[1 2]')" 1 key arg x
EVAL "return cjson.decode('')" 1 key arg x
EVAL "return cjson.decode('\"abc')" 1 key arg x
EVAL "return cjson.decode('\"a\\\\u00e9\\\\ud83d\\\\ude00b\"')" 1 key arg x
EVAL "return cjson.decode('\"\\\\ud83d\"')" 1 key arg x
EVAL "return cjson.decode('\"\\\\x\"')" 1 key arg x
EVAL "return cjson.decode('\"\\\\u12g4\"')" 1 key arg x
EVAL "return cjson.decode('nul')" 1 key arg x
EVAL "return cjson.decode('null') == cjson.null" 1 key arg x
EVAL "return tostring(cjson.decode('[null]')[1] == cjson.null)" 1 key arg x
EVAL "return cjson.decode('true')" 1 key arg x
EVAL "return tostring(cjson.decode('1.5e3'))" 1 key arg x
EVAL "return tostring(cjson.decode('-0'))" 1 key arg x
EVAL "return tostring(cjson.decode('0x10'))" 1 key arg x
EVAL "return tostring(cjson.decode('01'))" 1 key arg x
EVAL "return tostring(cjson.decode('inf'))" 1 key arg x
EVAL "return tostring(cjson.decode('nan'))" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 8
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return tostring(cjson.decode('+1'))" 1 key arg x
EVAL "return tostring(cjson.decode('1e'))" 1 key arg x
EVAL "return tostring(cjson.decode('-'))" 1 key arg x
EVAL "return cjson.decode('[1]x')" 1 key arg x
EVAL "return cjson.decode('@')" 1 key arg x
EVAL "return cjson.decode('a')" 1 key arg x
EVAL "return cjson.decode({})" 1 key arg x
EVAL "return cjson.decode()" 1 key arg x
EVAL "return cjson.decode('1','2')" 1 key arg x
EVAL "return cjson.decode(5)" 1 key arg x
EVAL "return cjson.decode(string.rep('[',1001)..string.rep(']',1001))" 1 key arg x
EVAL "return cjson.decode('[1,2')" 1 key arg x
EVAL "return cjson.decode('{\"a\" 1}')" 1 key arg x
EVAL "return cjson.decode('{\"a\":}')" 1 key arg x
EVAL "return cjson.decode('{1:2}')" 1 key arg x
EVAL "return cjson.decode('[,]')" 1 key arg x
EVAL "return cjson.decode('[\"\\1\"]')" 1 key arg x
EVAL "return cjson.decode('[1,\\n\\t 2 ]')" 1 key arg x
EVAL "return cjson.encode(cjson.decode('{\"a\":[1,2,{\"b\":null}],\"c\":\"d\"}'))" 1 key arg x
EVAL "return cmsgpack.pack(1)" 1 key arg x
EVAL "return cmsgpack.pack(-1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649)" 1 key arg x
EVAL "return cmsgpack.pack(1.5, 0.1, 1e300, 2^53, 2^63, -2^63, 1/0, 0/0)" 1 key arg x
EVAL "return cmsgpack.pack('a', string.rep('b',31), string.rep('c',32), string.rep('d',255), string.rep('e',256))" 1 key arg x
EVAL "return cmsgpack.pack(true,false,nil,{})" 1 key arg x
EVAL "return cmsgpack.pack({1,2,3},{a=1},{[2]=1},{1,2,[4]=4})" 1 key arg x
EVAL "return cmsgpack.pack()" 1 key arg x
EVAL "local t={} t[1]=t return cmsgpack.pack(t)" 1 key arg x
EVAL "return cmsgpack.pack(function() end)" 1 key arg x
EVAL "return {cmsgpack.unpack(cmsgpack.pack(1,2,'x',{1,{2}},1.5,-5,true))}" 1 key arg x
EVAL "return cmsgpack.unpack('\\193')" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 9
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return cmsgpack.unpack('\\146\\1')" 1 key arg x
EVAL "return cmsgpack.unpack('')" 1 key arg x
EVAL "return cmsgpack.unpack(5)" 1 key arg x
EVAL "return {cmsgpack.unpack_one('\\1\\2\\3')}" 1 key arg x
EVAL "return {cmsgpack.unpack_one('\\1\\2\\3', 2)}" 1 key arg x
EVAL "return {cmsgpack.unpack_one('\\1\\2\\3', 5)}" 1 key arg x
EVAL "return {cmsgpack.unpack_one('\\1\\2\\3', -1)}" 1 key arg x
EVAL "return {cmsgpack.unpack_limit('\\1\\2\\3', 2)}" 1 key arg x
EVAL "return {cmsgpack.unpack_limit('\\1\\2\\3', 2, 1)}" 1 key arg x
EVAL "return {cmsgpack.unpack_limit('\\1\\2\\3', -2, 1)}" 1 key arg x
EVAL "return cmsgpack.unpack_limit('\\1')" 1 key arg x
EVAL "return {cmsgpack.unpack('\\196\\1a\\217\\1b\\197\\0\\1c')}" 1 key arg x
EVAL "return cmsgpack.unpack('\\129\\192\\1')" 1 key arg x
EVAL "return struct.pack('i', 1)" 1 key arg x
EVAL "return struct.pack('>i2<i2', 1, 1)" 1 key arg x
EVAL "return struct.pack('bBhHlLTfd', 1, 2, 3, 4, 5, 6, 7, 1.5, 2.5)" 1 key arg x
EVAL "return struct.pack('>fd', 1.5, 2.5)" 1 key arg x
EVAL "return struct.pack('s', 'abc')" 1 key arg x
EVAL "return struct.pack('c2', 'abc')" 1 key arg x
EVAL "return struct.pack('c5', 'abc')" 1 key arg x
EVAL "return struct.pack('c0', 'abc')" 1 key arg x
EVAL "return struct.pack('!4bi', 1, 2)" 1 key arg x
EVAL "return struct.pack('!bd', 1, 2)" 1 key arg x
EVAL "return struct.pack('!3b', 1)" 1 key arg x
EVAL "return struct.pack('i33', 1)" 1 key arg x
EVAL "return struct.pack('i16', 1)" 1 key arg x
EVAL "return struct.pack('I3', 1)" 1 key arg x
EVAL "return struct.pack('z', 1)" 1 key arg x
EVAL "return struct.pack('i', 'x')" 1 key arg x
EVAL "return struct.pack('i')" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 10
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return struct.pack('i99999999999', 1)" 1 key arg x
EVAL "return struct.pack('>!4 b x i', 1, 2)" 1 key arg x
EVAL "return {struct.unpack('>i2', '\\255\\254')}" 1 key arg x
EVAL "return {struct.unpack('<I2', '\\255\\254')}" 1 key arg x
EVAL "return {struct.unpack('bBhH', '\\255\\255\\255\\255\\255\\255')}" 1 key arg x
EVAL "return {struct.unpack('i', '\\1')}" 1 key arg x
EVAL "return {struct.unpack('i', '\\1\\0\\0\\0', 2)}" 1 key arg x
EVAL "return {struct.unpack('i', '\\1\\0\\0\\0', 0)}" 1 key arg x
EVAL "return {struct.unpack('s', 'abc\\0def')}" 1 key arg x
EVAL "return {struct.unpack('s', 'abc')}" 1 key arg x
EVAL "return {struct.unpack('c2c1', 'abc')}" 1 key arg x
EVAL "return {struct.unpack('bc0', '\\3abc')}" 1 key arg x
EVAL "return {struct.unpack('c0', 'abc')}" 1 key arg x
EVAL "return {struct.unpack('d', struct.pack('d', 2))}" 1 key arg x
EVAL "return {struct.size('bhild')}" 1 key arg x
EVAL "return {struct.size('!bhild')}" 1 key arg x
EVAL "return struct.size('s')" 1 key arg x
EVAL "return struct.size('c0')" 1 key arg x
EVAL "return struct.size('z')" 1 key arg x
EVAL "return struct.size('<i3 >c10 x')" 1 key arg x
EVAL "return bit.tobit(0xffffffff)" 1 key arg x
EVAL "return bit.tobit('x')" 1 key arg x
EVAL "return bit.tobit()" 1 key arg x
EVAL "return bit.tohex(255)" 1 key arg x
EVAL "return bit.tohex(255, 4)" 1 key arg x
EVAL "return bit.tohex(255, -4)" 1 key arg x
EVAL "return bit.tohex(255, 0)" 1 key arg x
EVAL "return bit.tohex(-1, 20)" 1 key arg x
EVAL "return {bit.band(7,3),bit.bor(1,2,4),bit.bxor(5,1),bit.bnot(0)}" 1 key arg x
EVAL "return {bit.lshift(1,31),bit.lshift(1,32),bit.rshift(-1,1),bit.arshift(-8,1)}" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 11
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return {bit.rol(0x12345678,8),bit.ror(0x12345678,8),bit.bswap(0x12345678)}" 1 key arg x
EVAL "return bit.band()" 1 key arg x
EVAL "return bit.band(1,'x')" 1 key arg x
EVAL "return bit.tobit(2^40+5)" 1 key arg x
EVAL "return bit.tobit(1.5)" 1 key arg x
EVAL "return loadstring('return 5')()" 1 key arg x
EVAL "return {loadstring('return (')}" 1 key arg x
EVAL "local f, e = loadstring('return (') return e" 1 key arg x
EVAL "local f, e = loadstring('return (', 'name') return e" 1 key arg x
EVAL "local f, e = loadstring('return (', '@name') return e" 1 key arg x
EVAL "local f, e = loadstring(string.dump(function() return 1 end)) return {tostring(f), e}" 1 key arg x
EVAL "local f, e = loadstring('\\27Lua') return {tostring(f), e}" 1 key arg x
EVAL "local f, e = load(function() return nil end) return type(f)" 1 key arg x
EVAL "local f, e = load(function() return {} end) return {tostring(f), e}" 1 key arg x
EVAL "local f, e = load(function() error('x') end) return {tostring(f), e}" 1 key arg x
EVAL "local n=0 local f, e = load(function() n=n+1 return ({'return ', '1'})[n] end) return f()" 1 key arg x
EVAL "return load()" 1 key arg x
EVAL "return loadstring()" 1 key arg x
EVAL "return type(gcinfo())" 1 key arg x
EVAL "return _VERSION" 1 key arg x
EVAL "local f = coroutine.wrap(function(a) local b = coroutine.yield(a) return b end) return {f(1), f(2)}" 1 key arg x
EVAL "return {coroutine.resume(coroutine.create(function() error('x') end))}" 1 key arg x
EVAL "return {coroutine.resume(coroutine.create(function() redis.call('nosuch') end))}" 1 key arg x
EVAL "local co = coroutine.create(function() redis.call('incr','k') end) return {coroutine.resume(co)}" 1 key arg x
EVAL "coroutine.wrap(function() redis.call('incr','k') end)()" 1 key arg x
EVAL "local function f() return f() + 1 end return f()" 1 key arg x
EVAL "local s = string.rep('x', 100) return s:len()" 1 key arg x
EVAL "return string.rep('x', -1)" 1 key arg x
EVAL "local t = setmetatable({}, {__index=function(t,k) return k end}) return t.abc" 1 key arg x
EVAL "local t = setmetatable({}, {__call=function(t,k) return k end}) return t(5)" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 12
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "local n=0 for k in pairs(math) do n=n+1 end return n" 1 key arg x
EVAL "local n=0 for k in pairs(string) do n=n+1 end return n" 1 key arg x
EVAL "local n=0 for k in pairs(table) do n=n+1 end return n" 1 key arg x
EVAL "local n=0 for k in pairs(coroutine) do n=n+1 end return n" 1 key arg x
EVAL "return type(rawget(redis,'call'))" 1 key arg x
EVAL "return rawequal(redis, redis)" 1 key arg x
EVAL "return type(next(redis))" 1 key arg x
EVAL "return tostring(_G == _G._G)" 1 key arg x
EVAL "return table.getn({1,2})" 1 key arg x
EVAL "return table.maxn({1,2,[10]=3})" 1 key arg x
EVAL "table.foreach({1}, function(k,v) return v end)" 1 key arg x
EVAL "return table.foreach(redis, function(k,v) if k == 'call' then return k end end)" 1 key arg x
EVAL "return string.gsub('hello', 'l', 'L')" 1 key arg x
EVAL "return {string.gsub('hello', 'l', 'L')}" 1 key arg x
EVAL "return string.byte('a')" 1 key arg x
EVAL "return ('%d'):format(3.7)" 1 key arg x
EVAL "return ('%d'):format('x')" 1 key arg x
EVAL "return #arg" 1 key arg x
EVAL "return ..." 1 key arg x
EVAL "return select('#', ...)" 1 key arg x
EVAL "return debug" 1 key arg x
EVAL "return print" 1 key arg x
EVAL "return newproxy" 1 key arg x
EVAL "return getfenv" 1 key arg x
EVAL "return require" 1 key arg x
EVAL "if true then return 1 else return 2 end" 1 key arg x
EVAL "x = = 1" 1 key arg x
EVAL "return 'unfinished" 1 key arg x
EVAL "return 5 +" 1 key arg x
EVAL "goto x" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 13
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "local a <const> = 1" 1 key arg x
EVAL "return {1,2,3,}" 1 key arg x
EVAL "return -5 % 3" 1 key arg x
EVAL "return 5 % -3" 1 key arg x
EVAL "return 2^10" 1 key arg x
EVAL "return 7 / 2" 1 key arg x
EVAL "return 'a' .. 1 .. 2.5" 1 key arg x
EVAL "return 10 == '10'" 1 key arg x
EVAL "return '10' + 5" 1 key arg x
EVAL "return {} + 1" 1 key arg x
EVAL "return #5" 1 key arg x
EVAL "return ('x')()" 1 key arg x
EVAL "return nil .. 'x'" 1 key arg x
EVAL "return 1 < 'x'" 1 key arg x
EVAL "local x = {} return x.y.z" 1 key arg x
EVAL "redis.call('set', KEYS[1], ARGV[1]) return redis.call('get', KEYS[1])" 1 key arg x
EVAL "return {KEYS[1], ARGV[1], ARGV[2]}" 1 key arg x
EVAL "return {#KEYS, #ARGV}" 1 key arg x
EVAL "return redis.call('set', 'foo')" 1 key arg x
EVAL "return {redis.pcall('set', 'foo'), 1}" 1 key arg x
EVAL "return redis.pcall('nosuch')" 1 key arg x
EVAL "local r = redis.pcall('nosuch') return r.err" 1 key arg x
EVAL "local r = redis.pcall('lpush','k',1) return r" 1 key arg x
EVAL "return redis.call('lpush','k',1)" 1 key arg x
EVAL "return {redis.pcall('lpush','k',1)['err'], redis.pcall('lpush','k',1)['ignore_error_stats_update']}" 1 key arg x
EVAL "return cjson.encode({[1e100]=1})" 1 key arg x
EVAL "return cjson.encode({[1e100]=1,[2]=2})" 1 key arg x
EVAL "return struct.pack('L', 1e100)" 1 key arg x
EVAL "return struct.pack('l', -1e100)" 1 key arg x
EVAL "return struct.pack('i', 0/0)" 1 key arg x

# Scripts answer, fail and convert as everywhere, part 14
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "return struct.unpack('lc0', struct.pack('l', -5) .. 'abc')" 1 key arg x
EVAL "return cjson.encode({[-1]=1})" 1 key arg x
EVAL "return cjson.encode('é')" 1 key arg x
EVAL "return cjson.decode('\"\\\\u0041\\\\u00e9\\\\u20ac\"')" 1 key arg x
EVAL "return tostring(cmsgpack.unpack('\\207\\128\\0\\0\\0\\0\\0\\0\\0'))" 1 key arg x
EVAL "return redis.call('ping', 'a', 'b')" 1 key arg x

# What is newer in scripts
% not redis7: texts of numbers, os.clock and some errors are newer
SET key v0
HSET h f v
SADD s m
ZADD z 1.5 m
SET k v
EVAL "error()" 1 key arg x
EVAL "error({err='z y'})" 1 key arg x
EVAL "error(true)" 1 key arg x
EVAL "error(setmetatable({}, {__tostring=function() return 'ts' end}))" 1 key arg x
EVAL "return {math.max(1,5,3), math.min(2,1)}" 1 key arg x
EVAL "return redis.call('object','help')" 1 key arg x
EVAL "return redis.call('blpop','nolist',0)" 1 key arg x
EVAL "return redis.call('brpoplpush','nolist','x',0)" 1 key arg x
EVAL "return redis.call('xread','block',0,'streams','nostream','$')" 1 key arg x
EVAL "return redis.call('wait',0,0)" 1 key arg x
EVAL "return redis.call('echo', 1)" 1 key arg x
EVAL "return redis.call('echo', 1.5)" 1 key arg x
EVAL "return redis.call('echo', 0.1)" 1 key arg x
EVAL "return redis.call('echo', 1e15)" 1 key arg x
EVAL "return redis.call('echo', 1e17)" 1 key arg x
EVAL "return redis.call('echo', 1e20)" 1 key arg x
EVAL "return redis.call('echo', 1e21)" 1 key arg x
EVAL "return redis.call('echo', 1e300)" 1 key arg x
EVAL "return redis.call('echo', 1e-7)" 1 key arg x
EVAL "return redis.call('echo', -0.0)" 1 key arg x
EVAL "return redis.call('echo', 0/0)" 1 key arg x
EVAL "return redis.call('echo', 1/0)" 1 key arg x
EVAL "return redis.call('echo', 2^53)" 1 key arg x
EVAL "return redis.call('echo', 3.0)" 1 key arg x
EVAL "return redis.call('echo', true)" 1 key arg x
EVAL "return cmsgpack.unpack(string.rep('\\145',5000))" 1 key arg x
EVAL "return type(os.clock())" 1 key arg x
EVAL "return tostring(os.time)" 1 key arg x
EVAL "for k,v in pairs(redis) do if type(v) == 'table' then return k end end return 'no tables'" 1 key arg x
"""
