"""What connections do that concerns clients, users, messages, scripts and the server, in the notation of `generator`."""

library = (
    '"#!lua name=lib\\n'
    "redis.register_function('fc', function(keys, args) return redis.call(args[1], keys[1], unpack(args, 2)) end)\\n"
    "redis.register_function('fp', function(keys, args) return redis.pcall(unpack(args)) end)\\n"
    "redis.register_function{function_name='fr', callback=function(keys, args)"
    " return redis.call('GET', keys[1]) end, flags={'no-writes'}}\""
)

flagged = (
    '"#!lua name=flags\\n'
    "local function read(keys) return redis.call('GET', keys[1]) end\\n"
    "local function write(keys) return redis.call('SET', keys[1], '1') end\\n"
    "redis.register_function{function_name='ra', callback=read, flags={'no-writes'}}\\n"
    "redis.register_function{function_name='oom', callback=write, flags={'allow-oom'}}\\n"
    "redis.register_function{function_name='stale', callback=write, flags={'no-writes', 'allow-stale'}}\\n"
    "redis.register_function{function_name='cross', callback=write, flags={'no-cluster'}}\\n"
    "redis.register_function('none', write)\""
)

_pubsub = """
SUBSCRIBE <c>
SUBSCRIBE <c> <c>
PSUBSCRIBE <pat>
PSUBSCRIBE __key*
SSUBSCRIBE <c>
UNSUBSCRIBE
UNSUBSCRIBE <c>
PUNSUBSCRIBE
PUNSUBSCRIBE <pat>
SUNSUBSCRIBE
SUBSCRIBE __keyevent@0__:{expired|del|set|lpush|new}
SUBSCRIBE __keyspace@0__:<any>
CONFIG SET notify-keyspace-events {KEA|KEA|EA|KEAmn|Kg$lx|""}
CONFIG SET notify-keyspace-events KEAn
PUBLISH <c> <v>
PUBLISH <c> <v>; <data>; PUBLISH <c> <v>
SPUBLISH <c> <v>
EVAL redis.call('PUBLISH','c1','in');return(redis.call('SET',KEYS[1],'1')) 1 <S>
MULTI; PUBLISH <c> 1; <data>; PUBLISH <c> 2; EXEC
PUBSUB CHANNELS
PUBSUB NUMSUB c1 c2 n.a
PUBSUB NUMPAT
PUBSUB SHARDNUMSUB c1 c2
SUBSCRIBE c1; PUBLISH c1 own; <data>
RESET
HELLO {2|3}
PING
PING x
SUBSCRIBE __keyevent@0__:{rename_from|rename_to|hexpired|hdel|xadd|zadd|sortstore|copy_to|move_from|expire|persist|keymiss|incrby}
PSUBSCRIBE __key*__:*
CONFIG SET notify-keyspace-events {Km|Ex|KEg|KEl|KEs|KEh|KEz|KEt|E$|Kn|KEd|A|x|AKEm}
CONFIG GET notify-keyspace-events
SUNSUBSCRIBE <c>
SSUBSCRIBE <c> <c>
PUNSUBSCRIBE <pat> <pat>
UNSUBSCRIBE <c> <c>
PUBSUB SHARDCHANNELS
PUBSUB CHANNELS {c*|n.*}
PUBSUB NUMSUB
PUBSUB NOSUCH
MULTI; SSUBSCRIBE <c>; SPUBLISH <c> 1; EXEC
MULTI; PSUBSCRIBE <pat>; PUBLISH <c> 1; PUNSUBSCRIBE; EXEC
EVAL return(redis.call('SPUBLISH','c1','in')) 0
EVAL redis.call('PUBLISH','c1','x');redis.call('DEL',KEYS[1]);redis.call('PUBLISH','c2','y') 1 <any>
SUBSCRIBE <c>; GET <S>; UNSUBSCRIBE; GET <S>
QUIT
"""

