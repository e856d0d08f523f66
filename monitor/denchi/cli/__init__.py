"""The command line, one module a command. Nothing is imported before its command is asked for."""
