"""The USB lab: a throw-away Linux guest that shares this machine's files, with emulated devices plugged in."""
