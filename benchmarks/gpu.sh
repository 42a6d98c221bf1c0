#!/usr/bin/env bash
# Correctness and speed on one GPU, in at most nine minutes.
#
#   benchmarks/gpu.sh                     # all parts, into $OUT or runs/gpu
#   benchmarks/gpu.sh --out=DIR --parts=correctness,latency
#   benchmarks/gpu.sh --tiny              # every part on a CPU, in a minute
#
# Leaves gpu.json and gpu.md there, and a log of each part. A part is a process
# with a time limit of its own; one that fails or is stopped is a row that says
# so, and the next one begins. Needs no network: jax, flax, optax, numpy and
# jaxtyping, and PyTorch and scikit-learn to compare with. Another Python than
# .venv/bin/python or python3: PYTHON=... benchmarks/gpu.sh
#
# Exit codes: 0, and 1 if a part failed or was stopped; 2 for something for you
# to change, in one sentence.
set -uo pipefail
cd "$(dirname "$0")/.."

tiny=no
needs_gpu=yes
out=${OUT:-runs/gpu}
wanted=
budget=${GPU_BUDGET:-540}
for argument in "$@"; do
  case $argument in
    --tiny) tiny=yes needs_gpu=no ;;
    --out=*) out=${argument#*=} ;;
    --parts=*) wanted=,${argument#*=}, ;;
    *)
      echo "error: $argument is no option: use --tiny, --out=DIR or --parts=a,b" >&2
      exit 2
      ;;
  esac
done
if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  [ -x .venv/bin/python ] && PYTHON=.venv/bin/python
fi
if ! command -v "$PYTHON" > /dev/null; then
  echo "error: there is no $PYTHON: name a Python with jax in PYTHON" >&2
  exit 2
fi

export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export GLIBC_TUNABLES=${GLIBC_TUNABLES-glibc.malloc.hugetlb=1}
# Several processes share the device.
export XLA_PYTHON_CLIENT_PREALLOCATE=false
if [ "$tiny" = yes ]; then
  export JAX_PLATFORMS=cpu
  # Compiles in half the time what runs but once.
  export XLA_FLAGS="${XLA_FLAGS:+$XLA_FLAGS }--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
fi

if ! mkdir -p "$out"; then
  echo "error: $out cannot be made: name another folder with --out" >&2
  exit 2
fi
rm -f "$out"/{machine,gpu}.json "$out"/gpu.md "$out"/parts.tsv
"$PYTHON" -m benchmarks.gpu.machine --json="$out/machine.json" \
  --needs_gpu=$needs_gpu || exit 2

# part NAME SECONDS MODULE [ARGUMENT...]: what it prints goes to a log, its rows
# to NAME.json, how it ended to a line of parts.tsv. READY among the arguments is
# 20 seconds less than it has.
part() {
  local name=$1 limit=$2 module=$3
  shift 3
  [ -n "$wanted" ] && [[ $wanted != *,$name,* ]] && return
  # The last ten seconds are the report's.
  local left=$((budget - SECONDS - 10)) started=$SECONDS code
  if [ $left -lt 45 ]; then
    printf '%s\t%s\t%s\t%s\n' "$name" budget 0 "$limit" >> "$out/parts.tsv"
    return
  fi
  [ $limit -gt $left ] && limit=$left
  echo "$name: at most $limit s"
  rm -f "$out/$name.json"
  timeout --kill-after=5 "$limit" "$PYTHON" -m "$module" \
    --json="$out/$name.json" "${@//READY/$((limit - 20))}" \
    > "$out/$name.log" 2>&1
  code=$?
  printf '%s\t%s\t%s\t%s\n' "$name" $code $((SECONDS - started)) "$limit" \
    >> "$out/parts.tsv"
}

# train NETWORK PHASE DTYPE SECONDS
train() {
  local sizes=(--image_size=256,512 --width=1 --rounds=6 --steps=5)
  if [ "$tiny" = yes ]; then
    # torch.compile needs minutes on a CPU, and a C++ compiler.
    sizes=(--image_size=32,64 --width=0.05 --head_width=16 --batch_size=2
      --rounds=1 --steps=1 --peak_side=128
      --contenders=jax,torch,torch-channels_last --left_out=torch-compile)
  fi
  part "train-$1-$3" "$4" benchmarks.train_step --network="$1" --phases="$2" \
    --dtype="$3" --together --limit=READY "${sizes[@]}"
}

if [ "$tiny" = yes ]; then
  part correctness 120 benchmarks.gpu.correctness --programs=fcn8
  part latency 120 benchmarks.gpu.latency --image_size=32,64 --width=0.05 \
    --batches=1 --dtypes=float32 --repeats=2
  part metrics 120 benchmarks.failure_metrics --pixels=20000 --batch=10000 \
    --repeats=1 --peer_repeats=1
  train fcn8 1 float32 120
else
  part correctness 110 benchmarks.gpu.correctness
  part latency 90 benchmarks.gpu.latency
  part metrics 60 benchmarks.failure_metrics --pixels=10000000 --repeats=3 \
    --peer_repeats=1
  # Every network first: what the budget does not reach is told.
  train fcn8 2 bfloat16 90
  train deeplab_v2 2 bfloat16 130
  train fcn8 2 float32 90
  train unet 1 bfloat16 70
  train efficientnet_unet 1 bfloat16 70
  train deeplab_v2 2 float32 130
  train unet 1 float32 70
  train efficientnet_unet 1 float32 70
fi

"$PYTHON" -m benchmarks.gpu.report "$out"
