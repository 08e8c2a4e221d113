"""What the package icd10-coder finds for given mentions; scripts/bench_icd.py runs this with .venv-bench-icd's Python.

    .venv-bench-icd/bin/python scripts/icd10_coder_worker.py LIMIT <mentions.jsonl >codes.jsonl

Runs in an environment of its own (requirements/bench-icd.lock) and imports nothing of ours. Reads ``{"mention"}`` a
line and writes ``{"codes"}`` a line, the codes with their dots, best first, LIMIT at most: its search for diagnoses as
it is (exact title, phrase, all words, any words, each by SQLite's full-text rank), billable codes and categories alike.
"""

import json
import sys

# Does not belong to the environment that checks types.
from icd10_coder.coder import CM_DB, cm_search, get_conn  # type: ignore[import-not-found]


def main() -> None:
    """Answer every line of the input, in its order."""
    connection = get_conn(CM_DB)
    limit = int(sys.argv[1])
    for line in sys.stdin:
        rows = cm_search(connection, json.loads(line)["mention"], limit=limit)
        print(json.dumps({"codes": [code for code, _, _ in rows]}))


if __name__ == "__main__":
    main()
