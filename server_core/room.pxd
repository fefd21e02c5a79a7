# No class here is one in C: it is one object a server. Its methods are compiled all the same.
