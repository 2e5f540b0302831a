"""`merge`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from recurra.cli.app import app


@app.command
def merge(
    adapter: str,
    *,
    base: Annotated[
        str | None, Parameter(help="folder of the model that it was trained on; none: where it was")
    ] = None,
    backward: Annotated[str | None, Parameter(help="the same of the one that reads backward, if there is one")] = None,
    out: Annotated[str, Parameter(help="folder for the model")],
) -> None:
    """Write an adapter and its base as one plain model, which needs neither of them any more.

    Args:
        adapter: folder `adapter` of a fine-tuning.
        base: folder of the model that it was trained on.
        backward: folder of the one that reads backward.
        out: folder for the model.
    """
    from recurra.cli.running import named_folder
    from recurra.core.errors import ConfigError
    from recurra.runs import load
    from recurra.runs.adapter import require_adapter
    from recurra.runs.folder import require_free

    if backward is not None and base is None:
        raise ConfigError("--backward is given without --base: name both models, or neither.")
    require_free(named_folder(out))
    require_adapter(adapter)
    bases = [folder for folder in (base, backward) if folder is not None]
    load(adapter, base=bases or None).save(out)
    print(out)
