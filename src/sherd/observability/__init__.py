"""What an operator sees of a running server: logs, metrics, health.

# Layout
- `node`: one running server as all others here know it
- `snapshot`: one picture of it, which INFO and the metrics page both read; `process`: what the system adds to that
- `info`: INFO's sections and text; `info_table`: its fields
- `exporter`: the metrics page and the health checks; `metrics_table`: its series; `exposition`: their text
- `page_server`: HTTP for a few pages; `page_access`: TLS and the password for them
- `histogram`: percentiles of latencies; `sampler`: rates of the last moments; `sparkline`: graphs of text
- `replication`, `loading`: what is told of a server's place among others, and of how far loading has come
- `logs`: structlog for both planes
"""