_tracking = """
CLIENT TRACKING ON
CLIENT TRACKING ON
CLIENT TRACKING ON NOLOOP
CLIENT TRACKING OFF
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON BCAST PREFIX s PREFIX l
CLIENT TRACKING ON BCAST NOLOOP PREFIX z
CLIENT TRACKING ON OPTIN
CLIENT TRACKING ON OPTOUT
CLIENT TRACKING ON REDIRECT <who>
CLIENT TRACKING ON BCAST REDIRECT <who>
SUBSCRIBE __redis__:invalidate
CLIENT CACHING {YES|NO}
CLIENT CACHING YES; GET <S>; LRANGE <L> 0 -1
CLIENT CACHING NO; MGET <S> <S>
CLIENT TRACKINGINFO
CLIENT GETREDIR
GET <S>
MGET <S> <S>
LRANGE <L> 0 -1; HGETALL <H>
ZRANGE <Z> 0 -1
XRANGE <X> - +
EXISTS <any> <any>
EVAL_RO return(redis.call('GET',KEYS[1])) 1 <S>
MULTI; GET <S>; GET <S>; EXEC
SET <S> <v>
MSET <S> <v> <S> <v>
DEL <any> <any>
FLUSHDB
FLUSHALL
GET <S>; SET <S> <v>; GET <S>
HELLO {2|3}
RESET
CLIENT KILL ID <who>
CLIENT TRACKING ON BCAST OPTIN
CLIENT TRACKING ON OPTIN NOLOOP
CLIENT TRACKING ON REDIRECT <who> NOLOOP
CLIENT TRACKING ON BCAST PREFIX {s|s1|""}
CLIENT TRACKING OFF; CLIENT TRACKING ON
DEBUG SET-ACTIVE-EXPIRE {0|1}
PEXPIRE <any> 20; ~70
GET <S>; PEXPIRE <S> 20; ~70
GET <S>; RENAME <S> <S>
HGET <H> f; HPEXPIRE <H> 20 FIELDS 1 f; ~70
SWAPDB 0 1
SELECT 1; GET <S>; SELECT 0
MOVE <any> 1
COPY <any> <any> REPLACE
GETEX <S> EX 1000
GETDEL <S>
SINTER <T> <T>; SORT_RO <L>
OBJECT ENCODING <any>
TTL <any>; TYPE <any>
BLPOP <L> 0
XREADGROUP GROUP g u STREAMS <X> >
EVAL redis.call('GET',KEYS[1]);return(redis.call('SET',KEYS[1],'1')) 1 <S>
MULTI; GET <S>; SET <S> 1; GET <S>; EXEC
MULTI; CLIENT CACHING YES; GET <S>; EXEC
CLIENT CACHING YES; MULTI; GET <S>; LRANGE <L> 0 -1; EXEC; GET s2
CLIENT CACHING YES; EVAL return(redis.call('GET',KEYS[1])) 1 <S>
UNSUBSCRIBE __redis__:invalidate
AUTH default x
"""

_connection = """
CLIENT REPLY OFF
CLIENT REPLY ON
CLIENT REPLY SKIP
CLIENT REPLY SKIP; <data>; <data>
CLIENT REPLY OFF; <data>; <data>; CLIENT REPLY ON; <data>
CLIENT NO-TOUCH {ON|OFF}
CLIENT NO-EVICT {ON|OFF}
CLIENT SETNAME {n1|n2|""}
CLIENT GETNAME
CLIENT KILL ID <who>
CLIENT KILL ID <who> SKIPME no
CLIENT KILL TYPE pubsub
CLIENT KILL USER alice
CLIENT KILL TYPE normal SKIPME yes ID <who>
CLIENT LIST ID 0
CLIENT SETINFO lib-name x
READONLY
CLUSTER INFO
WAITAOF 0 0 0
CLIENT UNBLOCK <who>
CLIENT PAUSE 100000 WRITE
CLIENT UNPAUSE
CLIENT UNPAUSE; CLIENT PAUSE 30; <data>; ~120
CLIENT PAUSE 30 WRITE; <data>; ~120
RESET
RESET; <data>
HELLO {2|3}
HELLO {2|3}; <data>; HELLO {3|2}
HELLO 3 SETNAME n3
HELLO 4
HELLO 3 AUTH alice pw
QUIT
ECHO x
PING
CLIENT ID
CLIENT INFO
CLIENT LIST ID <who>
CLIENT LIST ID <who>
COMMAND GETKEYS <data>
COMMAND GETKEYS <blocking>
COMMAND GETKEYSANDFLAGS <blocking>
COMMAND DOCS nosuch
COMMAND INFO nosuch
CLIENT KILL TYPE {master|replica|slave|nosuch}
CLIENT KILL LADDR 1.1.1.1:1
CLIENT KILL ID <who> ID <who>
CLIENT KILL ADDR 1.1.1.1:1 SKIPME no
CLIENT LIST TYPE master
CLIENT UNBLOCK 999999 ERROR
CLIENT UNBLOCK <who> ERROR
CLIENT PAUSE 100000 ALL; CLIENT UNPAUSE
CLIENT SETNAME "a b"
ROLE
WAIT 0 10
WAIT -1 10
WAIT x 10
REPLICAOF NO ONE
FAILOVER ABORT
FAILOVER
CLIENT REPLY SKIP; MULTI; GET <S>; EXEC
CLIENT REPLY SKIP; NOSUCH; GET <S>
CLIENT REPLY OFF; NOSUCH; CLIENT REPLY ON; GET <S>
CLIENT REPLY OFF; RESET; PING
CLIENT REPLY SKIP; BLPOP <L> 0.01; ~60
EVAL return(redis.pcall('CLIENT','REPLY','OFF')) 0
EVAL return(redis.pcall('ASKING')) 0
EVAL return(redis.pcall('WAIT',0,0)) 0
EVAL return(redis.pcall('HELLO',3)) 0
EVAL return(redis.pcall('RESET')) 0
EVAL return(redis.pcall('COMMAND','COUNT','x')) 0
EVAL return(redis.pcall('OBJECT','HELP','x')) 0
DEBUG SLEEP 0
DEBUG JMAP
MULTI; ASKING; READONLY; EXEC
LATENCY RESET
MEMORY NOSUCH
SAVE x
LASTSAVE x
"""

