#!/usr/bin/env bash
# What membership costs and how fast it agrees, at 10, 100 and 1,000 nodes in virtual time, with the
# default configuration and seeds equal to the sizes: the same figures on every machine.
#
#     bench/membership.sh [SIZES]   10,100,1000 unless told otherwise
#
# The first run builds the tests in release mode (five minutes on two cores).
#
# The network loses 5 % of the messages (none while a cluster forms and in the column "quiet") and
# takes 1 to 10 ms for the rest. Bytes are those of the messages, without frames and TCP.
# - form: all nodes join through one, 10 ms apart; from the last join until all know all.
# - join, death, heal: until all know of one more node, of one killed, and of each other again after
#   halves that had declared each other dead are no longer cut.
# - wrong: how often anybody held a healthy node for suspect, or dead, in 330 s.
# - slow nodes: the same in 120 s while every twentieth node is two seconds late, without Lifeguard
#   (local health off, suspicions of fixed length) and with it.
set -euo pipefail
cd "$(dirname "$0")/.."
sizes=${1:-10,100,1000}
options=(-c release -Xswiftc -enable-testing --scratch-path .build-figures)
swift build --build-tests "${options[@]}" >&2
lines=$(QUORATE_MEMBERSHIP=$sizes swift test --skip-build "${options[@]}" --filter FigureTests |
    grep -E '^(FIGURES|SLOW) |✘')
figures() { sort -n -k2 <<<"$lines" | grep "^$1 " | cut -d' ' -f2-; }
row() { printf '%6s %7s %7s %7s %7s   %7s %7s   %7s %7s   %7s %7s %7s\n' "$@"; }
row '' seconds until they agree on: '' 'quiet:' per '5 %:' per wrong: '' longest
row nodes form join death heal msg/s byte/s msg/s byte/s suspect dead bytes
figures FIGURES | while read -r -a columns; do row "${columns[@]}"; done
printf '\n%6s   %s\n' nodes 'slow nodes: wrongly suspect and dead, plain; the same with Lifeguard'
figures SLOW | while read -r nodes a b c d; do printf '%6s   %8s %8s %8s %8s\n' "$nodes" "$a" "$b" "$c" "$d"; done
! grep '✘' <<<"$lines" >&2
