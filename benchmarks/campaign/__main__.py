from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from pathlib import Path

import joblib

from benchmarks.campaign.checks import check_case
from benchmarks.campaign.workspaces import make_case


def one(seed, k, n):
    return check_case(make_case(seed, k), n, seed)

p = argparse.ArgumentParser()
p.add_argument("--models", type=int, default=300)
p.add_argument("--first", type=int, default=0)
p.add_argument("--starts", type=int, default=200)
p.add_argument("--seed", type=int, default=0)
p.add_argument("--json", type=Path)
a = p.parse_args()
status, compared, missed, missfam, faults = Counter(), Counter(), Counter(), Counter(), Counter()
misses, bad = [], []
t0 = time.time()
for k in range(a.first, a.first + a.models):
    r = one(a.seed, k, a.starts)
    status += r.statuses; compared += r.compared
    for m in r.misses:
        missed[m["kind"]] += 1; missfam[m["family"]] += 1; misses.append(m)
        print(k, m["family"], m["interpolation"], m["kind"], m["found"] - m["lowest"], m.get("statistic"), m.get("right_statistic"), flush=True)
    for f in r.faults:
        faults[f["fault"], f["kind"]] += 1; bad.append(f)
        print(k, f["family"], f["interpolation"], "FAULT", {x: y for x, y in f.items() if x not in ("workspace", "data", "family", "interpolation")}, flush=True)
    if a.json: a.json.write_text(json.dumps({"misses": misses, "faults": bad}))
print(time.time() - t0)
for x, y in sorted(status.items()): print(*x, y)
for x, y in sorted(compared.items()): print(x, y, missed[x])
print(missfam); print(faults)
