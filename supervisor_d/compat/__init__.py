"""The command lines, configuration files and Python calls of other servers, as settings of ours."""
