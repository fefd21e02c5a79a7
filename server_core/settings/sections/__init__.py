"""The sections of the server half of the declaration: each is a module, and one base of ServerSettings."""
