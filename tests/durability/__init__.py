"""What is on disk: snapshots, what is loaded of them, and what bad luck may do to both."""
