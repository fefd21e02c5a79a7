"""Which user and groups workers are to have, from `user` and `group` and the machine's user database."""

from __future__ import annotations

import grp
import os
import pwd

from server_core.records import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """What a process is: its user, group, supplementary groups (the group among them), and its home."""

    user: str
    """The name, or the number where the user database has none."""
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @property
    def is_ours(self) -> bool:
        """Whether this process is that already, so that there is nothing to become."""
        ours = (os.geteuid(), os.getegid(), frozenset((*os.getgroups(), os.getegid())))
        return ours == (self.uid, self.gid, frozenset(self.groups))

    def __str__(self) -> str:
        name = "" if self.user == str(self.uid) else f"{self.user}, "
        return f"{name}uid {self.uid}, gid {self.gid}, groups {' '.join(map(str, self.groups))}"


class UnknownIdentity(ValueError):
    """A user or a group that there is not, or that cannot be had: `setting` says which of the two is wrong."""

    def __init__(self, setting: str, what: str) -> None:
        super().__init__(what)
        self.setting = setting


def identity_of(user: str, group: str) -> Identity | None:
    """What workers are to be, None if they are to be what the master is. Raises UnknownIdentity."""
    if not user:
        if group:
            raise UnknownIdentity("group", "is given without user, and workers would stay root; give user, too")
        return None
    entry = _user(user)
    if entry is None and not group:
        raise UnknownIdentity("user", f"{user} is not in the user database, and so has no group; give group, too")
    gid = _group(group) if group else entry.pw_gid if entry is not None else 0
    if entry is None:
        return Identity(user, int(user), gid, (gid,), "/")
    # As initgroups(3): without these it would have root's own groups, or none of those it has elsewhere.
    groups = tuple(sorted(set(os.getgrouplist(entry.pw_name, gid))))
    return Identity(entry.pw_name, entry.pw_uid, gid, groups, entry.pw_dir)


def identity_problem(user: str, group: str) -> tuple[str, str] | None:
    """The one of both settings that is wrong here, and what is; None if workers can be that."""
    try:
        identity = identity_of(user, group)
    except UnknownIdentity as error:
        return error.setting, str(error)
    if identity is None or os.geteuid() == 0 or identity.is_ours:
        return None
    return "user", f"only root can start workers as {identity}, and this is uid {os.geteuid()}; start it as root"


def own_identity() -> Identity:
    """What this process is."""
    uid, gid = os.geteuid(), os.getegid()
    try:
        entry = pwd.getpwuid(uid)
        name, home = entry.pw_name, entry.pw_dir
    except KeyError:
        name, home = str(uid), "/"
    return Identity(name, uid, gid, tuple(sorted({*os.getgroups(), gid})), home)


def _user(user: str) -> pwd.struct_passwd | None:
    """The entry; None for a number that has none."""
    try:
        return pwd.getpwuid(_number(user, "user")) if user.isdigit() else pwd.getpwnam(user)
    except KeyError:
        if user.isdigit():
            return None
        raise UnknownIdentity("user", f"there is no user called {user!r} here") from None


def _group(group: str) -> int:
    if group.isdigit():
        return _number(group, "group")
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise UnknownIdentity("group", f"there is no group called {group!r} here") from None


NUMBER_MAX = 2**32 - 2
"""The next one is -1, which means "leave it as it is" to setresuid(2)."""


def _number(text: str, setting: str) -> int:
    if not text.isascii() or len(text) > 10 or int(text) > NUMBER_MAX:
        raise UnknownIdentity(setting, f"must be a name or a number up to {NUMBER_MAX}, not {text!r}")
    return int(text)
