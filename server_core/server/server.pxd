# No class here is one in C: a server is one object, which tests and workers look into. Its methods are compiled all the same.
