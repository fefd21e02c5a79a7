# No class here is one in C: it is one object a worker. Its methods are compiled all the same.
