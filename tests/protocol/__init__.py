"""The wire itself: well-formed requests in every cut, hostile ones, and the limits that protect the server."""
