# SPDX-License-Identifier: Apache-2.0
"""What NVIDIA's driver says of the GPUs, for Prometheus, under the names of NVIDIA's DCGM."""
