"""Commands in Python: what modules declare, loaded into a server and executed by threads of their own.

# Layout
- `declare`: `@sherd.command`, `@sherd.every`, `@sherd.on`: declarations stay with their functions
- `signature`: arguments of clients as the parameters of a function
- `specification`: a declared command as the data plane's command table has it
- `sources`: modules and files, loaded and loaded again
- `manager`: what one server has loaded, its threads, its jobs

The data plane executes what a command calls (`native/src/extensions`), and looks after deadlines.
"""
