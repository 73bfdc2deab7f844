#!/usr/bin/env bash
# How a sweep's cost grows: `bash benches/scaling.sh [FOLDER]`, after `cargo build --release`. Prints the rows of docs/scaling.md.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
work=${1:-$(mktemp -d)}
requant=$root/target/release/requant
mkdir -p "$work/experiments" && cd "$work"
cp "$root/experiments/digits.toml" experiments/ && cp -r "$root/experiments/models" experiments/ 2>/dev/null || true

# sweep NAME SEEDS CALIBRATION EVALUATION ROUNDS
sweep() {
    cat > "experiments/$1.toml" <<TOML
schema = 1
name = "$1"
[sweep]
base = "digits.toml"
[sweep.set]
calibration.strategy = "stratified"
calibration.samples = $3
evaluation.strategy = "first"
evaluation.samples = $4
benchmark.rounds = $5
benchmark.processes = 1
[sweep.cross]
calibration.seed = "1..=$2"
TOML
}
# wall seconds of a command, with its own output aside
wall() { local t0=$EPOCHREALTIME; "$@" > out.txt 2>&1 || true; awk -v a="$t0" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'; }

echo "points, seconds, per point, gather, status, bytes per point"
for n in 1 4 16 64; do
    sweep "points-$n" "$n" 64 200 4
    run=$(wall "$requant" sweep "experiments/points-$n.toml")
    gather=$(wall "$requant" sweep gather "points-$n")
    status=$(wall "$requant" sweep status "points-$n")
    bytes=$(du -sb "results/points-$n" | cut -f1)
    awk -v n="$n" -v r="$run" -v g="$gather" -v s="$status" -v b="$bytes" \
        'BEGIN { printf "%d, %.1f, %.2f, %.2f, %.2f, %d\n", n, r, r / n, g, s, b / n }'
done
echo "calibration images, evaluation images, rounds, seconds of a point"
while read -r c e r; do
    sweep "images-$c-$e-$r" 2 "$c" "$e" "$r"
    run=$(wall "$requant" sweep "experiments/images-$c-$e-$r.toml")
    awk -v c="$c" -v e="$e" -v r="$r" -v t="$run" 'BEGIN { printf "%d, %d, %d, %.2f\n", c, e, r, t / 2 }'
done <<'ROWS'
64 200 4
256 200 4
512 200 4
64 400 4
64 797 4
64 200 16
512 797 20
ROWS
