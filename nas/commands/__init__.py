"""The command line: one file a command, the object graph they share, and progress displays."""
