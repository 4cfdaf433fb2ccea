#!/usr/bin/env bash
# All that needs a GPU, in one command: the tests marked gpu, then the training benchmark.
#
#     benchmarks/gpu.sh [FOLDER]      into FOLDER, else $OUT, else results/gpu
#
# PYTHON names the interpreter (else that of .venv, else python3); scalesearch has not to be
# installed for it. MINUTES is the benchmark's time (4; compilation comes on top); 0 leaves it out.
# Writes device.txt, tests.txt, tests.xml, benchmark.txt, training-cuda.json and its figures.
# Fails where a test or the benchmark fails, and where there is no GPU.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    [ -x .venv/bin/python ] && python=.venv/bin/python
fi
out=${1:-${OUT:-results/gpu}}
mkdir -p "$out" || exit 2
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

"$python" - <<'PROGRAM' | tee "$out/device.txt" || exit 2
import sys

import torch

if not torch.cuda.is_available():
    sys.exit("gpu.sh: need a CUDA device, and torch sees none")
for place in range(torch.cuda.device_count()):
    print(torch.cuda.get_device_properties(place))
print(f"torch {torch.__version__}, CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}")
PROGRAM

failed=0
mapfile -t files < <(grep -rl 'mark\.gpu' tests --include='test_*.py' | sort)
"$python" -m pytest -m gpu --durations=15 --junitxml="$out/tests.xml" "${files[@]}" 2>&1 |
    tee "$out/tests.txt" || failed=1

if [ "${MINUTES:-4}" != 0 ]; then
    "$python" benchmarks/training.py --device cuda --minutes "${MINUTES:-4}" --out "$out" 2>&1 |
        tee "$out/benchmark.txt" || failed=1
fi
exit "$failed"
