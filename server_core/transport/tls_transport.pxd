# No class here is one in C: attributes come and go (del). Its methods are compiled all the same.