_access = """
ACL SETUSER alice on >pw ~* &* +@all
ACL SETUSER alice on nopass ~l* ~s* resetchannels &c* +@all -flushall
ACL SETUSER alice -@all +get +blpop +client
ACL SETUSER alice +@all
ACL SETUSER alice resetkeys ~s*
ACL SETUSER alice allkeys
ACL SETUSER alice resetchannels &n*
ACL SETUSER alice allchannels
ACL SETUSER alice off
ACL SETUSER alice on -blpop -bzpopmin -xread
ACL SETUSER alice %R~* +@all
ACL SETUSER alice -exec
ACL SETUSER alice -@write
ACL SETUSER bob on >pw +@all ~*
ACL DELUSER alice
AUTH alice pw
AUTH alice pw
AUTH bob pw
AUTH alice wrong
ACL WHOAMI
AUTH alice pw; BLPOP <L> 0
AUTH alice pw; SUBSCRIBE c1 n.a
AUTH alice pw; MULTI; <data>
AUTH alice pw; CLIENT TRACKING ON; GET <S>
AUTH alice pw; EVAL return(redis.pcall('GET','z1')) 0
ACL DRYRUN alice <data>
ACL SETUSER alice clearselectors (+set ~s*) (+rpush ~l1)
ACL SETUSER alice nocommands +@read +multi +exec +eval
ACL GETUSER bob
RESET
ACL SETUSER alice on nopass ~* &* +@all -@{write|read|blocking|transaction|scripting|pubsub|keyspace|dangerous|connection|stream}
ACL SETUSER alice -{get|set|select|client|multi|eval|subscribe|publish|auth|hello|reset|ping|swapdb|flushall}
ACL SETUSER alice +config|get -config|set
ACL SETUSER alice -client +client|id
ACL SETUSER alice +select|0 -select
ACL SETUSER alice resetkeys {%R~s*|%W~s*|%RW~l*|~t*}
ACL SETUSER alice %W~* %R~s*
ACL SETUSER alice reset
ACL SETUSER alice resetpass
ACL SETUSER alice on nopass
ACL SETUSER alice (~l* +@list) (~s* +@string)
ACL SETUSER alice clearselectors
ACL SETUSER bob on nopass +@all ~* &*
ACL SETUSER nosuch
ACL DELUSER bob alice default
ACL DELUSER nosuch
ACL LOG
ACL LOG {0|1|x}
ACL LIST
ACL USERS
ACL CAT nosuch
ACL GETUSER {alice|nosuch}
ACL DRYRUN alice <blocking>
ACL DRYRUN nosuch GET x
ACL DRYRUN alice NOSUCH
ACL NOSUCH
AUTH alice x; <data>
AUTH alice x; CLIENT TRACKING ON BCAST; <data>
AUTH alice x; SSUBSCRIBE c1; PSUBSCRIBE n.*
AUTH alice x; WATCH <S> <L>; MULTI; <data>; <data>; EXEC
AUTH alice x; <blocking>
AUTH alice x; EVAL return(redis.pcall(unpack(ARGV))) 0 <data>
AUTH alice x; EVAL return(redis.call(unpack(ARGV))) 0 <data>
AUTH alice x; SORT <L> BY w_* GET v_*
AUTH alice x; PUBLISH <c> 1; SPUBLISH <c> 1
AUTH alice x; COPY <any> <any>; RENAME <any> <any>
AUTH alice x; FCALL fp 0 <data>
AUTH alice x; KEYS *; DBSIZE; RANDOMKEY x
HELLO 3 AUTH alice x SETNAME n
CLIENT KILL USER {alice|bob|nosuch}
CLIENT LIST ID <who>
EVAL return(redis.pcall('ACL','WHOAMI')) 0
EVAL return(redis.acl_check_cmd(unpack(ARGV))) 0 <data>
"""

