"""Passwords, users, protected commands and TLS."""

from __future__ import annotations

from sherd.config.kinds import INT_MAX, LONG_MAX, Enumeration
from sherd.config.parameter import ConfigParam, boolean, choice, integer, text

_LOCALITY = "no yes local"

PARAMETERS = (
    text("requirepass", "", "Password of the default user; empty means that none is asked for.", sensitive=True),
    text("aclfile", "", "File that the users are loaded from and saved to.", immutable=True),
    choice("acl-pubsub-default", "allchannels resetchannels", "resetchannels",
           "Channels that a new user may use before any rule."),
    integer("acllog-max-len", (0, LONG_MAX), 128, "Entries that ACL LOG keeps."),
    choice("enable-protected-configs", _LOCALITY, "no", "Who may set protected parameters with CONFIG SET.",
           immutable=True),
    choice("enable-debug-command", _LOCALITY, "no", "Who may use DEBUG.", immutable=True),
    choice("enable-module-command", _LOCALITY, "no", "Who may use MODULE LOAD; modules do not exist here.",
           immutable=True, inert=True),
    integer("busy-reply-threshold", (0, LONG_MAX), 5000,
            "Milliseconds after which a running script makes other commands answer BUSY.",
            aliases=("lua-time-limit",)),
    choice("sanitize-dump-payload", "no yes clients", "no",
           "Whether RESTORE checks payloads fully; here it always does.", inert=True),
    boolean("extended-redis-compatibility", False, "Name the server 'redis' to clients that ask.", inert=True),
    integer("tls-port", (0, 65535), 0, "TCP port for TLS clients; 0 turns TLS off."),
    text("tls-cert-file", "", "Certificate of the server, in PEM."),
    text("tls-key-file", "", "Private key of the server, in PEM."),
    text("tls-key-file-pass", "", "Password of the private key.", sensitive=True),
    text("tls-client-cert-file", "", "Certificate that other servers are shown, in PEM; empty is that of the server."),
    text("tls-client-key-file", "", "Private key for links to other servers, in PEM."),
    text("tls-client-key-file-pass", "", "Password of the private key for links to other servers.", sensitive=True),
    text("tls-dh-params-file", "", "Diffie-Hellman parameters for old protocols.", inert=True),
    text("tls-ca-cert-file", "", "Certificates that clients and other servers are checked against, in PEM."),
    text("tls-ca-cert-dir", "", "Directory of certificates that clients and other servers are checked against."),
    choice("tls-auth-clients", "no yes optional", "yes", "Whether clients must show a certificate."),
    ConfigParam("tls-auth-clients-user", Enumeration(("off", "CN", "URI"), {"cn": "CN", "uri": "URI"}), "off",
                "Field of a client's certificate that names its user."),
    integer("tls-auto-reload-interval", (0, INT_MAX), 0, "Seconds between looks for renewed certificates; 0 never."),
    boolean("tls-replication", False, "Follow primaries over TLS, by their TLS port."),
    boolean("tls-cluster", False, "Move keys to other servers (MIGRATE) over TLS, by their TLS port."),
    text("tls-protocols", "", "TLS versions that are allowed."),
    text("tls-ciphers", "", "Ciphers for TLS up to 1.2."),
    text("tls-ciphersuites", "", "Cipher suites for TLS 1.3."),
    boolean("tls-prefer-server-ciphers", False, "Prefer the server's order of ciphers."),
    boolean("tls-session-caching", True, "Let clients resume TLS sessions."),
    integer("tls-session-cache-size", (0, INT_MAX), 20480, "TLS sessions that are remembered; 0 sets no limit."),
    integer("tls-session-cache-timeout", (0, INT_MAX), 300, "Seconds that a TLS session is remembered.", inert=True),
)  # fmt: skip
