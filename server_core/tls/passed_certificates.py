"""The certificates that a master passes on to its workers: copies behind inherited descriptors (contract/spec.py)."""

from __future__ import annotations

from server_core.contract.spec import WorkerSpec
from server_core.errors import ContractError
from server_core.tls.context import Contexts, contexts
from server_core.tls.files import TlsFiles


def read(spec: WorkerSpec) -> Contexts | None:
    """What the copies hold; None if there are none, and files must be read where the settings name them.

    Closes nothing. TlsError (UsageError) if they cannot be used, ContractError if there is not one for each file.
    """
    if not spec.tls_fds:
        return None
    try:
        files = TlsFiles.of(spec.settings, spec.tls_fds)
    except ValueError as error:
        raise ContractError(
            f"spec: tls_fds must be one for each file that the settings of TLS name: {error}"
        ) from error
    return contexts(spec.settings, files)