_scripts = """
<script>
<script>
FUNCTION LOAD REPLACE <lib>
FUNCTION LOAD <lib>
FCALL fr 1 <S>
FCALL_RO fr 1 <S>
FCALL fp 0 <data>
FCALL fp 0 <blocking>
FUNCTION DELETE lib
FUNCTION FLUSH
SCRIPT FLUSH
EVAL return(redis.call('GET',KEYS[1])) 1 <S>
EVAL return(redis.pcall('INCR',KEYS[1])) 1 <any>
EVAL redis.call('SET',KEYS[1],'1');error('x') 1 <S>
EVAL redis.setresp(3);return(redis.call('HGETALL',KEYS[1])) 1 <H>
EVAL redis.setresp(3);return(redis.call('ZRANGE',KEYS[1],0,-1,'WITHSCORES')) 1 <Z>
EVAL redis.call('SELECT',1);return(redis.call('SET',KEYS[1],'1')) 1 <S>
EVAL return(redis.call('FLUSHALL')) 0
EVAL return(redis.call('SWAPDB',0,1)) 0
EVAL return(redis.call('CLIENT','ID')) 0
EVAL return(redis.pcall('MULTI')) 0
EVAL return(redis.pcall('SUBSCRIBE','c1')) 0
EVAL_RO return(redis.call('SET',KEYS[1],'1')) 1 <S>
EVALSHA ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA_RO ffffffffffffffffffffffffffffffffffffffff 0
EVALSHA abc 0
SCRIPT EXISTS a b
SCRIPT LOAD return(1
EVAL return(redis.error_reply('MY')) 0
EVAL return({err='X'}) 0
EVAL return(redis.status_reply('FINE')) 0
EVAL return({1,2,{3,'x'},nil,4}) 0
EVAL return({double=1.5}) 0
EVAL redis.setresp(3);return({double=1.5}) 0
EVAL redis.setresp(3);return({map={a=1}}) 0
EVAL redis.setresp(3);return(redis.call('HGETALL',KEYS[1])) 1 <any>
EVAL redis.setresp(3);return(redis.call('GET',KEYS[1])) 1 <any>
EVAL return(redis.call('GET',KEYS[1])==false) 1 <any>
EVAL return(type(redis.pcall('LPOP',KEYS[1]))) 1 <any>
EVAL return(redis.sha1hex('x')) 0
EVAL error({err='MINE'}) 0
EVAL redis.call('NOSUCH') 0
EVAL redis.call('GET') 0
EVAL redis.call() 0
EVAL redis.call({}) 0
EVAL redis.call('SET','s1',{}) 0
EVAL redis.call('SET','s1',1.5);return(redis.call('GET','s1')) 0
EVAL return(tostring(nosuch)) 0
EVAL nosuch=1 0
EVAL local(a)={};for(i=1,3)do(a[i]=i)end;return(a) 0
EVAL redis.log(redis.LOG_DEBUG,'x') 0
EVAL redis.replicate_commands();return(1) 0
EVAL redis.set_repl(redis.REPL_ALL);return(redis.call('INCR',KEYS[1])) 1 <S>
EVAL redis.breakpoint() 0
EVAL redis.call('DEL',KEYS[1]);return(redis.call('RPUSH',KEYS[1],1,2)) 1 <any>
EVAL return(redis.call('RENAME',KEYS[1],KEYS[2])) 2 <any> <any>
EVAL return(redis.call('SORT',KEYS[1],'ALPHA','STORE',KEYS[2])) 2 <any> <any>
EVAL redis.call('WATCH','s1') 0
EVAL return(redis.pcall('EVAL','return(1)',0)) 0
EVAL return(redis.pcall('SCRIPT','FLUSH')) 0
EVAL return(redis.pcall('FUNCTION','FLUSH')) 0
EVAL return(redis.pcall('INFO','nothing')) 0
EVAL return(redis.pcall('CONFIG','SET','maxmemory',0)) 0
EVAL return(redis.pcall('XREAD','BLOCK',0,'STREAMS',KEYS[1],'$')) 1 <X>
EVAL return(cjson.encode(redis.call('LRANGE',KEYS[1],0,-1))) 1 <L>
EVAL return(bit.bor(1,2)) 0
EVAL return(#KEYS) 2 <S>
EVAL return(#KEYS) 2 <S> <L>
EVAL "#!lua flags=nosuch\\nreturn 1" 0
EVAL "#!lua flags=no-writes\\nreturn redis.call('SET',KEYS[1],'1')" 1 <S>
EVAL "#!lua flags=no-writes,allow-stale\\nreturn redis.call('GET',KEYS[1])" 1 <S>
EVAL "#!lua flags=allow-cross-slot-keys\\nreturn redis.call('MSET','a','1','b','2')" 0
MULTI; EVAL return(redis.call('INCR',KEYS[1])) 1 <S>; EVAL return(redis.pcall('NOSUCH')) 0; EXEC
"""

