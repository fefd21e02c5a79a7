# No class here is one in C: a transport has Python's base classes. Its methods are compiled all the same.
