# SPDX-License-Identifier: Apache-2.0
"""One page that shows how the server on this host is: a service of its own.

It runs on the host's own Python (3.10 and newer) with the distribution's packages, so that it lives
while a release of vLLM is replaced, and when the engine hangs.
"""

import collections
import collections.abc

# Ubuntu 22.04's pygal imports a name that its Python has no more.
if not hasattr(collections, "Iterable"):
    collections.Iterable = collections.abc.Iterable  # type: ignore[attr-defined]