_monitoring = """
MONITOR
MONITOR
RESET
<data>
<script>
MULTI; <data>; EXEC
SELECT 1; <data>
<data>; <data>; <data>
<blocking>
AUTH x
AUTH alice pw
HELLO 3
HELLO 3 AUTH default x
ACL SETUSER alice on >pw +@all ~* &*
CONFIG SET slowlog-log-slower-than -1
CONFIG GET maxmemory
CLIENT SETNAME x
SUBSCRIBE <c>
PUBLISH <c> x
NOSUCH x
GET
MULTI; <data>; NOSUCH; EXEC
MULTI; <script>; <data>; EXEC
MULTI; INFO nothing; <data>; CLIENT ID; EXEC
MULTI; <data>; DISCARD
WATCH <S>; SET <S> 1; MULTI; <data>; EXEC
EVAL redis.call('SET',KEYS[1],1);redis.pcall('NOSUCH');return(redis.call('GET',KEYS[1])) 1 <S>
EVAL return(redis.call('PUBLISH','c1','x')) 0
EVAL return(redis.pcall('CONFIG','GET','maxmemory')) 0
FUNCTION LOAD REPLACE <lib>
FCALL fp 0 <data>
CLIENT UNBLOCK <who>
CLIENT KILL ID <who>
DEBUG SET-ACTIVE-EXPIRE 1
MIGRATE 127.0.0.1 1 nokey 0 10
FLUSHALL
SWAPDB 0 1
QUIT
"""

_telling = """
INFO commandstats
INFO errorstats
INFO clients
INFO stats
INFO keyspace
CONFIG RESETSTAT
CONFIG SET slowlog-log-slower-than 0
SLOWLOG GET -1
SLOWLOG RESET
CONFIG SET slowlog-log-slower-than -1
LATENCY LATEST
LATENCY HISTOGRAM get set lpush eval exec multi blpop
OBJECT ENCODING <any>
OBJECT FREQ <any>
DEBUG OBJECT <any>
XINFO GROUPS <X>
XINFO CONSUMERS <X> g
XINFO STREAM <X>
NOSUCH x
GET
ACL LOG RESET
OBJECT REFCOUNT nokey
OBJECT NOSUCH x
OBJECT IDLETIME nokey
SLOWLOG GET x
SLOWLOG GET -2
CONFIG SET latency-monitor-threshold 100000
LATENCY HISTORY command
LATENCY RESET nosuch
LATENCY NOSUCH
LATENCY HISTOGRAM nosuch
CONFIG SET slowlog-max-len 1; CONFIG SET slowlog-log-slower-than 0
CONFIG GET {maxmemory|slowlog-*|nosuch}
CONFIG SET nosuch 1
CONFIG SET maxmemory x
CONFIG SET maxmemory 0 maxmemory 0
CONFIG SET maxmemory-policy {noeviction|allkeys-lru}
CONFIG SET hash-max-listpack-entries 1
CONFIG SET hash-max-listpack-entries 512
CONFIG SET list-max-listpack-size 1
CONFIG SET list-max-listpack-size -2
CONFIG NOSUCH
INFO nosuch
INFO commandstats errorstats
EVAL return(redis.pcall('NOSUCH')) 0
EVAL return(redis.call('GET')) 0
EVAL return(redis.error_reply('MY')) 0
EVAL return(redis.pcall('INCR',KEYS[1])) 1 <any>
MULTI; NOSUCH; EXEC
MULTI; INCR <any>; EXEC
XINFO NOSUCH
MEMORY USAGE nokey
DEBUG NOSUCH
"""

