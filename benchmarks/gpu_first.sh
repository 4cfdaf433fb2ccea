#!/usr/bin/env bash
# First checks on a GPU, 10 minutes at most, each with its own time limit.
#
#     benchmarks/gpu_first.sh [FOLDER]      into FOLDER, else $OUT, else results/gpu_first
#
# PYTHON names the interpreter (else that of .venv, else python3); scalesearch need not be
# installed for it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

python=${PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    [ -x .venv/bin/python ] && python=.venv/bin/python
fi
out=${1:-${OUT:-results/gpu_first}}
mkdir -p "$out" || exit 2
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

limited() { # SECONDS NAME COMMAND...
    local limit=$1 name=$2 started=$SECONDS status
    shift 2
    timeout -k 5 "$limit" "$@" > "$out/$name.txt" 2>&1
    status=$?
    echo "== $name: status $status, $((SECONDS - started)) s"
    tail -n "${LINES_SHOWN:-6}" "$out/$name.txt" | cut -c1-400
}
part() { # SECONDS NAME PART...
    local limit=$1 name=$2
    shift 2
    limited "$limit" "$name" "$python" benchmarks/gpu_first.py "$@" --out "$out"
}

small=(efficientnet_b0 --width 0.25 --depth 0.5 --resolution 32 --data digits)
nvidia-smi --query-gpu=name,driver_version,memory.used --format=csv,noheader
part 60 1_equal env equal
part 80 2_steps steps
part 40 3_kernels kernels
part 60 4_together together
part 30 5_start start
part 50 6_stacked stacked
mapfile -t files < <(grep -rl 'mark\.gpu' tests --include='test_*.py' | sort)
LINES_SHOWN=25 limited 150 7_tests "$python" -m pytest -m gpu -q -p no:cacheprovider --tb=line \
    --durations=8 --junitxml="$out/tests.xml" "${files[@]}"
limited 25 8_doctor "$python" -m scalesearch doctor
limited 25 9_torchrun "$python" -m torch.distributed.run --nproc-per-node 1 \
    -m scalesearch train "${small[@]}" --set epochs=1 --out "$work/torchrun"
limited 25 10_train "$python" -m scalesearch train "${small[@]}" --set epochs=2 --seeds 3 \
    --together --out "$work/seeds"
limited 25 11_bench "$python" -m scalesearch bench efficientnet_b0 --batch 1,64 --device cuda \
    --seconds 0.3 --anyway
