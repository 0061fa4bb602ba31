"""COMMANDLOG, which Valkey alone has, but for what differs from run to run."""

CASES = r"""
# COMMANDLOG wants a number and a type
% only valkey9
COMMANDLOG
COMMANDLOG GET
COMMANDLOG GET 1
COMMANDLOG GET 1 x
COMMANDLOG GET x slow
COMMANDLOG GET -2 slow
COMMANDLOG GET 1 2 3
COMMANDLOG GET 0 slow
COMMANDLOG GET 0 Large-Request
COMMANDLOG LEN
COMMANDLOG LEN x
COMMANDLOG LEN slow x
COMMANDLOG RESET
COMMANDLOG RESET x
COMMANDLOG RESET slow
COMMANDLOG RESET LARGE-REPLY
COMMANDLOG NOSUCH

# Large requests and replies are logged from their directives' sizes on
% only valkey9
CONFIG SET commandlog-request-larger-than 100 commandlog-reply-larger-than 200
COMMANDLOG RESET large-request
COMMANDLOG RESET large-reply
SET k *{x,150}
SET k2 *{x,50}
GET k
MGET k k2
ECHO *{y,300}
PING *{z,90}
LRANGE k 0 -1
COMMANDLOG LEN large-request
COMMANDLOG LEN large-reply
CONFIG SET commandlog-large-request-max-len 1
PING *{z,90}
COMMANDLOG LEN large-request
CONFIG SET commandlog-large-request-max-len 128 commandlog-request-larger-than -1
PING *{z,90}
COMMANDLOG LEN large-request
CONFIG SET commandlog-request-larger-than 1048576 commandlog-reply-larger-than 1048576
"""