_restraints = """
CONFIG SET maxmemory 1
CONFIG SET maxmemory 0
CONFIG SET min-replicas-to-write 1
CONFIG SET min-replicas-to-write 0
MULTI; <data>; <data>; EXEC
MULTI; GET <S>; EXEC
MULTI
EXEC
<script>
<script>
<data>
<blocking>
EVAL "#!lua flags=no-writes\\nreturn redis.call('GET',KEYS[1])" 1 <S>
EVAL "#!lua flags=allow-oom\\nreturn redis.call('SET',KEYS[1],'1')" 1 <S>
EVAL "#!lua\\nreturn redis.pcall('SET',KEYS[1],'1')" 1 <S>
CLIENT PAUSE 100000 WRITE
CLIENT UNPAUSE
DEL <any>
LPOP <L>
FLUSHALL
PUBLISH <c> <v>
INFO errorstats
INFO commandstats
MULTI; CONFIG SET maxmemory 0; <script>; EXEC
MULTI; CONFIG SET maxmemory 1; <script>; <data>; EXEC
MULTI; CONFIG SET min-replicas-to-write 1; <data>; EXEC
FUNCTION LOAD REPLACE <lib>
FUNCTION LOAD REPLACE <flags>
FCALL {ra|oom|stale|cross|none|fr} 1 <S>
FCALL fc 1 <S> SET <v>
EVAL_RO return(redis.call('GET',KEYS[1])) 1 <S>
EVAL "#!lua flags=allow-oom\\nreturn redis.pcall('SET',KEYS[1],'1')" 1 <S>
EVAL redis.call('DEL',KEYS[1]);return(redis.pcall('SET',KEYS[1],'1')) 1 <S>
WATCH <S>; MULTI; <data>; EXEC
CLIENT PAUSE 30 ALL; <data>; ~80
CLIENT PAUSE 30 WRITE; PUBLISH <c> 1; ~80
CLIENT PAUSE 30 WRITE; MULTI; GET <S>; EXEC; ~80
CLIENT PAUSE 30 WRITE; MULTI; SET <S> 1; EXEC; ~80
CLIENT PAUSE 30 WRITE; EVAL_RO return(1) 0; ~80
CLIENT PAUSE 30 WRITE; EVAL return(1) 0; ~80
CONFIG SET maxmemory 1; <blocking>
SUBSCRIBE <c>
COPY <any> <any>
RENAME <any> <any>
EXPIRE <any> 1000
GETEX <S> EX 1000
SCRIPT LOAD return(1)
CONFIG SET maxmemory-policy {noeviction|volatile-ttl}
"""

_script = """
EVAL return(redis.call(unpack(ARGV))) 0 <data>
EVAL return(redis.pcall(unpack(ARGV))) 0 <data>
EVAL return(redis.pcall(unpack(ARGV))) 0 <blocking>
EVAL redis.call('SET','s1','z');return(redis.call(unpack(ARGV))) 1 s1 <data>
EVAL local(a)=redis.pcall(unpack(ARGV));redis.call('INCR','s2');return(a) 0 <data>
"""

