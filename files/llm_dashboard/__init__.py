# SPDX-License-Identifier: Apache-2.0
"""One page that shows how the server on this host is: a service of its own.

It runs on the host's own Python (3.10 and newer) with the distribution's packages, so that it lives
while a release of vLLM is replaced, and when the engine hangs.
"""
