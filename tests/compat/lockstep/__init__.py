"""Random conversations of several connections, one step at a time, with Sherd and with the references.

# Layout

- `session`: holds a conversation with a server and collects what every connection is sent at each step
- `likeness`: what is taken for the same: times, ids, and the order of what has none
- `generator`: random steps, by topics; `data_steps` and `client_steps` are what they are made of
- `search`: compares, shrinks what differs, and looks for more as a program:
  `python -m tests.compat.lockstep.search --steps 100000`
"""