_clients = """
CLIENT LIST ID <who> <who>
CLIENT LIST TYPE {replica|pubsub|nosuch}
CLIENT LIST NOSUCH
CLIENT LIST ID x
CLIENT INFO
CLIENT SETNAME {a|b|""}
CLIENT SETINFO {lib-name|lib-ver} x
CLIENT SETINFO nosuch x
CLIENT SETINFO lib-name "a b"
CLIENT NO-EVICT {on|off|x}
CLIENT NO-TOUCH {on|off|x}
CLIENT REPLY {x|SKIP|SKIP}
CLIENT KILL ID <who> TYPE {normal|pubsub}
CLIENT KILL USER {bob|nosuch}
CLIENT KILL ID 0
CLIENT KILL SKIPME x
CLIENT KILL 1.1.1.1:1
CLIENT KILL MAXAGE 1000 ID <who>
CLIENT UNBLOCK <who> {TIMEOUT|ERROR|x}
CLIENT UNBLOCK 0
CLIENT PAUSE x
CLIENT PAUSE 30 {ALL|WRITE|x}; ~120
CLIENT UNPAUSE
CLIENT GETREDIR
CLIENT TRACKING ON PREFIX s
CLIENT TRACKING ON BCAST PREFIX s PREFIX s1
CLIENT TRACKING ON REDIRECT 0
CLIENT TRACKING ON OPTIN OPTOUT
CLIENT TRACKING OFF
CLIENT CACHING YES
CLIENT HELP x
CLIENT NOSUCH
CLIENT
<blocking>
SUBSCRIBE <c>
UNSUBSCRIBE
MULTI
EXEC
WATCH <S>
MONITOR
RESET
HELLO {2|3}
HELLO 3 SETNAME a
HELLO x
HELLO 3 AUTH
AUTH x
AUTH default x
SELECT {0|1}
NOSUCH; CLIENT LIST ID <who>
GET; CLIENT LIST ID <who>
COMMAND INFO get nosuch
COMMAND COUNT x
COMMAND GETKEYSANDFLAGS <data>
COMMAND LIST FILTERBY PATTERN xrev*
ACL SETUSER alice reset
ACL SETUSER bob on nopass +@all ~* &*
ACL SETUSER bob {+nosuch|>|~|%X~a}
ACL LOG
ACL GETUSER alice
ACL LIST
ACL USERS
AUTH bob x; GET <S>
READWRITE
ASKING
"""

_functions = """
FUNCTION LOAD REPLACE <lib>
FUNCTION LOAD <lib>
FUNCTION LOAD REPLACE <flags>
FUNCTION DELETE {lib|flags}
FUNCTION LIST
FUNCTION LIST LIBRARYNAME {lib|f*|x}
FUNCTION LIST WITHCODE LIBRARYNAME f*
FUNCTION STATS
FUNCTION KILL
FUNCTION FLUSH {ASYNC|SYNC}
FUNCTION RESTORE x
FUNCTION NOSUCH
SCRIPT LOAD <lib>
SCRIPT LOAD return(redis.call('GET',KEYS[1]))
SCRIPT EXISTS ffffffffffffffffffffffffffffffffffffffff
SCRIPT KILL
EVALSHA 4e6d8fc8bb01276962cce5371fa795a7763657ae 0
FCALL fc 1 <S> {GET|SET|INCR}
FCALL fc 1 <S> SET <v>
FCALL fp 0 <data>
FCALL fr 1 <S>
FCALL_RO fr 1 <S>
FCALL_RO fc 1 <S> GET
FCALL {ra|oom|stale|cross|none} 1 <S>
FCALL_RO {ra|oom|stale|cross|none} 1 <S>
FCALL fr x
FCALL fr 2 <S>
FCALL fr -1
FCALL nosuch 0
MULTI; FUNCTION LOAD REPLACE <lib>; FCALL fr 1 <S>; EXEC
MULTI; FUNCTION DELETE lib; FCALL fr 1 <S>; EXEC
WATCH <S>; FCALL fc 1 <S> SET 1; MULTI; GET <S>; EXEC
CONFIG SET maxmemory {0|1}
CLIENT PAUSE 30 WRITE; FCALL fr 1 <S>; ~80
CLIENT PAUSE 30 WRITE; FCALL fc 1 <S> SET 1; ~80
MONITOR
"""

steps = {
    "pubsub": _pubsub, "tracking": _tracking, "connection": _connection, "access": _access, "scripts": _scripts, "monitoring": _monitoring, "telling": _telling, "restraints": _restraints, "script": _script, "clients": _clients, "functions": _functions,
}  # fmt: skip
"""By topic."""
