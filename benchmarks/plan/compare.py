# SPDX-License-Identifier: Apache-2.0
"""Compare what was measured with what prepare.py wrote down before.

usage: compare.py RUNS.json OUT.jsonl...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def main() -> int:
    """Entry point; the exit status is how many runs were not as expected."""
    runs = json.loads(Path(sys.argv[1]).read_text())["runs"]
    wrong = 0
    print("| shape | GPUs | arguments | tokens, vLLM | plan | | expected | vLLM |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in sys.argv[2:]:
        for line in Path(name).read_text().splitlines():
            found = json.loads(line)
            if "run" not in found or "skipped" in found:
                continue
            run = runs[found["run"]]
            started = "starts" if found.get("started") is not False else "refused"
            tokens, planned = found.get("kv_tokens"), run["plan"]["kv_tokens"]
            near = run["arguments"]["gpu_memory_utilization"] < 0.5
            off = planned / tokens - 1 if tokens and not near else None
            wrong += started != run["expected"] or (off is not None and abs(off) > 0.05)
            shown = {
                key: value
                for key, value in run["arguments"].items()
                if key in {"max_model_len", "max_num_seqs", "gpu_memory_utilization"}
            }
            print(
                f"| {run['model']} | {run['gpus']} | {shown} | {tokens} | {planned} "
                f"| {'' if off is None else f'{off:+.2%}'} | {run['expected']} | {started} |"
            )
            if started == "refused":
                print(f"  {str(found.get('error'))[:200]}", file=sys.stderr)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
