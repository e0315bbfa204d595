# SPDX-License-Identifier: Apache-2.0
"""Measurements that are made by hand; what they found lies under results/."""
