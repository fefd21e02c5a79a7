# No class here is one in C: they are one object a server, which tests look into. Its methods are compiled all the same.
