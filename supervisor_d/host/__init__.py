"""How it is done here: spawn, reap, sockets, pipes, signals; effects without judgement."""
