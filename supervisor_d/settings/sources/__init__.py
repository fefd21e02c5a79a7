"""Where values come from: files, variables and the names of other servers."""
