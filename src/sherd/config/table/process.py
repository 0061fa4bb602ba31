"""The process: directories, logs, signals, supervision, CPUs, and what the operating system is told."""

from __future__ import annotations

import string

from sherd.config.kinds import INT_MAX, LONG_MAX, Enumeration, Flags, Integer
from sherd.config.parameter import ConfigParam, boolean, choice, integer, text
from sherd.config.special_kinds import Directory, Modules, OomScores

_TITLE_FIELDS = {"title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"}
_FACILITIES = "user local0 local1 local2 local3 local4 local5 local6 local7"
_SHUTDOWN = ("default", "save", "nosave", "now", "force")


def _title_reason(template: str) -> str | None:
    try:
        fields = {name for _, name, _, _ in string.Formatter().parse(template) if name is not None}
    except ValueError:
        fields = {""}
    if not template or not fields <= _TITLE_FIELDS:
        return "template format is invalid or contains unknown variables"
    return None


def _shutdown_reason(names: frozenset[str]) -> str | None:
    if {"save", "nosave"} <= names:
        return "shutdown options SAVE and NOSAVE can't be used simultaneously"
    return None


PARAMETERS = (
    ConfigParam("dir", Directory(), ".", "Directory of the files with data.", protected=True),
    boolean("daemonize", False, "Go into the background after the start.", immutable=True),
    text("pidfile", "", "File that holds the process id while the server runs.", immutable=True),
    choice("supervised", "upstart systemd auto no", "no", "Tell a supervisor when the server is ready.",
           immutable=True),
    choice("loglevel", "debug verbose notice warning nothing", "notice", "Least severe log lines that are written."),
    text("logfile", "", "File that the log is appended to; an empty name logs to the standard output.",
         immutable=True),
    ConfigParam(
        "log-format", Enumeration(("console", "json", "logfmt"), {"legacy": "console"}), "console",
        "Form of the log lines: readable, one JSON object a line, or key=value pairs.",
    ),
    choice("log-timestamp-format", "iso8601 legacy milliseconds", "iso8601", "Form of the time in log lines."),
    boolean("hide-user-data-from-log", True, "Keep keys, values and arguments of clients out of the log.", inert=True),
    boolean("syslog-enabled", False, "Send the log to syslog as well.", immutable=True),
    text("syslog-ident", "sherd", "Name that the server has in syslog.", immutable=True),
    choice("syslog-facility", _FACILITIES, "local0", "Facility that syslog lines are sent under.", immutable=True),
    boolean("crash-log-enabled", True, "Log a report when the server crashes.", inert=True),
    boolean("crash-memcheck-enabled", True, "Test the memory after a crash.", inert=True),
    boolean("always-show-logo", False, "Show a logo at start; Sherd has none.", immutable=True, inert=True),
    boolean("set-proc-title", True, "Show addresses and mode in the process title.", immutable=True, inert=True),
    text("proc-title-template", "{title} {listen-addr} {server-mode}", "Form of the process title.", _title_reason,
         inert=True),
    text("locale-collate", "", "Locale that strings are compared under; only byte order exists here.",
         lambda name: None if name in ("", "C", "POSIX") else "Invalid locale name", inert=True),
    ConfigParam("shutdown-on-sigint", Flags(_SHUTDOWN, _shutdown_reason), (),
                "How SIGINT shuts the server down, in the words of SHUTDOWN."),
    ConfigParam("shutdown-on-sigterm", Flags(_SHUTDOWN, _shutdown_reason), (),
                "How SIGTERM shuts the server down, in the words of SHUTDOWN."),
    integer("shutdown-timeout", (0, INT_MAX), 10, "Seconds that a shutdown waits for replicas to catch up."),
    ConfigParam(
        "hz", Integer(0, INT_MAX, clamp=(1, 500)), 10, "Rounds a second of background work such as active expiry.",
    ),
    boolean("dynamic-hz", True, "Do background work more often while many clients are connected.", inert=True),
    choice("oom-score-adj", "no yes relative absolute", "no",
           "Tell the kernel which processes to end first when memory runs out.", capability="OOM score adjustment"),
    ConfigParam("oom-score-adj-values", OomScores(), (0, 200, 800),
                "Scores for the kernel's choice: as primary, as replica, for background work.", inert=True),
    boolean("disable-thp", True, "Let the kernel give the process no huge pages by its own choice.", immutable=True),
    boolean("gather-huge-pages", True,
            "Gather memory that is in use in huge pages, in the background, unless the system has them turned off.",
            immutable=True),
    text("server-cpulist", "", "CPUs of the main threads; let the container or taskset pin instead.",
         aliases=("server_cpulist",), immutable=True, inert=True),
    text("bio-cpulist", "", "CPUs of the background threads.", aliases=("bio_cpulist",), immutable=True, inert=True),
    text("aof-rewrite-cpulist", "", "CPUs of the append-only file rewrite.", aliases=("aof_rewrite_cpulist",),
         immutable=True, inert=True),
    text("bgsave-cpulist", "", "CPUs of the background save.", aliases=("bgsave_cpulist",), immutable=True,
         inert=True),
    ConfigParam("python-commands", Modules(), (), "Modules or files that declare commands in Python.", immutable=True),
    integer("python-command-threads", (0, 64), 0,
            "Threads that execute commands in Python; 0 is one, or one a shard where Python has no lock.",
            immutable=True),
    integer("python-command-timeout-ms", (0, LONG_MAX), 5000,
            "Milliseconds after which the client of a command in Python gets an error; 0 is no limit."),
    text("lua-library", "", "Shared library with Lua 5.1 that scripts run in; empty is lupa's, or else the system's.",
         immutable=True),
    text("ignore-warnings", "", "Start-up checks that may fail, by name.", inert=True),
    text("availability-zone", "", "Zone that the node tells its clients."),
)  # fmt: skip
