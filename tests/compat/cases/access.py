"""Users and their rules: the table of cases. Each ends without the users that it has made."""

CASES = r"""
# A new user may do nothing
ACL SETUSER anna
ACL GETUSER anna
ACL USERS
ACL DELUSER anna nobody
ACL DELUSER anna
ACL GETUSER anna

# The default user as it is
ACL WHOAMI
ACL USERS
ACL DELUSER default
ACL DELUSER
ACL GETUSER
ACL SETUSER

# Rules about the user as a whole
ACL SETUSER anna on nopass skip-sanitize-payload
ACL GETUSER anna
ACL SETUSER anna ON NoPass off sanitize-payload resetpass
ACL GETUSER anna
ACL SETUSER anna reset on
ACL GETUSER anna
ACL SETUSER anna ""
ACL DELUSER anna

# Passwords are kept as digests
ACL SETUSER anna on >first >second >first
ACL GETUSER anna
ACL SETUSER anna <first
ACL GETUSER anna
ACL SETUSER anna <first
ACL SETUSER anna !16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4
ACL GETUSER anna
ACL SETUSER anna #16367aacb67a4a017c8da8ab95682ccb390863780f7114dda0a0e0c55644c7c4
ACL GETUSER anna
ACL SETUSER anna #16367AACB67A4A017C8DA8AB95682CCB390863780F7114DDA0A0E0C55644C7C4
ACL SETUSER anna #short
ACL SETUSER anna !short
ACL SETUSER anna nopass >third
ACL GETUSER anna
ACL SETUSER anna >
ACL GETUSER anna
ACL DELUSER anna

# Keys
ACL SETUSER anna ~a* ~b* ~a* %R~r* %W~w* %RW~x* %WR~y* %r~w* %w~r*
ACL GETUSER anna
ACL SETUSER anna ~*
ACL GETUSER anna
ACL SETUSER anna ~c
ACL SETUSER anna %R~c
ACL SETUSER anna resetkeys ~c
ACL GETUSER anna
ACL SETUSER anna allkeys
ACL GETUSER anna
ACL SETUSER anna resetkeys %R~*
ACL GETUSER anna
ACL SETUSER anna resetkeys ~
ACL GETUSER anna
ACL DELUSER anna

# Rules about keys that make no sense
ACL SETUSER anna %X~a
ACL SETUSER anna %RR~a
ACL SETUSER anna %~a
ACL SETUSER anna %R
ACL SETUSER anna %
ACL SETUSER anna "~a b"
ACL SETUSER anna "~a\tb"
ACL SETUSER anna "~a\x00b"
ACL SETUSER anna nonsense
ACL SETUSER anna @read
ACL USERS

# Channels
ACL SETUSER anna &a* &b &a*
ACL GETUSER anna
ACL SETUSER anna allchannels
ACL GETUSER anna
ACL SETUSER anna &c
ACL SETUSER anna resetchannels &c
ACL GETUSER anna
ACL SETUSER anna &*
ACL GETUSER anna
ACL SETUSER anna resetchannels "&a b"
ACL SETUSER anna resetchannels &
ACL GETUSER anna
ACL DELUSER anna

# Commands and categories
ACL SETUSER anna +get +SET -set +@read -@write +@ALL -@Dangerous
ACL GETUSER anna
ACL SETUSER anna +@all
ACL GETUSER anna
ACL SETUSER anna -get -set +get
ACL GETUSER anna
ACL SETUSER anna nocommands
ACL GETUSER anna
ACL SETUSER anna +@string +@hash -@string
ACL GETUSER anna
ACL SETUSER anna allcommands
ACL GETUSER anna
ACL SETUSER anna +nosuch
ACL SETUSER anna -nosuch
ACL SETUSER anna +@nosuch
ACL SETUSER anna -@nosuch
ACL SETUSER anna +
ACL SETUSER anna -
ACL SETUSER anna +@
ACL DELUSER anna

# Subcommands
ACL SETUSER anna +config|get +CONFIG|SET -config|set
ACL GETUSER anna
ACL SETUSER anna +config
ACL GETUSER anna
ACL SETUSER anna -config|get
ACL GETUSER anna
ACL SETUSER anna -config
ACL GETUSER anna
ACL SETUSER anna +config|nosuch
ACL SETUSER anna -config|nosuch
ACL SETUSER anna +config|
ACL SETUSER anna +config|get|x
ACL SETUSER anna +client|id +@connection -client
ACL GETUSER anna
ACL DELUSER anna

# First arguments
ACL SETUSER anna +select|0 +SELECT|1 +select|0
ACL GETUSER anna
ACL SETUSER anna +select
ACL GETUSER anna
ACL SETUSER anna -select|0
ACL SETUSER anna +nosuch|0
ACL SETUSER anna +select|
ACL SETUSER anna -select +select|x
ACL GETUSER anna
ACL SETUSER anna +@fast -@fast
ACL GETUSER anna
ACL DELUSER anna

# Selectors
ACL SETUSER anna ~a* +get (~b* +set) (~c* %R~d* &x +@read -get)
ACL GETUSER anna
ACL SETUSER anna (~e +del)
ACL GETUSER anna
ACL SETUSER anna (+get ~x )
ACL SETUSER anna (
ACL SETUSER anna (+get (~x)
ACL SETUSER anna ()
ACL GETUSER anna
ACL SETUSER anna (on)
ACL SETUSER anna (>password)
ACL SETUSER anna (+nosuch)
ACL SETUSER anna ((+get))
ACL SETUSER anna clearselectors
ACL GETUSER anna
ACL DELUSER anna

# All rules take effect or none
ACL SETUSER anna on +get ~a
ACL SETUSER anna off +set nonsense
ACL GETUSER anna
ACL SETUSER bert on +get nonsense
ACL GETUSER bert
ACL DELUSER anna

# Names
ACL SETUSER "a b" on
ACL SETUSER "a\x00b" on
ACL SETUSER "a\tb" on
ACL SETUSER Anna on
ACL GETUSER anna
ACL USERS
ACL DELUSER Anna

# Databases are Valkey's
% only valkey9
ACL SETUSER anna db=0,2,1,0
ACL GETUSER anna
ACL SETUSER anna db=3
ACL GETUSER anna
ACL SETUSER anna resetdbs
ACL GETUSER anna
ACL SETUSER anna alldbs
ACL SETUSER anna db=
ACL SETUSER anna db=x
ACL SETUSER anna db=,1
ACL SETUSER anna db=1,
ACL SETUSER anna db=1,,2
ACL SETUSER anna db=-1
ACL SETUSER anna db=12345678987654321
ACL SETUSER anna db=1234567898765432123456789
ACL SETUSER anna db=2147483648
ACL SETUSER anna "db=1 2"
ACL SETUSER anna (db=1 +get)
ACL GETUSER anna
ACL DELUSER anna

# What a user may do in which database is Valkey's
% only valkey9
ACL SETUSER anna on nopass +@all ~* &* db=0,2
ACL DRYRUN anna GET k
ACL DRYRUN anna SELECT 1
ACL DRYRUN anna MOVE k 1
ACL DRYRUN anna MOVE k 2
ACL DRYRUN anna COPY a b DB 1
ACL DRYRUN anna COPY a b DB 2
ACL DRYRUN anna SWAPDB 0 2
ACL DRYRUN anna SWAPDB 1 2
ACL DRYRUN anna FLUSHALL
ACL DRYRUN anna FLUSHDB
ACL DRYRUN anna PUBLISH c m
ACL DRYRUN anna EVAL x 0
ACL DRYRUN anna PING
ACL DRYRUN anna SELECT 99
ACL DRYRUN anna SWAPDB 1 99
ACL DRYRUN anna MOVE k 99
ACL DRYRUN anna COPY a b DB 99
2> AUTH anna x
2> SELECT 1
2> SELECT 2
2> SET k v
2> MOVE k 1
2> MOVE k 0
2> FLUSHALL
2> SELECT 99
2> SELECT -1
2> SWAPDB 1 99
2> SWAPDB 99 0
2> MOVE k 99
2> COPY k l DB 99
2> EVAL "return redis.pcall('SELECT', 99)" 0
2> MULTI
2> SELECT 1
2> EXEC
2> MULTI
2> SELECT 0
2> GET k
2> SELECT 2
2> EXEC
2> EVAL "return redis.call('SELECT', 1)" 0
2> SELECT 0
ACL SETUSER anna db=2
2> GET k
2> PING
2> ECHO x
2> WATCH k
2> DBSIZE
2> KEYS *
2> RANDOMKEY
2> SCAN 0
2> EXISTS k
2> FLUSHDB
2> EVAL "return 1" 0
2> EVAL "return 1" 1 k
2> OBJECT HELP
2> OBJECT ENCODING k
2> MEMORY USAGE k
2> INFO server
2> SORT k
2> PUBLISH c m
2> SPUBLISH c m
2> TIME
2> WAIT 0 0
2> MULTI
2> PING
2> EXEC
ACL DELUSER anna

# Logging in
ACL SETUSER anna on >secret +ping +acl|whoami +hello
2> AUTH anna wrong
2> AUTH anna secret
2> ACL WHOAMI
2> AUTH nobody secret
2> ACL WHOAMI
2> AUTH anna
2> AUTH a b c
2> HELLO 3 AUTH anna wrong
2> HELLO 3 AUTH anna secret SETNAME x
2> PING
ACL SETUSER anna off
2> PING
2> AUTH anna secret
2> RESET
2> ACL WHOAMI
ACL DELUSER anna

# What is not allowed is refused
ACL SETUSER anna on nopass ~a* %R~r* %W~w* &c* +get +set +mset +copy +config|get +subscribe +psubscribe +publish +acl|whoami
2> AUTH anna x
2> SET a 1
2> GET a
2> GET b
2> SET r 1
2> GET r
2> SET w 1
2> GET w
2> SET w 1 GET
2> MSET a1 1 b1 2
2> COPY r1 w1
2> COPY w1 r1
2> DEL a
2> get B
2> gEt a
2> CONFIG GET maxmemory
2> CONFIG SET maxmemory 0
2> CONFIG
2> CONFIG NOSUCH
2> NOSUCH
2> GET
2> PUBLISH c1 m
2> PUBLISH d1 m
2> ACL LIST
2> PING
2> AUTH default x
ACL DELUSER anna

# Commands with keys in odd places
ACL SETUSER anna on nopass ~a* +@all
2> AUTH anna x
2> EVAL "return 1" 1 b
2> EVAL "return 1" 2 a b
2> EVAL "return 1" 1 a
2> ZUNIONSTORE a 2 a1 b1
2> ZUNIONSTORE b 1 a1
2> ZUNION 2 a1 b1
2> ZUNION 5 b1
2> SORT a STORE b
2> SORT b STORE a
2> SORT a BY b*
2> SORT a BY nosort
2> SORT a GET b*
2> SORT a GET #
2> SORT a BY a*->x
2> SORT_RO a BY b*
2> GEORADIUS a 0 0 1 m STORE b
2> GEORADIUS a 0 0 1 m STOREDIST b
2> GEORADIUS b 0 0 1 m
2> XREAD COUNT 1 STREAMS a b 0 0
2> XREADGROUP GROUP g c STREAMS b >
2> XREADGROUP GROUP STREAMS c STREAMS a >
2> BITFIELD b GET u8 0
2> BITOP AND a b
2> BITOP AND b a
2> LMPOP 2 a b LEFT
2> BLMPOP 0.01 2 a b LEFT
2> BZPOPMIN a b 0.01
2> OBJECT ENCODING b
2> MEMORY USAGE b
2> RENAME a b
2> RENAME b a
2> RESTORE b 0 x
2> DUMP b
2> EXISTS a b
2> TOUCH b
2> TYPE b
2> TTL b
2> WATCH b
2> PFCOUNT a b
2> XINFO STREAM b
2> XGROUP CREATE b g $
2> KEYS *
2> MIGRATE 127.0.0.1 1 b 0 10
2> MIGRATE 127.0.0.1 1 "" 0 10 KEYS a b
ACL DELUSER anna

# Reading every key allows SORT to look at any
ACL SETUSER anna on nopass %R~* ~a* +@all
2> AUTH anna x
RPUSH a 2 1
MSET b1 1 b2 0
2> SORT a BY b*
2> SORT a GET b*
2> SORT a GET b* STORE a3
2> SORT a GET b* STORE b3
ACL SETUSER anna reset on nopass ~a* +sort (%R~* +get)
2> SORT a BY b*
ACL DELUSER anna

# Transactions
ACL SETUSER anna on nopass ~a* +@all -@dangerous
2> AUTH anna x
2> MULTI
2> SET a 1
2> SET b 1
2> EXEC
2> MULTI
2> SET a 1
2> CONFIG GET maxmemory
2> EXEC
2> MULTI
2> SET a 1
2> GET a
2> INFO server
2> EXEC
2> GET a
2> MULTI
2> GET a
2> SET a 2
2> PUBLISH c m
2> EXEC
ACL SETUSER anna -multi
2> MULTI
ACL SETUSER anna +multi -exec
2> MULTI
2> GET a
2> EXEC
2> GET a
ACL DELUSER anna

# Rights that change before EXEC
ACL SETUSER anna on nopass ~a* &c +@all
2> AUTH anna x
2> MULTI
2> SET a 1
2> SET a2 2
2> GET a
2> PUBLISH c m
2> DBSIZE
2> ACL WHOAMI
ACL SETUSER anna resetkeys ~a resetchannels -acl
2> EXEC
ACL DELUSER anna

# Scripts
ACL SETUSER anna on nopass ~a* &c +@all -set -client
2> AUTH anna x
2> EVAL "return redis.call('GET', 'a')" 0
2> EVAL "return redis.call('GET', 'b')" 0
2> EVAL "return redis.pcall('GET', 'b')" 0
2> EVAL "return redis.call('SET', 'a', 1)" 0
2> EVAL "return redis.call('PUBLISH', 'd', 1)" 0
2> EVAL "return redis.pcall('SORT', 'a', 'BY', 'b*')" 0
2> EVAL "return {redis.acl_check_cmd('GET', 'a'), redis.acl_check_cmd('GET', 'b'), redis.acl_check_cmd('SET', 'a', 1)}" 0
2> EVAL "return {tostring(redis.acl_check_cmd('get', 'a')), tostring(redis.acl_check_cmd('get', 'b'))}" 0
2> EVAL "return redis.acl_check_cmd('NOSUCH')" 0
2> EVAL "return redis.acl_check_cmd('CONFIG', 'NOSUCH')" 0
2> EVAL "return {tostring(redis.acl_check_cmd('config')), tostring(redis.acl_check_cmd('client'))}" 0
2> EVAL "return {tostring(redis.acl_check_cmd('config', 'get')), tostring(redis.acl_check_cmd('client', 'id'))}" 0
2> EVAL "return redis.acl_check_cmd()" 0
2> EVAL "return redis.call('DEL', 'a', 'b')" 0
2> MULTI
2> EVAL "return redis.call('GET', 'b')" 0
2> EXEC
ACL DELUSER anna

# Channels that one may use
ACL SETUSER anna on nopass +@all ~* &ab* &cd
2> AUTH anna x
2> PUBLISH abc m
2> PUBLISH cd m
2> PUBLISH ce m
2> SPUBLISH ce m
2> SPUBLISH abc m
2> SUBSCRIBE abc ce
2> SUBSCRIBE abc
2> PSUBSCRIBE abc
2> PSUBSCRIBE ab*
2> PSUBSCRIBE *
2> SSUBSCRIBE ce
2> UNSUBSCRIBE anything
2> PUNSUBSCRIBE anything
ACL DELUSER anna

# DRYRUN
ACL SETUSER anna ~a* %R~r* %W~w* &c* +get +set +publish +subscribe +config|get
ACL DRYRUN anna GET a
ACL DRYRUN anna GET b
ACL DRYRUN anna get w
ACL DRYRUN anna SET r x
ACL DRYRUN anna DEL a
ACL DRYRUN anna PUBLISH c x
ACL DRYRUN anna PUBLISH d x
ACL DRYRUN anna SUBSCRIBE c d
ACL DRYRUN anna CONFIG GET x
ACL DRYRUN anna CONFIG SET x y
ACL DRYRUN anna config SET x y
ACL DRYRUN anna NOSUCH
ACL DRYRUN anna CONFIG NOSUCH
ACL DRYRUN anna CONFIG
ACL DRYRUN anna GET
ACL DRYRUN anna GET a b
ACL DRYRUN nobody GET a
ACL DRYRUN anna
ACL DRYRUN anna AUTH x
ACL DRYRUN default GET a
ACL DELUSER anna

# Categories
ACL CAT
ACL CAT nosuch
ACL CAT read write
ACL CAT ""

# GENPASS
ACL GENPASS
ACL GENPASS 5
ACL GENPASS 4096
ACL GENPASS 0
ACL GENPASS -5
ACL GENPASS 4097
ACL GENPASS x
ACL GENPASS 1 2

# Without a file nothing is loaded or saved
ACL SAVE
ACL LOAD
ACL SAVE x
ACL LOAD x

# Wrong numbers of arguments and unknown subcommands
ACL
ACL NOSUCH
ACL LIST x
ACL USERS x
ACL WHOAMI x
ACL GETUSER a b
ACL HELP
ACL HELP x
ACL LOG x
ACL LOG 1 2

# The log of what was denied
ACL LOG RESET
ACL LOG
ACL SETUSER anna on >secret ~a* &c +get +publish +eval +multi +exec
2> AUTH anna wrong
2> HELLO 3 AUTH anna wrong
2> AUTH nobody wrong
2> AUTH anna secret
2> GET b
2> GET b
2> GET c
2> SET a 1
2> set a 1
2> CONFIG GET x
2> PUBLISH d m
2> EVAL "return redis.pcall('GET', 'b')" 0
2> EVAL "return redis.pcall('SET', 'a', 1)" 0
2> MULTI
2> GET b
2> EXEC
ACL LOG
ACL LOG 2
ACL LOG 0
ACL LOG -1
ACL LOG RESET
ACL LOG
ACL DELUSER anna

# Clients of a user
ACL SETUSER anna on nopass +@all
2> AUTH anna x
CLIENT KILL USER nobody
CLIENT KILL USER anna
2> PING
ACL DELUSER anna

# Who is deleted is cut
ACL SETUSER anna on nopass +@all
2> AUTH anna x
2> PING
2> ACL DELUSER anna
2> PING
3> PING
ACL SETUSER anna on nopass +@all
3> AUTH anna x
ACL DELUSER anna
ACL SETUSER anna on nopass +@all
3> PING
ACL DELUSER anna
"""
