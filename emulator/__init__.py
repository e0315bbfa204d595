# SPDX-License-Identifier: Apache-2.0
"""Compute Engine on one machine: for the demo and the tests, never part of the collection."""
