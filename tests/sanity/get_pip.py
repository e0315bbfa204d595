# SPDX-License-Identifier: Apache-2.0
"""What ansible-test runs to have pip in a new environment, in place of a script from its own site.

Takes the pip that Python brings, so that only the package index must be within reach.
"""

import ensurepip

ensurepip.bootstrap()
